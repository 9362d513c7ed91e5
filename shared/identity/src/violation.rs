use std::borrow::Cow;

/// A rule that a field can break: a word for programs and a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The field must be given.
    Required,
    /// Fewer characters than this.
    TooShort {
        /// The fewest allowed, in characters (Unicode code points).
        min: usize,
    },
    /// More characters than this.
    TooLong {
        /// The most allowed, in characters (Unicode code points).
        max: usize,
    },
    /// A character that a username cannot have.
    InvalidCharacter,
    /// A username begins or ends with `.`, `_` or `-`.
    SeparatorAtEdge,
    /// A username has two of `.`, `_`, `-` in a row.
    ConsecutiveSeparators,
    /// One of the passwords that attackers try first.
    CommonPassword,
    /// The password repeats a unit that could not be a password itself.
    Repetitive,
    /// Too many characters of the password follow from the ones before.
    Predictable,
    /// The password contains the username, or is a part of it.
    ContainsUsername,
    /// The password contains the product's name.
    ContainsProductName,
    /// The new password is the current one.
    Unchanged,
    /// Not a UUID in the form that is asked for.
    NotAUuid,
    /// An enum field has its zero value.
    Unspecified,
    /// An enum field has a number that this version does not know.
    UnknownValue,
    /// An enum value that exists but cannot be given here.
    NotAllowed,
    /// A number below zero.
    Negative,
    /// A number outside its range.
    OutOfRange {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// Not one of the sort orders.
    UnknownOrder,
    /// Not a consistency token, or one that names a write that never was.
    NotAConsistencyToken,
    /// Not a page token that was made for this request.
    NotAPageToken,
    /// The request id belongs to a request with other content.
    RequestIdReused,
}

impl Rule {
    /// The word for programs: the `reason` of a field violation.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "REQUIRED",
            Self::TooShort { .. } => "TOO_SHORT",
            Self::TooLong { .. } => "TOO_LONG",
            Self::InvalidCharacter => "INVALID_CHARACTER",
            Self::SeparatorAtEdge => "SEPARATOR_AT_EDGE",
            Self::ConsecutiveSeparators => "CONSECUTIVE_SEPARATORS",
            Self::CommonPassword => "COMMON_PASSWORD",
            Self::Repetitive => "REPETITIVE",
            Self::Predictable => "PREDICTABLE",
            Self::ContainsUsername => "CONTAINS_USERNAME",
            Self::ContainsProductName => "CONTAINS_PRODUCT_NAME",
            Self::Unchanged => "UNCHANGED",
            Self::NotAUuid => "NOT_A_UUID",
            Self::Unspecified => "UNSPECIFIED",
            Self::UnknownValue => "UNKNOWN_VALUE",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::Negative => "NEGATIVE",
            Self::OutOfRange { .. } => "OUT_OF_RANGE",
            Self::UnknownOrder => "UNKNOWN_ORDER",
            Self::NotAConsistencyToken => "NOT_A_CONSISTENCY_TOKEN",
            Self::NotAPageToken => "NOT_A_PAGE_TOKEN",
            Self::RequestIdReused => "REQUEST_ID_REUSED",
        }
    }

    /// The sentence for people.
    #[must_use]
    pub fn description(self) -> Cow<'static, str> {
        match self {
            Self::Required => "must be given".into(),
            Self::TooShort { min } => format!("must have at least {min} characters").into(),
            Self::TooLong { max } => format!("must have at most {max} characters").into(),
            Self::InvalidCharacter => "may have only the characters A-Z a-z 0-9 . _ -".into(),
            Self::SeparatorAtEdge => "must begin and end with a letter or digit".into(),
            Self::ConsecutiveSeparators => "must not have two of . _ - in a row".into(),
            Self::CommonPassword => "is one of the passwords that attackers try first".into(),
            Self::Repetitive => "must not repeat something that is too short or easily guessed".into(),
            Self::Predictable => {
                "must not be mostly sequences, neighbouring keys, repetitions or common passwords".into()
            }
            Self::ContainsUsername => "must not contain the username or be a part of it".into(),
            Self::ContainsProductName => "must not contain the product's name".into(),
            Self::Unchanged => "must differ from the current one".into(),
            Self::NotAUuid => "must be a UUID in its canonical form".into(),
            Self::Unspecified => "must be a value other than unspecified".into(),
            Self::UnknownValue => "has a value that is not known".into(),
            Self::NotAllowed => "has a value that cannot be given here".into(),
            Self::Negative => "must not be negative".into(),
            Self::OutOfRange { min, max } => format!("must be between {min} and {max}").into(),
            Self::UnknownOrder => {
                "must be username, role, state, create_time or update_time, optionally followed by desc"
                    .into()
            }
            Self::NotAConsistencyToken => {
                "is not a consistency token of a write that was acknowledged".into()
            }
            Self::NotAPageToken => "is not a page token that was made for this request".into(),
            Self::RequestIdReused => "was used within 24 hours for a request with other content".into(),
        }
    }
}

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's name in the request.
    pub field: String,
    /// The rule as a word for programs.
    pub reason: String,
    /// The rule as a sentence for people.
    pub description: String,
}

impl Violation {
    /// This field breaks this rule.
    #[must_use]
    pub fn new(field: &str, rule: Rule) -> Self {
        Self {
            field: field.to_owned(),
            reason: rule.reason().to_owned(),
            description: rule.description().into_owned(),
        }
    }
}

/// All violations in one sentence for people: `username must be given; password must have at least 15 characters`.
#[must_use]
pub fn sentence(violations: &[Violation]) -> String {
    let sentences: Vec<_> =
        violations.iter().map(|one| format!("{} {}", one.field, one.description)).collect();
    sentences.join("; ")
}

/// Collects everything that is wrong with a request, so that it can be said at once.
///
/// Each field is parsed through [`field`](Self::field), which gives a value or notes why there is none; at the end
/// [`finish`](Self::finish) gives all violations or lets the values through.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Nothing is wrong yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Gives the parsed value, or notes the rule, or rules, that the field breaks.
    pub fn field<T>(&mut self, name: &str, parsed: Result<T, impl Into<BrokenRules>>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(broken) => {
                for rule in broken.into().0 {
                    self.0.push(Violation::new(name, rule));
                }
                None
            }
        }
    }

    /// Notes violations that somebody else found.
    pub fn extend(&mut self, violations: impl IntoIterator<Item = Violation>) {
        self.0.extend(violations);
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that was noted.
    #[must_use]
    pub fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    /// The value that was built from the parsed fields, if all could be parsed; else every violation.
    ///
    /// `value` is `None` only when a field could not be parsed, which noted a violation.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Violation>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// One rule or several.
#[derive(Debug)]
pub struct BrokenRules(Vec<Rule>);

impl From<Rule> for BrokenRules {
    fn from(rule: Rule) -> Self {
        Self(vec![rule])
    }
}

impl From<Vec<Rule>> for BrokenRules {
    fn from(rules: Vec<Rule>) -> Self {
        Self(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PageSize, Username};

    #[test]
    fn every_violated_field_is_named_at_once() {
        let mut violations = Violations::new();
        let name = violations.field("username", Username::parse("a..b"));
        let size = violations.field("page_size", PageSize::parse(-1));
        let broken = violations.finish(name.zip(size)).unwrap_err();
        let named: Vec<_> = broken.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
        assert_eq!(
            named,
            [("username", "TOO_SHORT"), ("username", "CONSECUTIVE_SEPARATORS"), ("page_size", "NEGATIVE")]
        );
    }
}
