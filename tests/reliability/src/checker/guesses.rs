//! Where guesses at passwords are limited, no more of them are looked at than the rules allow, however many come at once
//! and to however many processes: a few, and then one for each delay, which doubles.

use std::collections::BTreeMap;

use super::{Check, End, Findings};
use crate::history::{Does, Outcome, Record};

/// So many failures are free.
const FREE: usize = 5;
/// The first delay ends a second after it began, by the database's clock and not by this one.
const SLACK: usize = 2;

/// Every guess of a history comes from the same address.
#[must_use]
pub fn check_guesses(records: &[Record]) -> Findings {
    let mut looked_at: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut findings = Findings::default();
    for (number, record) in records.iter().enumerate() {
        let Some(name) = record.call.user.as_deref().filter(|_| record.call.does == Does::LogIn) else {
            continue;
        };
        let guesses = looked_at.entry(name).or_default();
        match record.denial() {
            Some("INVALID_CREDENTIALS") => guesses.push(number),
            // A right password forgets the failures.
            _ if record.answer().is_some() => guesses.clear(),
            _ => {}
        }
        let Some(first) = guesses.first() else { continue };
        let lasted = record.end.since_beginning().saturating_sub(records[*first].start.since_beginning());
        let delays = usize::try_from((lasted.as_secs() + 1).ilog2()).unwrap_or(usize::MAX);
        let wrong = (guesses.len() > FREE + SLACK + delays).then(|| {
            format!("{} guesses at the password of {name} are looked at in {lasted:.1?}", guesses.len())
        });
        let is_wrong = wrong.is_some();
        findings.judge(Check::TooManyGuesses, wrong, guesses.iter().copied());
        if is_wrong {
            break;
        }
    }
    findings
}

/// Where guesses are not limited nobody is told that there were too many; and one patient client, when nothing fails, is not
/// told that too many want a hash.
#[must_use]
pub fn check_unlimited(records: &[Record], end: Option<&End>) -> Findings {
    let mut findings = Findings::default();
    for (number, record) in records.iter().enumerate() {
        if record.denial() == Some("RATE_LIMITED") {
            let wrong = "an answer that is none: RATE_LIMITED, and nothing is limited";
            findings.judge(Check::AnswerIsNone, Some(wrong.to_owned()), [number]);
        }
        let is_busy = matches!(&record.outcome, Outcome::NotDone(why) if why == HASHER_BUSY);
        if is_busy && end.is_some_and(|end| record.start > end.mended) {
            let wrong = format!("{HASHER_BUSY} is answered and nobody else wants a hash");
            findings.judge(Check::OutageOfNothing, Some(wrong), [number]);
        }
    }
    findings
}

/// What is said to whom there is no turn to hash for.
pub(super) const HASHER_BUSY: &str = "HASHER_BUSY";
