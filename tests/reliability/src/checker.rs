//! Proves from a history, and from what is stored in the end, that the invariants held; or says what broke one.
//!
//! It knows no service and asks nobody. A call that was answered OK took effect between its start and its end; one whose
//! outcome is unknown at any moment after its start, or never; one that was refused at none. What follows from that by real
//! time alone is held against every answer, so nothing that can be true is called a violation.
//!
//! The price is what an unknown outcome hides. After one unheard ending of a user's sessions none of them that is refused is
//! refused wrongly, those included that are opened later, and after one unheard change of a state or a role that may be
//! either way, once, at any time. The services' own limits are no way out: what faults hold and the limits let pass add up to
//! longer than a round. So after each fault the clients pause until no process has anything under way (see [`crate::rest`]);
//! what was unheard before has happened by then or never will. What the feed brings later than that is excepted (what is
//! shown, and etags), and what operators did.
//!
//! Each [`Check`] counts what it looks at: only what could have been wrong, so that a check that never looked is known.

mod accounts;
mod answers;
mod books;
mod checks;
mod denials;
mod end;
mod end_of_sessions;
mod etags;
mod findings;
mod guesses;
mod register;
mod sessions;
mod story;
mod super_admins;
mod taken;
mod values;

pub use test_kit::Invariant;

use self::books::Books;
pub use self::checks::Check;
pub use self::end::{Account, End, Session, User};
pub use self::findings::{Findings, Violation};
pub use self::guesses::{check_guesses, check_unlimited};
pub use self::story::story;
use crate::history::Record;

/// Everything that a history shows: of each user and session what was wrong first, with its story.
#[must_use]
pub fn check(records: &[Record], end: Option<&End>) -> Findings {
    let books = Books::of(records, end);
    let mut findings = Findings::default();
    answers::check(records, end, &mut findings);
    denials::check(&books, end, &mut findings);
    taken::check(&books, &mut findings);
    accounts::check(&books, &mut findings);
    values::check(&books, &mut findings);
    sessions::check(&books, &mut findings);
    etags::check(&books, &mut findings);
    super_admins::check(&books, &mut findings);
    if let Some(end) = end {
        end::check(&books, end, &mut findings);
    }
    findings
}

#[cfg(test)]
mod tests;
