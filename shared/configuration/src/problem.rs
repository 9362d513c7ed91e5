//! What is wrong with a configuration, for the person who repairs it. Never shows the value of a secret: a
//! value reaches a [`Problem`] only in the form in which it may be printed.

use std::fmt;

use crate::source::Source;

/// One thing that is wrong: the key, what was given for it, why that will not do, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted, as in `session.idle_timeout`; `None` when a whole file is at fault.
    key: Option<String>,
    /// Already masked, already on one line.
    shown: Option<String>,
    why: String,
    source: Source,
}

impl Problem {
    pub(crate) fn of_key(key: String, shown: Option<String>, why: impl Into<String>, source: Source) -> Self {
        Self { key: Some(key), shown, why: why.into(), source }
    }

    pub(crate) fn of_source(why: impl Into<String>, source: Source) -> Self {
        Self { key: None, shown: None, why: why.into(), source }
    }

    /// The key at fault, as in `session.idle_timeout`; `None` when a whole file is.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.key, &self.shown) {
            (Some(key), Some(shown)) => write!(f, "{key} = {shown}: {} ({})", self.why, self.source),
            (Some(key), None) => write!(f, "{key}: {} ({})", self.why, self.source),
            (None, _) => write!(f, "{}: {}", self.source, self.why),
        }
    }
}

/// Everything that is wrong with a configuration: never empty. Displays as one indented line per problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `None` if there is nothing to complain about.
    pub(crate) fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "  {problem}"))
    }
}

impl std::error::Error for Problems {}
