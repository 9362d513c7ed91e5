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

    /// Of a variable whose name somebody else's standard gives, see [`standard_variable`](crate::standard_variable). Its value
    /// is shown only where `why` shows it.
    #[must_use]
    pub fn of_variable(name: &str, why: impl Into<String>) -> Self {
        Self::of_source(why, Source::Variable(name.to_owned()))
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
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// What was read of two places, or everything that is wrong with either.
    ///
    /// # Errors
    /// The problems of the one, and behind them those of the other.
    pub fn of_both<A, B>(one: Result<A, Self>, other: Result<B, Self>) -> Result<(A, B), Self> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            (Err(one), Err(other)) => Err(Self(one.0.into_iter().chain(other.0).collect())),
            (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problems_of_two_places_are_one_list() {
        let bad =
            |name: &str| -> Result<(), Problems> { Err(Problems(vec![Problem::of_variable(name, "bad")])) };
        assert_eq!(Problems::of_both(Ok(1), Ok(2)), Ok((1, 2)));
        let said = |result: Result<_, Problems>| result.expect_err("bad").to_string();
        assert_eq!(said(Problems::of_both(bad("A"), Ok(2)).map(drop)), "  environment variable A: bad\n");
        assert_eq!(
            said(Problems::of_both(bad("A"), bad("B")).map(drop)),
            "  environment variable A: bad\n  environment variable B: bad\n"
        );
    }
}
