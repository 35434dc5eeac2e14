//! Communities: groups of entities that relations join closely, on levels that nest. `detect` finds them, `view` keeps them
//! in step with the graph, `report` says what each is about; a model of the role `summarize` writes that out where asked.

mod detect;
mod report;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use lorekeep_types::{
    CacheKind, Communities, Community, EntityId, Error, ErrorCode, OutputFormat, RequestContext, Result, Role, Usage,
    Workspace,
};

use self::report::Content;
pub(crate) use self::view::CommunityViews;
use self::view::Summary;
use crate::answer::sanitise::{Rules, clean};
use crate::ask::{Saying, Spoken, add, name_of};
use crate::engine::Engine;
use crate::prompt::PromptName;

/// Communities that go along with an answer in mode `global`.
const AROUND: usize = 3;

/// Entities of a retrieval that choose them.
const CHOOSING: usize = 40;

/// Summaries that are written at once.
const AT_ONCE: usize = 4;

/// Tokens of a summary.
const SUMMARY_TOKENS: u32 = 400;

impl Engine {
    /// The communities of one level, the largest first, at most `limit`. Where enough of the graph has changed, they are found
    /// anew in the background; this call waits for that only where nothing is known yet.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn communities(&self, ctx: &RequestContext, level: u32, limit: usize) -> Result<Communities> {
        let (list, _) = self.contents(ctx, level, limit).await?;
        Ok(list)
    }

    /// The same with a summary of each, written by the model of the role `summarize`. What was written before for the same
    /// members costs nothing. A summary that fails is left out, and a notice says so.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace; `CapabilityMissing` where no model fills the role.
    pub async fn summarise_communities(&self, ctx: &RequestContext, level: u32, limit: usize) -> Result<Communities> {
        if self.parts.models.as_ref().and_then(|models| models.chat(Role::Summarize)).is_none() {
            let error = Error::new(ErrorCode::CapabilityMissing, "no model fills the role `summarize`");
            return Err(error.hint("configure one: `lorekeep model set`"));
        }
        let (mut list, contents) = self.contents(ctx, level, limit).await?;
        let language = self.reading(ctx, |snapshot| {
            let main = snapshot.stats().languages.first();
            Ok(main.map_or_else(|| "English".to_owned(), |(code, _)| name_of(code).to_owned()))
        });
        let language = language.await?;
        let wanted = list.communities.iter_mut().zip(contents).filter(|(community, _)| community.summary.is_none());
        let (wanted, contents): (Vec<_>, Vec<_>) = wanted.unzip();
        let language = language.as_str();
        let written = contents.into_iter().map(|content| async move { self.summarised(ctx, &content, language).await });
        let written: Vec<_> = stream::iter(written).buffered(AT_ONCE).collect().await;
        for (community, outcome) in wanted.into_iter().zip(written) {
            match outcome {
                Ok(spoken) => {
                    add(&mut list.usage, spoken.usage);
                    tell(community, spoken.value);
                }
                Err(reason) => list.notices.push(format!("“{}” was not summarised: {reason}", community.title)),
            }
        }
        ctx.check()?;
        Ok(list)
    }

    /// The communities in which most of these entities lie, the best entities counting most.
    pub(crate) fn communities_around(
        &self,
        workspace: &Arc<dyn Workspace>,
        entities: &[EntityId],
    ) -> Result<Vec<Community>> {
        let Some(grouping) = self.communities.present(workspace) else { return Ok(Vec::new()) };
        let mut scores: HashMap<u32, f32> = HashMap::new();
        for (place, entity) in (1_u8..).zip(entities.iter().take(CHOOSING)) {
            if let Some(group) = grouping.smallest.get(entity) {
                *scores.entry(*group).or_default() += 1.0 / f32::from(place);
            }
        }
        let mut scores: Vec<(u32, f32)> = scores.into_iter().collect();
        scores.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let snapshot = workspace.snapshot();
        let told = scores.iter().take(AROUND).filter_map(|(id, _)| {
            let group = grouping.groups.get(*id as usize)?;
            let read = || {
                let content = Content::read(snapshot.as_ref(), *id, group)?;
                Ok(content.map(|content| self.known(workspace, content).community))
            };
            grouping.told(snapshot.seq(), *id, read).transpose()
        });
        told.collect()
    }

    async fn contents(&self, ctx: &RequestContext, level: u32, limit: usize) -> Result<(Communities, Vec<Content>)> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            let grouping = engine.communities.found(workspace)?;
            let snapshot = workspace.snapshot();
            let of_level = || (0_u32..).zip(&grouping.groups).filter(|(_, group)| group.level == level);
            let mut contents = Vec::new();
            for (id, group) in of_level().take(limit) {
                ctx.check()?;
                let content = Content::read(snapshot.as_ref(), id, group)?;
                contents.extend(content.map(|content| engine.known(workspace, content)));
            }
            let list = Communities {
                communities: contents.iter().map(|content| content.community.clone()).collect(),
                total: of_level().count(),
                levels: grouping.groups.last().map_or(0, |group| group.level + 1),
                changes: snapshot.seq().saturating_sub(grouping.seq),
                usage: Usage::NONE,
                notices: Vec::new(),
            };
            Ok((list, contents))
        })
        .await
    }

    /// With the summary that was written before, if one was.
    fn known(&self, workspace: &Arc<dyn Workspace>, mut content: Content) -> Content {
        if let Some(summary) = self.communities.summary(workspace.name(), || content.records().join("\n")) {
            tell(&mut content.community, summary);
        }
        content
    }

    async fn summarised(
        &self,
        ctx: &RequestContext,
        content: &Content,
        language: &str,
    ) -> Result<Spoken<Summary>, String> {
        let [entities, relations] = content.records();
        let saying = Saying {
            roles: &[Role::Summarize],
            operation: "summarize",
            kind: CacheKind::Summary,
            prompt: PromptName::CommunitySummary,
            values: &[("language", language), ("entities", &entities), ("relations", &relations)],
            data: "",
            max_tokens: SUMMARY_TOKENS,
            output: OutputFormat::Text,
        };
        let hosts = &self.parts.settings.answer.link_hosts;
        let spoken = self.say(ctx, saying, |text| read_summary(&clean(text, &Rules { hosts, secret: "" }).0)).await;
        let spoken = spoken.unwrap_or_else(|| Err("no model fills the role `summarize`".to_owned()))?;
        self.communities.keep_summary(&ctx.workspace, &content.records().join("\n"), spoken.value.clone());
        Ok(spoken)
    }
}

fn tell(community: &mut Community, summary: Summary) {
    community.title = summary.title;
    community.summary = Some(summary.text);
}

/// Longest title, in characters.
const LONGEST_TITLE: usize = 120;

/// A title on the first line, the text below it.
fn read_summary(written: &str) -> Option<Summary> {
    let (title, text) = written.trim().split_once('\n')?;
    let title = title.trim_start_matches("Title:").trim_matches(['#', '*', '"', '“', '”', ' ', ':']);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !title.is_empty() && title.chars().count() <= LONGEST_TITLE && !text.is_empty();
    fits.then(|| Summary { title: title.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_a_title_and_what_follows_it() {
        let read = |text: &str| read_summary(text).map(|summary| (summary.title, summary.text));
        let both = |title: &str, text: &str| Some((title.to_owned(), text.to_owned()));
        assert_eq!(read("# The mill\n\nIt burned.\nTwice. "), both("The mill", "It burned. Twice."));
        assert_eq!(read("**Title**\nText"), both("Title", "Text"));
        assert_eq!(read("Only a title"), None);
        assert_eq!(read(&format!("{}\nText", "x".repeat(200))), None);
    }
}
