//! Proves from a history, and from what is stored in the end, that the invariants held; or says what broke one.
//!
//! It knows no service and asks nobody. A call that was answered OK took effect between its start and its end; one whose
//! outcome is unknown at any moment after its start, or never; one that was refused at none. What follows from that by real
//! time alone is held against every answer, so nothing that can be true is called a violation.

mod accounts;
mod answers;
mod books;
mod end;
mod etags;
mod guesses;
mod register;
mod sessions;
mod story;
mod super_admins;
mod values;

use std::fmt;

use self::books::Books;
pub use self::end::{Account, End, Session, User};
pub use self::guesses::check_guesses;
use crate::history::Record;

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// What was answered OK is never lost, and nothing goes back by itself.
    I1,
    /// Every account has one user and the reverse, in the end, and both say the same of it.
    I2,
    /// Whoever was inactivated, or is no admin any more, does nothing with the old right.
    I3,
    /// No session outlives its end.
    I4,
    /// No session outlives a change of the password.
    I5,
    /// A name exists once.
    I6,
    /// There is an active super admin.
    I7,
    /// A repeat has the effect of one call.
    I8,
    /// Nobody is let in without a right.
    I9,
    /// An outage is no denial, and a denial no outage.
    I10,
    /// No secret in what is said.
    I11,
    /// Everything stays bounded.
    I12,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
    ];

    /// What it says, in a few words.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::I1 => "what was answered OK is never lost",
            Self::I2 => "every account one user, and the reverse",
            Self::I3 => "no right outlives its withdrawal",
            Self::I4 => "no session outlives its end",
            Self::I5 => "no session outlives its password",
            Self::I6 => "a name exists once",
            Self::I7 => "there is an active super admin",
            Self::I8 => "a repeat has the effect of one call",
            Self::I9 => "nobody is let in without a right",
            Self::I10 => "an outage is no denial, nor the reverse",
            Self::I11 => "no secret in a log",
            Self::I12 => "everything stays bounded",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What was broken.
    pub invariant: Invariant,
    /// How.
    pub what: String,
    /// Which records tell of it, in order.
    pub records: Vec<usize>,
}

impl Violation {
    /// One that no call tells of.
    #[must_use]
    pub fn outside(invariant: Invariant, what: String) -> Self {
        Self { invariant, what, records: Vec::new() }
    }

    fn new(invariant: Invariant, what: String, records: impl IntoIterator<Item = usize>) -> Self {
        let mut records: Vec<usize> = records.into_iter().collect();
        records.sort_unstable();
        records.dedup();
        Self { invariant, what, records }
    }
}

/// Everything that is broken: of each user and session what was first, with its story.
#[must_use]
pub fn check(records: &[Record], end: Option<&End>) -> Vec<Violation> {
    let books = Books::of(records, end);
    let mut violations = answers::check(records, end);
    violations.extend(accounts::check(&books));
    violations.extend(values::check(&books));
    violations.extend(sessions::check(&books));
    violations.extend(etags::check(&books));
    violations.extend(super_admins::check(&books));
    violations.extend(end.into_iter().flat_map(|end| end::check(&books, end)));
    violations
}

pub use self::story::story;

#[cfg(test)]
mod tests;
