//! Where guesses at passwords are limited, no more of them are looked at than the rules allow, however many come at once
//! and to however many processes: a few, and then one for each delay, which doubles.

use std::collections::BTreeMap;

use super::{Invariant, Violation};
use crate::history::{Does, Record};

/// So many failures are free.
const FREE: usize = 5;
/// The first delay ends a second after it began, by the database's clock and not by this one.
const SLACK: usize = 2;

/// Every guess of a history comes from the same address.
#[must_use]
pub fn check_guesses(records: &[Record]) -> Vec<Violation> {
    let mut looked_at: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut violations = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let Some(name) = record.call.user.as_deref().filter(|_| record.call.does == Does::LogIn) else {
            continue;
        };
        match record.denial() {
            Some("INVALID_CREDENTIALS") => looked_at.entry(name).or_default().push(number),
            // A right password forgets the failures.
            _ if record.answer().is_some() => looked_at.entry(name).or_default().clear(),
            _ => {}
        }
        let guesses = looked_at.entry(name).or_default();
        let Some(first) = guesses.first() else { continue };
        let lasted = record.end.since_beginning().saturating_sub(records[*first].start.since_beginning());
        let delays = usize::try_from((lasted.as_secs() + 1).ilog2()).unwrap_or(usize::MAX);
        if guesses.len() > FREE + SLACK + delays {
            let what =
                format!("{} guesses at the password of {name} are looked at in {lasted:.1?}", guesses.len());
            violations.push(Violation::new(Invariant::I9, what, guesses.iter().copied()));
            break;
        }
    }
    violations
}
