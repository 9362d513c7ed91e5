//! What no call may be answered, whatever was done before.

use super::guesses::HASHER_BUSY;
use super::{Check, End, Findings};
use crate::history::{Outcome, Record, UNAUTHENTICATED, Who};

/// What no answer may be, what is never answered to a forger or to whoever needs no token, and what is not answered once
/// nothing fails any more.
pub(super) fn check(records: &[Record], end: Option<&End>, findings: &mut Findings) {
    let calls = records.iter().enumerate().filter(|(_, record)| record.call.who != Who::Operator);
    for (number, record) in calls {
        let wrong = match &record.outcome {
            Outcome::Broken(why) => Some(format!("an answer that is none: {why}")),
            _ => None,
        };
        findings.judge(Check::AnswerIsNone, wrong, [number]);
        match record.call.who {
            Who::Forger if record.is_decided() => {
                let wrong = record.was_let_in().then(|| "a forged token lets in".to_owned());
                findings.judge(Check::ForgedTokenLetsIn, wrong, [number]);
            }
            Who::Nobody if record.is_decided() => {
                let is_refused = record.denial() == Some(UNAUTHENTICATED);
                let wrong = is_refused.then(|| "whoever needs no token is refused for its token".to_owned());
                findings.judge(Check::RefusedForItsToken, wrong, [number]);
            }
            _ => {}
        }
        if end.is_some_and(|end| record.start > end.mended) {
            findings.judge(Check::OutageOfNothing, outage(&record.outcome), [number]);
        }
    }
}

/// An outage that is answered. That too many want a hash at once is none: of that see `guesses`.
fn outage(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Unknown(why) | Outcome::NotDone(why) if why != HASHER_BUSY => {
            Some(format!("{why} is answered and nothing fails"))
        }
        _ => None,
    }
}
