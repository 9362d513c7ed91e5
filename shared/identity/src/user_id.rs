use std::fmt;

use uuid::Uuid;

use crate::Rule;

/// The id of a user and of its account: a UUID, written in canonical lowercase form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    /// Takes a UUID from the generator of ids, or back from a store.
    #[must_use]
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// Reads the canonical form: 36 characters, lowercase, with hyphens. Other spellings of a UUID are refused, so that
    /// an id has one spelling everywhere.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let id = Uuid::try_parse(text).map_err(|_| Rule::NotAUuid)?;
        let id = Self(id);
        if id.to_string() == text { Ok(id) } else { Err(Rule::NotAUuid) }
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let canonical = "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c";
        assert_eq!(UserId::parse(canonical).unwrap().to_string(), canonical);
        for other in [
            "0198F0C2-7D1E-7CC3-98A4-2F6F3F1A2B3C",
            "0198f0c27d1e7cc398a42f6f3f1a2b3c",
            "{0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c}",
            "urn:uuid:0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c",
            "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3",
            " 0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c",
            "",
            "me",
        ] {
            assert_eq!(UserId::parse(other), Err(Rule::NotAUuid), "{other}");
        }
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn whatever_is_read_is_an_id_in_its_one_spelling(
            text in hostile::damaged_text("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c")
        ) {
            if let Ok(id) = UserId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
