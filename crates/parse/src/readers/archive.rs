//! Zip archives: every readable member becomes a document named by its path inside; the others are warnings.
//! A text pack is an archive around one Markdown file.

use lorekeep_types::ParsedDocument;

use crate::draft::Draft;
use crate::encoding;
use crate::error::{ParseError, Result};
use crate::package::{ARCHIVE, Package, safe_name};
use crate::readers::{NO_TEXT, Source, markdown, read_any};

/// At most this many left-out members are named.
const MAX_NAMED: usize = 20;

/// Reads an archive; `depth` counts the archives around it.
pub(crate) fn read(source: &Source<'_>, depth: usize) -> Result<Vec<(String, ParsedDocument)>> {
    let watch = source.watch;
    if depth >= watch.limits.archive_depth {
        return Err(ParseError::Limit {
            what: "the nesting of archives",
            limit: format!("{} levels", watch.limits.archive_depth),
            hint: "unpack the inner archives and add the files that matter",
        });
    }
    let mut package = Package::open(source.bytes, "zip", watch)?;
    let names: Vec<String> = package.names().map(str::to_owned).collect();
    watch.members(names.len())?;
    let mut documents = Vec::new();
    let mut left_out = LeftOut::default();
    for (index, raw) in names.iter().enumerate() {
        watch.check()?;
        if raw.ends_with('/') || is_clutter(raw) {
            continue;
        }
        let Some(name) = safe_name(raw) else {
            left_out.add("a member whose name points outside the archive was left out".to_owned());
            continue;
        };
        match member(&mut package, index, name, source, depth) {
            Ok(read) => documents.extend(read),
            Err(error) if error.stops_everything() => return Err(error),
            Err(error) => {
                left_out.locked |= matches!(error, ParseError::Encrypted { what: ARCHIVE });
                left_out.add(format!("`{name}` was left out: {error}"));
            }
        }
    }
    match documents.first_mut() {
        Some((_, first)) => left_out.write(first),
        None => return Err(left_out.nothing()),
    }
    Ok(documents)
}

fn member(
    package: &mut Package<'_, '_>,
    index: usize,
    name: &str,
    source: &Source<'_>,
    depth: usize,
) -> Result<Vec<(String, ParsedDocument)>> {
    let part = package.read_index(index)?;
    let inner = Source { name, bytes: &part.bytes, watch: source.watch };
    let mut documents = read_any(&inner, depth + 1)?;
    for (path, document) in &mut documents {
        *path = if path.is_empty() { name.to_owned() } else { format!("{name}/{path}") };
        if let Some(reason) = &part.damage {
            document
                .warnings
                .push(format!("`{name}` is damaged in the archive ({reason}); what could be read was kept"));
        }
    }
    Ok(documents)
}

/// The Markdown file inside a text pack.
pub(crate) fn read_textpack(source: &Source<'_>) -> Result<ParsedDocument> {
    let mut package = Package::open(source.bytes, "textpack", source.watch)?;
    let text = |name: &str| {
        let file = name.rsplit('/').next().unwrap_or_default();
        ["text.md", "text.markdown", "text.txt"].contains(&file)
    };
    let name = package.names().find(|name| text(name)).map(str::to_owned);
    let name = name.ok_or_else(|| ParseError::broken("textpack", "it holds no text.md"))?;
    let part = package.require(&name)?;
    let decoded = encoding::decode(&part.bytes, None);
    let mut draft = Draft::new(source.watch);
    for warning in decoded.warnings {
        draft.warn(warning);
    }
    markdown::write(&mut draft, &decoded.text, source)?;
    draft.finish(NO_TEXT)
}

/// What operating systems add to archives.
fn is_clutter(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    name.starts_with("__MACOSX/") || file.starts_with("._") || matches!(file, ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

/// Members that were not read, for the first document's warnings.
#[derive(Default)]
struct LeftOut {
    named: Vec<String>,
    more: usize,
    /// A member needs the archive's password.
    locked: bool,
}

impl LeftOut {
    fn add(&mut self, warning: String) {
        if self.named.contains(&warning) {
            return;
        }
        if self.named.len() < MAX_NAMED {
            self.named.push(warning);
        } else {
            self.more += 1;
        }
    }

    fn write(self, document: &mut ParsedDocument) {
        document.warnings.extend(self.named);
        if self.more > 0 {
            document.warnings.push(format!("{} more members were left out", self.more));
        }
    }

    fn nothing(self) -> ParseError {
        if self.locked {
            return ParseError::Encrypted { what: ARCHIVE };
        }
        match self.named.into_iter().next() {
            Some(first) => ParseError::broken("zip", format!("no member can be read; {first}")),
            None => ParseError::Empty { what: "the archive holds no documents" },
        }
    }
}
