use std::fmt;

use identity::Epoch;

use super::Account;

/// A place in the account feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedCursor {
    /// In which life of the database.
    pub epoch: Epoch,
    /// After which change.
    pub number: i64,
}

impl FeedCursor {
    /// Reads what `Display` wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, number) = text.split_once('.')?;
        let cursor = Self { epoch: Epoch::parse(epoch)?, number: number.parse().ok().filter(|n| *n >= 0)? };
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// One message of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedEvent {
    /// The present state of an account that changed.
    Account(Account),
    /// Everything committed before has been sent.
    Checkpoint,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = FeedCursor { epoch: Epoch::parse("abc123").unwrap(), number: 42 };
        assert_eq!(FeedCursor::parse(&cursor.to_string()), Some(cursor));
        for text in [
            "",
            ".",
            "abc",
            "abc.",
            ".1",
            "abc.-1",
            "abc.+1",
            "abc.01",
            "abc.1.2",
            "abc.99999999999999999999",
        ] {
            assert_eq!(FeedCursor::parse(text), None, "{text}");
        }
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn a_cursor_has_one_spelling_whatever_is_read(
            text in prop_oneof![hostile::text(), hostile::damaged_text("0123abcd.42")]
        ) {
            if let Some(cursor) = FeedCursor::parse(&text) {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
