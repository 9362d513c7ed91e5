//! The rules of the workspace that neither the compiler nor a lint can state: who may name whom, what a file may be
//! called and how long it may grow.
//!
//! Each rule is a function from something small (one source, the list of packages) to what breaks it, so that each is
//! tested on a bad example beside it; `tests/workspace.rs` applies them all to this workspace. The crate reads Rust as
//! tokens, not as text, so a word in a comment or a string never counts. It knows no type of the workspace: that
//! would make it part of what it judges.

pub mod defects;
pub mod dependencies;
pub mod documentation;
pub mod imports;
pub mod lints;
pub mod naming;
mod paths;
pub mod source;
pub mod tested;

pub use paths::{Mention, NotRust, mentions};
pub use source::Source;

use std::fmt;

/// A place where a rule is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file or the package.
    pub place: String,
    /// What is wrong, as a sentence.
    pub what: String,
}

impl Violation {
    /// A violation at `place`.
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
