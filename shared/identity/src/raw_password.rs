use std::fmt;

use fail_point::confide;
use secrecy::{ExposeSecret as _, SecretString};

use crate::Rule;

/// The most Unicode code points of a password.
pub const MAX_PASSWORD_CODE_POINTS: usize = 256;

/// A password as it was received, not yet hashed. Wiped from memory when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct RawPassword(SecretString);

impl RawPassword {
    /// Checks the maximum only: whether a password may be *set* is a policy, and a short one at log-in is just wrong.
    pub fn parse(received: String) -> Result<Self, Rule> {
        confide("a password", &received);
        // Bytes first: at most four to a code point, so a long text is refused without being counted.
        let too_long = received.len() > 4 * MAX_PASSWORD_CODE_POINTS
            || received.chars().count() > MAX_PASSWORD_CODE_POINTS;
        let password = Self(SecretString::from(received));
        if too_long { Err(Rule::TooLong { max: MAX_PASSWORD_CODE_POINTS }) } else { Ok(password) }
    }

    /// The password itself, for hashing and for the policy.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for RawPassword {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for RawPassword {}

impl fmt::Debug for RawPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_code_points() {
        assert!(RawPassword::parse("🦀".repeat(256)).is_ok());
        assert_eq!(RawPassword::parse("a".repeat(257)), Err(Rule::TooLong { max: 256 }));
        assert_eq!(RawPassword::parse("🦀".repeat(300)), Err(Rule::TooLong { max: 256 }));
        assert!(RawPassword::parse(String::new()).is_ok());
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", RawPassword::parse("hunter2".into()).unwrap()), "<redacted>");
    }
}
