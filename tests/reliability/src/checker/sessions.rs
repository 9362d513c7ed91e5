//! A session that was ended lets nobody in any more, on any process; one that nobody can have ended always does.

use super::books::{Books, SessionBook, UserBook};
use super::{Check, Findings};
use crate::history::{Call, Does, Moment, Record, Span, Who};

/// Whether a call that ends sessions of a user ends this one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    No,
    Perhaps,
    Certainly,
}

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    for (id, session) in &books.sessions {
        if let Some(user) = books.user(&session.user) {
            outlived(books, user, id, session, findings);
            refused(books, user, id, session, findings);
        }
    }
}

/// It lets nobody in after a call that certainly ended it.
fn outlived(books: &Books<'_>, user: &UserBook, id: &str, session: &SessionBook, findings: &mut Findings) {
    let Some(ending) = first_certain_end(books, user, id, session) else { return };
    let ended = &books.records[ending];
    let check = outlives(ended);
    let shown = shown_after(books, session, ended.end).filter(|(number, _)| *number != ending);
    let shown: Vec<(usize, bool)> = shown.collect();
    findings.judged(check, shown.len());
    if let Some((number, _)) = shown.into_iter().find(|(_, is_let_in)| *is_let_in) {
        let what = format!("a session of {} lets in after {:?}", session.user, ended.call.does);
        findings.found(check, what, [session.opened, ending, number]);
    }
}

/// It is refused only after a call that may have ended it, and always after it was refused once.
fn refused(books: &Books<'_>, user: &UserBook, id: &str, session: &SessionBook, findings: &mut Findings) {
    let first_end = first_possible_end(books, user, id, session);
    let is_certainly_alive = |number: &usize| !may_be(first_end, books.records[*number].end);
    findings.judged(Check::SessionRefused, session.let_in.iter().filter(|n| is_certainly_alive(n)).count());
    // What is wrong of a later refusal is wrong of the first.
    let refused = session.refused.iter().copied().min_by_key(|number| books.records[*number].end);
    let Some(refused) = refused else { return };
    if is_certainly_alive(&refused) {
        let what = format!("a session of {} is refused that nobody can have ended", session.user);
        findings.judge(Check::SessionRefused, Some(what), [session.opened, refused]);
        return;
    }
    let again: Vec<(usize, bool)> = shown_after(books, session, books.records[refused].end).collect();
    findings.judged(Check::EndedIsBack, again.len());
    if let Some((again, _)) = again.into_iter().find(|(_, is_let_in)| *is_let_in) {
        let what = format!("a session of {} lets in after it was refused as ended", session.user);
        findings.found(Check::EndedIsBack, what, [session.opened, refused, again]);
    }
}

/// The calls after that in which its token was shown, and whether that let in.
fn shown_after(
    books: &Books<'_>,
    session: &SessionBook,
    moment: Moment,
) -> impl Iterator<Item = (usize, bool)> {
    let let_in = session.let_in.iter().map(|number| (*number, true));
    let shown = let_in.chain(session.refused.iter().map(|number| (*number, false)));
    shown.filter(move |(number, _)| books.records[*number].start > moment)
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
        record.answer().is_some() && ends(books, user, *number, id, session) == Ends::Certainly
    });
    certain.min_by_key(|number| books.records[*number].end)
}

/// When the first of the calls began that can have ended it.
pub(super) fn first_possible_end(
    books: &Books<'_>,
    user: &UserBook,
    id: &str,
    session: &SessionBook,
) -> Option<Moment> {
    let possible = user.endings.iter().filter(|number| ends(books, user, **number, id, session) != Ends::No);
    possible.map(|number| books.records[*number].start).min()
}

/// Whether it can have ended by then.
pub(super) fn may_be(first_end: Option<Moment>, moment: Moment) -> bool {
    first_end.is_some_and(|begun| begun < moment)
}

/// What a session does that lets in after that.
fn outlives(ending: &Record) -> Check {
    match ending.call.does {
        Does::InactivateUser => Check::OutlivesInactivation,
        Does::ChangePassword | Does::SetUserPassword => Check::OutlivesItsPassword,
        _ => Check::OutlivesItsEnd,
    }
}

fn ends(books: &Books<'_>, user: &UserBook, number: usize, id: &str, session: &SessionBook) -> Ends {
    let (Some(effect), Some(opened)) = (books.effect(number), books.effect(session.opened)) else {
        return Ends::No;
    };
    let record = &books.records[number];
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
    if record.answer().is_some()
        && (was_before || cannot_be_after(books, user, record, effect, session, opened))
    {
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
    opened: Span,
) -> bool {
    let between = |undoes: usize| {
        books.effect(undoes).is_some_and(|span| span.from < opened.until && effect.from < span.until)
    };
    let changes = || user.changes.iter().map(|number| (*number, &books.records[*number].call));
    match record.call.does {
        Does::InactivateUser => {
            !changes().any(|(number, change)| change.does == Does::ReactivateUser && between(number))
        }
        Does::ChangePassword | Does::SetUserPassword => {
            record.call.sets != Some(session.password)
                && books.records[session.opened].call.does == Does::LogIn
                && !changes().any(|(number, change)| change.sets == Some(session.password) && between(number))
        }
        _ => false,
    }
}
