//! What no call may be answered, whatever was done before.

use super::{End, Invariant, Violation};
use crate::history::{Outcome, Record, UNAUTHENTICATED, Who};

/// What no answer may be, what is never answered to a forger or to whoever needs no token, and what is not answered once
/// nothing fails any more.
pub(super) fn check(records: &[Record], end: Option<&End>) -> Vec<Violation> {
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
            (Outcome::Unknown(why) | Outcome::NotDone(why), who)
                if *who != Who::Operator
                    && why != "HASHER_BUSY"
                    && end.is_some_and(|end| record.start > end.mended) =>
            {
                let what = format!("{why} is answered and nothing fails");
                violations.push(Violation::new(Invariant::I10, what, [number]));
            }
            _ => {}
        }
    }
    violations.truncate(5);
    violations
}
