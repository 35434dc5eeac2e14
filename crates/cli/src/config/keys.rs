//! The one table of configuration keys. `--help`, `config show`, `config check`, the reference page and
//! the suggestions for misspelt keys are all made from it.

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder; `~` stands for the home folder.
    Folder,
    /// A list of folders, separated by `:` in the environment.
    Folders,
    /// An address to listen on, `HOST:PORT`.
    Address,
    /// A whole number in an inclusive range.
    Number(u64, u64),
    /// The name of a workspace.
    Name,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// How the reference names it.
    pub fn describe(self) -> String {
        match self {
            Self::Folder => "folder".to_owned(),
            Self::Folders => "folders, separated by `:`".to_owned(),
            Self::Address => "HOST:PORT".to_owned(),
            Self::Name => "1 to 64 letters, digits, `_` or `-`".to_owned(),
            Self::Number(least, most) => format!("{least} to {most}"),
            Self::Choice(words) => words.join(", "),
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path in the file, e.g. `server.bind`.
    pub path: &'static str,
    /// What it must be.
    pub kind: Kind,
    /// Value when nothing else is said; may be empty.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
}

impl Key {
    /// The environment variable that sets it, e.g. `LOREKEEP_SERVER__BIND`.
    pub fn variable(&self) -> String {
        format!("LOREKEEP_{}", self.path.to_uppercase().replace('.', "__"))
    }
}

/// Every key, in the order in which they are shown.
pub static KEYS: &[Key] = &[
    Key {
        path: "data.dir",
        kind: Kind::Folder,
        default: "",
        help: "the data folder; empty means `lorekeep` in the user's data folder",
    },
    Key {
        path: "workspace.name",
        kind: Kind::Name,
        default: "default",
        help: "the workspace that commands work in unless --workspace names another",
    },
    Key {
        path: "server.bind",
        kind: Kind::Address,
        default: "127.0.0.1:9621",
        help: "the address to listen on; other than loopback only behind a proxy that checks who asks",
    },
    Key { path: "server.max_body_mib", kind: Kind::Number(1, 4096), default: "256", help: "largest upload, in MiB" },
    Key {
        path: "server.max_concurrent_requests",
        kind: Kind::Number(1, 4096),
        default: "64",
        help: "requests worked on at once; further ones are answered 429",
    },
    Key {
        path: "server.request_timeout_s",
        kind: Kind::Number(1, 3600),
        default: "60",
        help: "time limit of a question or search, in seconds",
    },
    Key {
        path: "ingest.parallel",
        kind: Kind::Number(0, 256),
        default: "0",
        help: "documents worked on at once; 0 means one per core",
    },
    Key { path: "ingest.max_file_mib", kind: Kind::Number(1, 4096), default: "200", help: "largest document, in MiB" },
    Key {
        path: "ingest.chunking",
        kind: Kind::Choice(&["structure", "fixed"]),
        default: "structure",
        help: "how text is cut: along headings, tables and sentences, or by tokens alone",
    },
    Key {
        path: "ingest.chunk_tokens",
        kind: Kind::Number(50, 8000),
        default: "",
        help: "target size of a chunk in tokens; empty means the strategy's own (structure 400, fixed 1200)",
    },
    Key {
        path: "ingest.chunk_overlap",
        kind: Kind::Number(0, 4000),
        default: "100",
        help: "tokens that neighbouring chunks share, with `fixed` chunking",
    },
    Key {
        path: "ingest.watch",
        kind: Kind::Folders,
        default: "",
        help: "folders that `serve` indexes and keeps watching",
    },
    Key {
        path: "ingest.input_dir",
        kind: Kind::Folder,
        default: "",
        help: "the folder that LightRAG's `POST /documents/scan` reads; empty means none",
    },
    Key {
        path: "log.level",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        default: "info",
        help: "how much the server logs",
    },
    Key {
        path: "log.format",
        kind: Kind::Choice(&["auto", "text", "json"]),
        default: "auto",
        help: "log lines for people or for machines; `auto` is text on a terminal and JSON elsewhere",
    },
];

/// The key at `path`.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The known path nearest to a misspelt one, if any is near.
pub fn nearest(path: &str) -> Option<&'static str> {
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(path, key.path), key.path))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, nearest)| nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_has_a_suggestion() {
        assert_eq!(nearest("server.bnid"), Some("server.bind"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn variables_follow_the_path() {
        let variable = find("ingest.chunk_tokens").map(Key::variable);
        assert_eq!(variable.as_deref(), Some("LOREKEEP_INGEST__CHUNK_TOKENS"));
    }
}
