//! The one table of readable formats: extensions, media types, readers. Lists, filters and detection follow it.

use lorekeep_types::Format;

/// Which reader a document needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Markdown,
    Rst,
    Html,
    Pdf,
    Docx,
    Pptx,
    Xlsx,
    Csv,
    Json,
    Odt,
    Epub,
    Eml,
    Rtf,
    Xml,
    Tex,
    Textpack,
    Code,
    Zip,
}

const CODE: &[&str] = &[
    "bat",
    "c",
    "cc",
    "cfg",
    "clj",
    "conf",
    "cpp",
    "cs",
    "css",
    "cxx",
    "dart",
    "env",
    "ex",
    "exs",
    "go",
    "gradle",
    "graphql",
    "h",
    "hpp",
    "hs",
    "ini",
    "java",
    "jl",
    "js",
    "jsx",
    "kt",
    "kts",
    "less",
    "lua",
    "m",
    "mjs",
    "ml",
    "php",
    "pl",
    "pm",
    "properties",
    "proto",
    "ps1",
    "py",
    "r",
    "rb",
    "rs",
    "scala",
    "scss",
    "sh",
    "bash",
    "sql",
    "svelte",
    "swift",
    "tf",
    "toml",
    "ts",
    "tsx",
    "vb",
    "vue",
    "yaml",
    "yml",
    "zig",
];

const ROWS: [(Kind, Format); 19] = [
    (Kind::Text, row("txt", &["txt", "text", "log"], "text/plain")),
    (Kind::Markdown, row("md", &["md", "markdown", "mdx"], "text/markdown")),
    (Kind::Rst, row("rst", &["rst", "rest"], "text/x-rst")),
    (Kind::Html, row("html", &["html", "htm", "xhtml"], "text/html")),
    (Kind::Pdf, row("pdf", &["pdf"], "application/pdf")),
    (
        Kind::Docx,
        row("docx", &["docx", "docm"], "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ),
    (
        Kind::Pptx,
        row("pptx", &["pptx", "pptm"], "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ),
    (Kind::Xlsx, row("xlsx", &["xlsx", "xlsm"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")),
    (Kind::Csv, row("csv", &["csv", "tsv"], "text/csv")),
    (Kind::Json, row("json", &["json", "jsonl", "ndjson", "geojson"], "application/json")),
    (Kind::Odt, row("odt", &["odt"], "application/vnd.oasis.opendocument.text")),
    (Kind::Epub, row("epub", &["epub"], "application/epub+zip")),
    (Kind::Eml, row("eml", &["eml"], "message/rfc822")),
    (Kind::Rtf, row("rtf", &["rtf"], "application/rtf")),
    (Kind::Xml, row("xml", &["xml"], "application/xml")),
    (Kind::Tex, row("tex", &["tex"], "text/x-tex")),
    (Kind::Textpack, row("textpack", &["textpack"], "application/zip")),
    (Kind::Code, row("code", CODE, "text/plain")),
    (Kind::Zip, row("zip", &["zip"], "application/zip")),
];

/// Every readable format.
pub static FORMATS: [Format; ROWS.len()] = {
    let mut formats = [ROWS[0].1; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        formats[at] = ROWS[at].1;
        at += 1;
    }
    formats
};

const fn row(name: &'static str, extensions: &'static [&'static str], media_type: &'static str) -> Format {
    Format { name, extensions, media_type }
}

impl Kind {
    /// The reader for a lower-case extension without dot.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        ROWS.iter().find(|(_, format)| format.extensions.contains(&extension)).map(|(kind, _)| *kind)
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        ROWS.iter().find(|(kind, _)| *kind == self).map_or("text", |(_, format)| format.name)
    }

    /// Whether files of this format are text to a text editor.
    pub(crate) const fn is_text(self) -> bool {
        !matches!(
            self,
            Self::Pdf | Self::Docx | Self::Pptx | Self::Xlsx | Self::Odt | Self::Epub | Self::Textpack | Self::Zip
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{FORMATS, Kind};
    use std::collections::HashSet;

    #[test]
    fn every_extension_has_one_reader_and_the_peers_are_covered() {
        let all: Vec<&str> = FORMATS.iter().flat_map(|format| format.extensions.iter().copied()).collect();
        let distinct: HashSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), distinct.len());
        let peer = "bat c conf cpp css csv docx epub go h hpp htm html ini java js json less log md mdx odt pdf php pptx \
                    properties py rb rtf scss sh sql swift tex textpack ts txt xlsx xml yaml yml";
        assert_eq!(peer.split(' ').filter(|extension| Kind::of_extension(extension).is_none()).count(), 0);
    }
}
