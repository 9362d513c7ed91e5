use std::fmt;

/// The life of one auth database: a restored one gets a new epoch, and versions compare within one epoch only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(String);

/// More than any epoch that auth-service makes has; what comes over the wire is bounded by it.
const MAX_EPOCH_LENGTH: usize = 64;

impl Epoch {
    /// Takes 1 to 64 ASCII letters and digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=MAX_EPOCH_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The place of an account's last change in the account feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountVersion {
    /// In which life of the database.
    pub epoch: Epoch,
    /// The feed number, from 1.
    pub number: i64,
}
