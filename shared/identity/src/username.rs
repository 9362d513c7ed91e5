use std::fmt;

use fail_point::mutant;

use crate::Rule;

/// The fewest characters of a username.
pub const MIN_USERNAME_LENGTH: usize = 5;
/// The most characters of a username.
pub const MAX_USERNAME_LENGTH: usize = 20;

/// A username: shown as it was entered, unique and compared ignoring case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    entered: String,
    canonical: String,
}

impl Username {
    /// Checks 5 to 20 characters of `A-Z a-z 0-9 . _ -`, first and last a letter or digit, no two of `. _ -` in a row.
    /// Nothing is trimmed or normalised. Every broken rule is returned.
    pub fn parse(entered: &str) -> Result<Self, Vec<Rule>> {
        let broken = broken_rules(entered);
        if broken.is_empty() {
            Ok(Self { entered: entered.to_owned(), canonical: entered.to_ascii_lowercase() })
        } else {
            Err(broken)
        }
    }

    /// The name as it was entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.entered
    }

    /// The name in lowercase: what is unique, compared and sorted by.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entered)
    }
}

fn broken_rules(entered: &str) -> Vec<Rule> {
    let mut broken = Vec::new();
    let length = entered.chars().count();
    if length < MIN_USERNAME_LENGTH {
        broken.push(if length == 0 { Rule::Required } else { Rule::TooShort { min: MIN_USERNAME_LENGTH } });
    }
    if length > MAX_USERNAME_LENGTH {
        broken.push(Rule::TooLong { max: MAX_USERNAME_LENGTH });
    }
    if !entered.chars().all(is_username_character) {
        broken.push(Rule::InvalidCharacter);
    }
    // A defect: one of two ends is not looked at.
    let ends = entered.ends_with(is_separator) && !mutant("usernames.any_end");
    if entered.starts_with(is_separator) || ends {
        broken.push(Rule::SeparatorAtEdge);
    }
    if entered.as_bytes().windows(2).any(|pair| pair.iter().all(|byte| is_separator(char::from(*byte)))) {
        broken.push(Rule::ConsecutiveSeparators);
    }
    broken
}

fn is_separator(character: char) -> bool {
    matches!(character, '.' | '_' | '-')
}

fn is_username_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || is_separator(character)
}

/// The beginning of a username to search by: 0 to 20 username characters, compared ignoring case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsernamePrefix(String);

impl UsernamePrefix {
    /// Checks the length and the characters; the empty prefix matches everybody.
    pub fn parse(text: &str) -> Result<Self, Vec<Rule>> {
        let mut broken = Vec::new();
        if text.chars().count() > MAX_USERNAME_LENGTH {
            broken.push(Rule::TooLong { max: MAX_USERNAME_LENGTH });
        }
        if !text.chars().all(is_username_character) {
            broken.push(Rule::InvalidCharacter);
        }
        if broken.is_empty() { Ok(Self(text.to_ascii_lowercase())) } else { Err(broken) }
    }

    /// The prefix in lowercase, to be compared with canonical usernames.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn names_by_the_rules_are_accepted_and_keep_their_case() {
        for name in ["alice", "Alice", "a1234", "12345", "user.name", "a-b_c.d", "A2345678901234567890"] {
            assert_eq!(Username::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(Username::parse("Ann.Other").unwrap().canonical(), "ann.other");
    }

    #[test]
    fn every_broken_rule_is_named() {
        let cases: [(&str, &[Rule]); 14] = [
            ("", &[Rule::Required]),
            ("abcd", &[Rule::TooShort { min: 5 }]),
            ("a23456789012345678901", &[Rule::TooLong { max: 20 }]),
            (".alice", &[Rule::SeparatorAtEdge]),
            ("alice-", &[Rule::SeparatorAtEdge]),
            ("_alice_", &[Rule::SeparatorAtEdge]),
            ("al..ice", &[Rule::ConsecutiveSeparators]),
            ("al._ice", &[Rule::ConsecutiveSeparators]),
            ("al-_ice", &[Rule::ConsecutiveSeparators]),
            ("al ice", &[Rule::InvalidCharacter]),
            ("al\0ice", &[Rule::InvalidCharacter]),
            ("älice", &[Rule::InvalidCharacter]),
            (" alice", &[Rule::InvalidCharacter]),
            ("..", &[Rule::TooShort { min: 5 }, Rule::SeparatorAtEdge, Rule::ConsecutiveSeparators]),
        ];
        for (name, broken) in cases {
            assert_eq!(Username::parse(name).unwrap_err(), broken, "{name:?}");
        }
    }

    #[test]
    fn a_prefix_may_be_empty_or_end_in_a_separator() {
        assert_eq!(UsernamePrefix::parse("").unwrap().canonical(), "");
        assert_eq!(UsernamePrefix::parse("Ann.").unwrap().canonical(), "ann.");
        assert_eq!(UsernamePrefix::parse("a%").unwrap_err(), [Rule::InvalidCharacter]);
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn whatever_is_read_is_by_the_rules_and_stays_as_it_was_entered(
            text in prop_oneof![hostile::text(), hostile::damaged_text("Alice.B-o_b9")]
        ) {
            if let Ok(name) = Username::parse(&text) {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!((5..=20).contains(&text.len()) && text.is_ascii());
                let again = Username::parse(name.canonical());
                prop_assert_eq!(again.map(|again| again.canonical().to_owned()), Ok(text.to_ascii_lowercase()));
            }
        }
    }
}
