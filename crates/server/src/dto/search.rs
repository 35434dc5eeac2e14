//! Searches on the wire.

use std::ops::RangeInclusive;
use std::sync::Arc;

use lorekeep_types::{DocumentFilter, DocumentState, Error, JobId, Mode, Result, Retrieval, SearchRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::chunk_span;
use super::{Entity, Relation};

/// A search.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"query": "retrofit contract", "limit": 10}))]
pub struct SearchBody {
    /// What to look for, at most 65,536 characters.
    pub query: String,
    /// `auto`, `naive`, `local`, `global`, `hybrid` or `mix`; default `auto`.
    #[serde(default)]
    pub mode: Option<String>,
    /// Most passages, 1 to 1,000; default 10.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Most entities and relations to consider in graph modes, 1 to 1,000; default 40.
    #[serde(default)]
    pub top_k: Option<usize>,
    /// Chunks to add before and after each passage, 0 to 5; default 0.
    #[serde(default)]
    pub neighbours: Option<usize>,
    /// Which documents.
    #[serde(default)]
    pub filter: Filter,
    /// Keywords to use instead of those read from the query.
    #[serde(default)]
    pub keywords: Option<Keywords>,
    /// Most tokens of entities; default 6,000.
    #[serde(default)]
    pub max_entity_tokens: Option<usize>,
    /// Most tokens of relations; default 8,000.
    #[serde(default)]
    pub max_relation_tokens: Option<usize>,
    /// Most tokens of everything together; default 30,000.
    #[serde(default)]
    pub max_total_tokens: Option<usize>,
    /// Whether the model of the role `rerank`, where there is one, may order the passages; default true.
    #[serde(default)]
    pub rerank: Option<bool>,
}

const TOKENS: RangeInclusive<usize> = 1..=1_000_000;

impl TryFrom<SearchBody> for SearchRequest {
    type Error = Error;

    fn try_from(body: SearchBody) -> Result<Self> {
        let mut request = Self::new(question("query", body.query)?);
        request.mode = mode_of(body.mode.as_deref())?;
        request.filter = body.filter.try_into()?;
        request.keywords = body.keywords.map(Into::into);
        request.limit = 10;
        set("limit", body.limit, 1..=1_000, &mut request.limit)?;
        set("top_k", body.top_k, 1..=1_000, &mut request.top_k)?;
        let mut neighbours = 0;
        set("neighbours", body.neighbours, 0..=5, &mut neighbours)?;
        request.neighbours = u32::try_from(neighbours).unwrap_or(0);
        set("max_entity_tokens", body.max_entity_tokens, TOKENS, &mut request.max_entity_tokens)?;
        set("max_relation_tokens", body.max_relation_tokens, TOKENS, &mut request.max_relation_tokens)?;
        set("max_total_tokens", body.max_total_tokens, TOKENS, &mut request.max_total_tokens)?;
        request.rerank = body.rerank.unwrap_or(true);
        Ok(request)
    }
}

/// The longest question, in code points.
pub(crate) const MAX_QUESTION: usize = 65_536;

/// A question that is neither empty nor too long.
pub(crate) fn question(field: &str, text: String) -> Result<String> {
    if text.trim().is_empty() {
        return Err(Error::invalid(format!("`{field}` is empty")));
    }
    if text.len() > MAX_QUESTION && text.chars().count() > MAX_QUESTION {
        return Err(Error::new(
            lorekeep_types::ErrorCode::TooLarge,
            format!("`{field}` is longer than {MAX_QUESTION} characters"),
        )
        .hint("ask about the text instead of sending it; add long texts as documents"));
    }
    Ok(text)
}

/// Puts a number that the caller gave into `target`, if it lies in `range`.
pub(crate) fn set(field: &str, given: Option<usize>, range: RangeInclusive<usize>, target: &mut usize) -> Result<()> {
    let Some(number) = given else { return Ok(()) };
    if !range.contains(&number) {
        return Err(Error::invalid(format!("`{field}` is {number}; it must be {} to {}", range.start(), range.end())));
    }
    *target = number;
    Ok(())
}

pub(crate) fn mode_of(name: Option<&str>) -> Result<Mode> {
    name.map_or(Ok(Mode::Auto), Mode::parse)
}

/// Which documents; every field narrows, empty ones do not.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only these documents (ids or names; `*` and `?` match as in a shell).
    pub documents: Vec<String>,
    /// Only documents whose name lies in one of these folders.
    pub folders: Vec<String>,
    /// Only documents with all of these tags.
    pub tags: Vec<String>,
    /// Only documents in one of these languages (ISO 639-1).
    pub languages: Vec<String>,
    /// Only documents dated on or after, `YYYY-MM-DD`.
    pub since: Option<String>,
    /// Only documents dated on or before, `YYYY-MM-DD`.
    pub until: Option<String>,
    /// Only documents in one of these states.
    pub states: Vec<String>,
    /// Only documents of these jobs.
    pub jobs: Vec<String>,
}

impl TryFrom<Filter> for DocumentFilter {
    type Error = Error;

