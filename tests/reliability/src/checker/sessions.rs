//! A session that was ended lets nobody in any more, on any process; one that nobody can have ended always does.

use super::books::{Books, SessionBook, UserBook};
use super::{Invariant, Violation};
use crate::history::{Call, Does, Moment, Record, Span, Who};

/// Whether a call that ends sessions of a user ends this one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    No,
    Perhaps,
    Certainly,
}

pub(super) fn check(books: &Books<'_>) -> Vec<Violation> {
    books.sessions.iter().flat_map(|(id, session)| outlived(books, id, session)).collect()
}

/// The first call of each kind that cannot be.
fn outlived(books: &Books<'_>, id: &str, session: &SessionBook) -> Vec<Violation> {
    let Some(user) = books.user(&session.user) else { return Vec::new() };
    let mut violations = Vec::new();
    let let_in = || session.let_in.iter().map(|number| (*number, &books.records[*number]));
    if let Some(ending) = first_certain_end(books, user, id, session) {
        let ended = &books.records[ending];
        let late = let_in().find(|(number, record)| *number != ending && record.start > ended.end);
        if let Some((number, _)) = late {
            let what = format!("a session of {} lets in after {:?}", session.user, ended.call.does);
            violations.push(Violation::new(broken_by(ended), what, [session.opened, ending, number]));
        }
    }
    let mut refusals: Vec<usize> = session.refused.clone();
    refusals.sort_by_key(|number| books.records[*number].end);
    for number in refusals {
        let refused = &books.records[number];
        if may_have_ended_before(books, user, id, session, refused.end) {
            let back = let_in().find(|(_, record)| record.start > refused.end);
            if let Some((again, _)) = back {
                let what = format!("a session of {} lets in after it was refused as ended", session.user);
                violations.push(Violation::new(Invariant::I4, what, [session.opened, number, again]));
                break;
            }
        } else {
            let what = format!("a session of {} is refused that nobody can have ended", session.user);
            violations.push(Violation::new(Invariant::I10, what, [session.opened, number]));
            break;
        }
    }
    violations
}

/// Which of the calls that certainly ended it was answered first.
pub(super) fn first_certain_end(
    books: &Books<'_>,
    user: &UserBook,
    id: &str,
    session: &SessionBook,
) -> Option<usize> {
    let certain = user.endings.iter().copied().filter(|number| {
        let record = &books.records[*number];
        record.answer().is_some() && ends(books, user, record, id, session) == Ends::Certainly
    });
    certain.min_by_key(|number| books.records[*number].end)
}

/// Whether any call that began by then can have ended it.
pub(super) fn may_have_ended_before(
    books: &Books<'_>,
    user: &UserBook,
    id: &str,
    session: &SessionBook,
    moment: Moment,
) -> bool {
    user.endings.iter().any(|number| {
        let record = &books.records[*number];
        record.start < moment && ends(books, user, record, id, session) != Ends::No
    })
}

/// Which invariant says that the session is over then.
pub(super) fn broken_by(ending: &Record) -> Invariant {
    match ending.call.does {
        Does::InactivateUser => Invariant::I3,
        Does::ChangePassword | Does::SetUserPassword => Invariant::I5,
        _ => Invariant::I4,
    }
}

fn ends(books: &Books<'_>, user: &UserBook, record: &Record, id: &str, session: &SessionBook) -> Ends {
    let Some(effect) = record.effect() else { return Ends::No };
    let opened = books.records[session.opened].span();
    let own = matches!(&record.call.who, Who::Session { id: current, .. } if current == id);
    let concerns = match &record.call {
        Call { does: Does::LogOut, .. } => own,
        Call { does: Does::RevokeSession | Does::RevokeUserSessions, session: Some(one), .. } => one == id,
        Call { does: Does::RevokeAllSessions, keeps_current: true, .. } => !own,
        _ => record.answer().is_none_or(|answer| answer.session.as_deref() != Some(id)),
    };
    if !concerns || effect.is_before(opened) {
        return Ends::No;
    }
    let was_before = opened.is_before(effect);
    if record.answer().is_some() && (was_before || cannot_be_after(books, user, record, effect, session)) {
        Ends::Certainly
    } else {
        Ends::Perhaps
    }
}

/// Of two calls that were under way at the same time: whether the session cannot have been opened after the other's
/// effect, because it would not have been opened then.
fn cannot_be_after(
    books: &Books<'_>,
    user: &UserBook,
    record: &Record,
    effect: Span,
    session: &SessionBook,
) -> bool {
    let opened = books.records[session.opened].span();
    let between = |undoes: &Record| {
        undoes.effect().is_some_and(|span| span.from < opened.until && effect.from < span.until)
    };
    let changes = || user.changes.iter().map(|number| &books.records[*number]);
    match record.call.does {
        Does::InactivateUser => {
            !changes().any(|change| change.call.does == Does::ReactivateUser && between(change))
        }
        Does::ChangePassword | Does::SetUserPassword => {
            record.call.sets != Some(session.password)
                && books.records[session.opened].call.does == Does::LogIn
                && !changes().any(|change| change.call.sets == Some(session.password) && between(change))
        }
        _ => false,
    }
}
