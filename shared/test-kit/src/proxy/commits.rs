//! Which commits are cut off, and when.

use std::sync::{Mutex, PoisonError};

/// When the connection of a commit is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the server hears of the commit.
    Before,
    /// While the server commits.
    During,
    /// When the server has committed and said so: the answer is lost, and the client hears that the connection is.
    After,
    /// The same, but the client hears nothing at all, and the connection stays.
    Silence,
}

/// Which commits, of all that come from now on, on whatever connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// None, as at first.
    None,
    /// The one of this number, counted from 1, and no other.
    Nth(u64),
    /// Every one.
    Every,
}

/// Counts them down.
#[derive(Debug, Default)]
pub(super) struct Cutter(Mutex<Option<(Cut, Commits)>>);

impl Cutter {
    pub(super) fn set(&self, cut: Cut, commits: Commits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((cut, commits));
    }

    /// What becomes of the commit that comes now.
    pub(super) fn next(&self) -> Option<Cut> {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (cut, commits) = (*set)?;
        match commits {
            Commits::Every => Some(cut),
            Commits::Nth(1) => {
                *set = None;
                Some(cut)
            }
            Commits::Nth(number) => {
                *set = Some((cut, Commits::Nth(number.saturating_sub(1))));
                None
            }
            Commits::None => None,
        }
    }
}
