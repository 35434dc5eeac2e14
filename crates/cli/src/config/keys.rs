//! What a configuration key is. Its one table, [`KEYS`], is what `--help`, `config show`, `config check`, the reference
//! page and the suggestions for misspelt keys are made from.

mod table;

pub use table::KEYS;

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
    /// Any text.
    Text,
    /// An http or https address.
    Url,
    /// A credential; shown masked. Also read from the file that the variable with `_FILE` names.
    Secret,
    /// An amount, 0 or more.
    Decimal,
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
            Self::Text => "text".to_owned(),
            Self::Url => "http(s)://…".to_owned(),
            Self::Secret => "a credential".to_owned(),
            Self::Decimal => "0 or more".to_owned(),
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
    /// Whether it stands for many.
    pub fn is_pattern(&self) -> bool {
        self.path.contains('*')
    }

    /// The name that stands in `path` where this pattern has its `*`.
    pub fn name_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (before, after) = self.path.split_once('*')?;
        let name = path.strip_prefix(before)?.strip_suffix(after)?;
        // At the end of a path a name is one part of it.
        let fits = !after.is_empty() || !name.contains('.');
        (fits && !name.is_empty()).then_some(name)
    }

    /// The environment variable that sets it, e.g. `LOREKEEP_SERVER__BIND`.
    pub fn variable(&self) -> String {
        format!("LOREKEEP_{}", self.path.to_uppercase().replace('.', "__"))
    }
}

/// The key at `path`.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path).or_else(|| KEYS.iter().find(|key| key.name_in(path).is_some()))
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