    fn try_from(filter: Filter) -> Result<Self> {
        for date in [&filter.since, &filter.until].into_iter().flatten() {
            check_date(date)?;
        }
        let states = filter.states.iter().map(|name| state_of(name)).collect::<Result<_>>()?;
        let jobs = filter.jobs.iter().map(|id| JobId::parse(id)).collect::<Result<_>>()?;
        Ok(Self {
            documents: filter.documents,
            folders: filter.folders,
            tags: filter.tags,
            languages: filter.languages,
            since: filter.since,
            until: filter.until,
            states,
            jobs,
        })
    }
}

fn check_date(date: &str) -> Result<()> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    time::Date::parse(date, format)
        .map(drop)
        .map_err(|_| Error::invalid(format!("`{date}` is not a date")).hint("write it as YYYY-MM-DD"))
}

fn state_of(name: &str) -> Result<DocumentState> {
    DocumentState::from_name(name).ok_or_else(|| {
        let names: Vec<_> = DocumentState::ALL.iter().map(|state| state.name()).collect();
        Error::invalid(format!("`{name}` is not a state")).hint(format!("use one of {}", names.join(", ")))
    })
}

/// Keywords of a question.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keywords {
    /// Themes.
    pub high_level: Vec<String>,
    /// Entity phrases.
    pub low_level: Vec<String>,
}

impl From<Keywords> for lorekeep_types::Keywords {
    fn from(keywords: Keywords) -> Self {
        Self { high_level: keywords.high_level, low_level: keywords.low_level }
    }
}

/// What a search found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchResults {
    /// The query.
    pub query: String,
    /// How it was searched.
    pub mode: String,
    /// Milliseconds.
    pub took_ms: f64,
    /// Chunks of the workspace that were searched.
    pub searched: usize,
    /// Passages, best first.
    pub results: Vec<SearchResult>,
    /// Entities, best first (graph modes).
    pub entities: Vec<Entity>,
    /// Relations, best first (graph modes).
    pub relations: Vec<Relation>,
    /// Keywords used.
    pub keywords: Keywords,
    /// What was left out or could not be done.
    pub notices: Vec<String>,
}

/// A passage with its score and the reasons for it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchResult {
    /// From 1.
    pub rank: usize,
    /// 1 for the best; comparable within one search only.
    pub score: f32,
    /// The document.
    pub document: SearchDocument,
    /// The chunk.
    pub chunk_id: i64,
    /// Position of the chunk in the document, from 0.
    pub position: u32,
    /// Page, for paged formats.
    pub page: Option<u32>,
    /// Where it lies in the document's text, in code points.
    pub span: [usize; 2],
    /// Titles of the headings above it, outermost first.
    pub headings: Vec<String>,
    /// The text.
    pub text: String,
    /// Why it was found.
    pub reasons: Vec<Reason>,
}

/// The document of a passage.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SearchDocument {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// The version searched.
    pub version: u32,
}

/// Why a passage was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reason {
    /// It holds these words of the query.
    Terms {
        /// The words.
        terms: Vec<String>,
    },
    /// Its vector is near the query's.
    Similar {
        /// Cosine.
        cosine: f32,
    },
    /// The graph leads to it over these phrases.
    Path {
        /// Names along the way, the query's phrase first.
        phrases: Vec<String>,
    },
    /// It mentions an entity, or supports a relation, that was found.
    Graph {
        /// Names of the entities.
        entities: Vec<String>,
    },
    /// It stands next to a passage that was found.
    Neighbour,
}

impl From<lorekeep_types::Reason> for Reason {
    fn from(reason: lorekeep_types::Reason) -> Self {
        use lorekeep_types::Reason as R;
        match reason {
            R::Terms { terms } => Self::Terms { terms },
            R::Similar { cosine } => Self::Similar { cosine },
            R::Path { phrases } => Self::Path { phrases },
            R::Graph { entities } => Self::Graph { entities },
            R::Neighbour => Self::Neighbour,
        }
    }
}

impl SearchResults {
    pub(crate) fn new(query: String, mode: Mode, took_ms: f64, found: Retrieval) -> Self {
        let results = found.passages.into_iter().enumerate().map(|(index, evidence)| {
            let (span, stored) = (chunk_span(&evidence.chunk), evidence.chunk);
            SearchResult {
                rank: index + 1,
                score: evidence.score,
                document: SearchDocument {
                    id: stored.document.into(),
                    name: stored.document_name,
                    title: stored.document_title,
                    version: stored.version,
                },
                chunk_id: stored.id.0,
                position: stored.chunk.position,
                page: stored.chunk.page,
                span,
                headings: stored.chunk.heading_path,
                text: stored.chunk.text,
                reasons: evidence.reasons.into_iter().map(Into::into).collect(),
            }
        });
        Self {
            query,
            mode: mode.name().to_owned(),
            took_ms,
            searched: found.searched,
            results: results.collect(),
            entities: found.entities.into_iter().map(|one| Arc::unwrap_or_clone(one).into()).collect(),
            relations: found.relations.into_iter().map(|one| Arc::unwrap_or_clone(one).into()).collect(),
            keywords: Keywords { high_level: found.keywords.high_level, low_level: found.keywords.low_level },
            notices: found.notices,
        }
    }
}
