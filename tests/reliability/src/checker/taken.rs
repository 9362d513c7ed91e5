//! Whoever calls is taken for nobody else, and who is asked for is who is answered.

use super::books::Books;
use super::{Check, Findings};
use crate::history::{Answer, Does, Record, Who};

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    for (number, record) in books.records.iter().enumerate() {
        let Some(answer) = record.answer() else { continue };
        for (expected, is) in of(record, answer) {
            let what = || format!("{:?} is for {expected} and answered for {is}", record.call.does);
            findings.judge(Check::TakenForSomebodyElse, (expected != is).then(what), [number]);
        }
    }
}

/// Whom or what a call is about, and whom or what the answer is about.
fn of<'a>(record: &'a Record, answer: &'a Answer) -> impl Iterator<Item = (&'a str, &'a str)> {
    let (session, user) = match &record.call.who {
        Who::Session { id, user } => (Some(id.as_str()), Some(user.as_str())),
        _ => (None, None),
    };
    let asked_for = record.call.user.as_deref();
    let (of_session, of_user) = match record.call.does {
        Does::GetCurrentSession | Does::RefreshSession => (session, None),
        Does::GetCurrentUser => (None, user),
        _ => (None, asked_for),
    };
    let sessions = of_session.zip(answer.session.as_deref());
    let users = of_user.zip(answer.user.as_ref().map(|seen| seen.name.as_str()));
    sessions.into_iter().chain(users)
}
