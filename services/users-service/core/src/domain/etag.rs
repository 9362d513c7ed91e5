//! The version of a user as one opaque text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use identity::{AccountVersion, Epoch};

/// Names a user's state: role version, epoch and account version. It changes exactly when the user does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etag {
    /// How often the role was set.
    pub role_version: i64,
    /// The account's version.
    pub account: AccountVersion,
}

impl Etag {
    /// Reads what `Display` wrote; anything else is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text).ok()?;
        let (role_version, rest) = bytes.split_first_chunk::<8>()?;
        let (number, epoch) = rest.split_first_chunk::<8>()?;
        Some(Self {
            role_version: i64::from_be_bytes(*role_version),
            account: AccountVersion {
                epoch: Epoch::parse(std::str::from_utf8(epoch).ok()?)?,
                number: i64::from_be_bytes(*number),
            },
        })
    }
}

/// The opaque text for the wire.
impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.role_version.to_be_bytes().to_vec();
        bytes.extend(self.account.number.to_be_bytes());
        bytes.extend(self.account.epoch.as_str().as_bytes());
        f.write_str(&BASE64.encode(bytes))
    }
}

/// What a caller expects the user to be. A text that is no etag of ours is an etag of no state that there is, so it
/// is a mismatch and not an invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// As it was when this was read.
    Exactly(Etag),
    /// Nothing that can be.
    Nothing,
}

impl Expected {
    /// Reads an optional field: the empty text expects nothing in particular.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.is_empty() { Self::Anything } else { Etag::parse(text).map_or(Self::Nothing, Self::Exactly) }
    }

    /// Whether a user with this etag is as expected.
    #[must_use]
    pub fn holds_for(&self, etag: &Etag) -> bool {
        match self {
            Self::Anything => true,
            Self::Exactly(expected) => expected == etag,
            Self::Nothing => false,
        }
    }

    /// The account version that is expected, if any is.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountVersion> {
        match self {
            Self::Exactly(etag) => Some(&etag.account),
            Self::Anything | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn an_etag_is_read_back_and_anything_else_matches_nothing() {
        let etag = Etag {
            role_version: 3,
            account: AccountVersion { epoch: Epoch::parse("abc1").unwrap(), number: 7 },
        };
        assert_eq!(Etag::parse(&etag.to_string()), Some(etag.clone()));
        assert!(Expected::parse(&etag.to_string()).holds_for(&etag));
        assert!(Expected::parse("").holds_for(&etag));
        for garbage in ["x", "not base64!", "AAAA"] {
            assert_eq!(Expected::parse(garbage), Expected::Nothing);
            assert!(!Expected::Nothing.holds_for(&etag));
        }
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn an_etag_has_one_spelling_whatever_is_read(
            text in prop_oneof![hostile::text(), hostile::damaged_text("AAAAAAAAAAEAAAAAAAAAAWVwb2NoMQ")]
        ) {
            if let Some(etag) = Etag::parse(&text) {
                prop_assert_eq!(etag.to_string(), text);
            }
        }
    }
}
