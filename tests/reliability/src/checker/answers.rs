//! What no call may be answered, whatever was done before.

use super::{Invariant, Violation};
use crate::history::{Outcome, Record, UNAUTHENTICATED, Who};

/// What is said of a bearer, or of a password: never to whoever brings neither.
pub(super) fn check(records: &[Record]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, record) in records.iter().enumerate() {
        match (&record.outcome, &record.call.who) {
            (Outcome::Broken(why), _) => {
                violations.push(Violation::new(
                    Invariant::I10,
                    format!("an answer that is none: {why}"),
                    [number],
                ));
            }
            (_, Who::Forger) if record.was_let_in() => {
                violations.push(Violation::new(Invariant::I9, "a forged token lets in".into(), [number]));
            }
            (Outcome::Denied(refusal), Who::Nobody) if refusal.reason == UNAUTHENTICATED => {
                let what = "whoever needs no token is refused for its token".into();
                violations.push(Violation::new(Invariant::I10, what, [number]));
            }
            _ => {}
        }
    }
    violations.truncate(5);
    violations
}
