use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use fail_point::mutant;
use uuid::Uuid;

use crate::{AccountVersion, Epoch, Rule, UserId};

/// Names a row and the version that a write brought it to, so that a query can wait until it sees that write.
///
/// It names a row and not a log position, so it means the same on every replica, and it is made by one service and
/// understood by the other. It grants nothing, so it is not authenticated: a made-up one is just refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsistencyToken {
    /// The account of this user has reached this version.
    Account {
        /// Whose account.
        user_id: UserId,
        /// Which version.
        version: AccountVersion,
    },
    /// The role of this user has reached this version in users-service.
    Role {
        /// Whose role.
        user_id: UserId,
        /// Which version, from 1.
        version: i64,
    },
}

const ACCOUNT: u8 = b'a';
const ROLE: u8 = b'r';
/// Longer than any token that is made here.
const MAX_LENGTH: usize = 160;

impl ConsistencyToken {
    /// Whose row it names.
    #[must_use]
    pub const fn user_id(&self) -> UserId {
        match self {
            Self::Account { user_id, .. } | Self::Role { user_id, .. } => *user_id,
        }
    }

    /// The opaque text for the wire.
    #[must_use]
    pub fn encode(&self) -> String {
        let (kind, version, epoch) = match self {
            Self::Account { version, .. } => (ACCOUNT, version.number, version.epoch.as_str()),
            Self::Role { version, .. } => (ROLE, *version, ""),
        };
        let mut bytes = vec![kind];
        bytes.extend(self.user_id().as_bytes());
        bytes.extend(version.to_be_bytes());
        bytes.extend(epoch.as_bytes());
        BASE64.encode(bytes)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        Self::decode(text).ok_or(Rule::NotAConsistencyToken)
    }

    /// Reads an optional field: the empty text is none.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, Rule> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    fn decode(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let bytes = BASE64.decode(text).ok()?;
        let (kind, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (number, epoch) = rest.split_first_chunk::<8>()?;
        let user_id = UserId::new(Uuid::from_bytes(*id));
        let number = i64::from_be_bytes(*number);
        // A defect: versions that no row ever had.
        if number < 1 && !mutant("consistency_tokens.of_any_version") {
            return None;
        }
        match *kind {
            ACCOUNT => {
                let epoch = Epoch::parse(std::str::from_utf8(epoch).ok()?)?;
                Some(Self::Account { user_id, version: AccountVersion { epoch, number } })
            }
            ROLE if epoch.is_empty() => Some(Self::Role { user_id, version: number }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use test_kit::hostile;

    use super::*;

    fn tokens() -> [ConsistencyToken; 2] {
        let user_id = UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap();
        let version = AccountVersion { epoch: Epoch::parse("0123abcd").unwrap(), number: 42 };
        [ConsistencyToken::Account { user_id, version }, ConsistencyToken::Role { user_id, version: 7 }]
    }

    #[test]
    fn what_is_encoded_can_be_read_back() {
        for token in tokens() {
            assert_eq!(ConsistencyToken::parse(&token.encode()), Ok(token));
        }
    }

    #[test]
    fn garbage_is_refused() {
        let long = "A".repeat(4000);
        for text in ["x", "AAAA", "not base64!", long.as_str()] {
            assert_eq!(ConsistencyToken::parse(text), Err(Rule::NotAConsistencyToken), "{text}");
        }
        for token in tokens() {
            let text = token.encode();
            assert_eq!(ConsistencyToken::parse(&text[..text.len() / 2]), Err(Rule::NotAConsistencyToken));
        }
    }

    #[test]
    fn the_empty_text_is_no_token() {
        assert_eq!(ConsistencyToken::parse_optional(""), Ok(None));
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn a_token_has_one_spelling_whatever_is_read(text in prop_oneof![
            hostile::text(),
            select(tokens().map(|token| token.encode()).to_vec()).prop_flat_map(|text| hostile::damaged_text(&text)),
        ]) {
            if let Ok(token) = ConsistencyToken::parse(&text) {
                prop_assert_eq!(token.encode(), text);
            }
        }
    }
}
