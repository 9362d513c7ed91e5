//! What must hold whatever goes wrong, by the numbers that `docs/reliability.md` gives it.

use std::fmt;

/// An invariant.
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
            Self::I11 => "no secret in what is said",
            Self::I12 => "everything stays bounded",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
