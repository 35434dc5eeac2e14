//! A credential: usable, but never shown.

use std::fmt;

/// An API key or password. `Debug` prints at most its last four characters, and there is no `Display` and no
/// serialisation, so that it reaches neither logs nor answers by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Surrounding white space, as files and pasted keys have it, is dropped.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The credential itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown: the last four characters of a long credential, nothing of a short one.
    #[must_use]
    pub fn masked(&self) -> String {
        let characters = self.0.chars().count();
        let shown: String = self.0.chars().skip(characters.saturating_sub(4)).collect();
        if characters >= 16 { format!("…{shown}") } else { "…".to_owned() }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new(" sk-abcdefghijklmnop1234\n");
        assert_eq!(secret.expose(), "sk-abcdefghijklmnop1234");
        assert_eq!(format!("{secret:?}"), "Secret(…1234)");
        assert_eq!(format!("{:?}", Secret::new("short")), "Secret(…)");
    }
}
