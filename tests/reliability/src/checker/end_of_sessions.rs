//! The sessions that are stored in the end: those that must be and no others, whether anybody was told of them or not.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, SessionBook, UserBook};
use super::end::{Account, End, Session};
use super::register::Allows;
use super::sessions::{first_certain_end, first_possible_end, may_be};
use super::{Check, Findings};
use crate::history::{Call, Does, Record, Secret};

pub(super) fn check(books: &Books<'_>, end: &End, findings: &mut Findings) {
    let outlived = told(books, end, findings);
    of_nobody(books, end, &outlived, findings);
    findings.judged(Check::UntoldSessions, end.sessions.len());
    for account in &end.accounts {
        if let Some(user) = books.user(&account.name) {
            untold(books, end, account, user, findings);
        }
    }
}

/// Those that somebody was told of. Answers which of them are stored and must not be.
fn told<'a>(books: &'a Books<'_>, end: &End, findings: &mut Findings) -> BTreeSet<&'a str> {
    let stored: BTreeMap<&str, &Session> =
        end.sessions.iter().map(|session| (session.id.as_str(), session)).collect();
    let mut outlived = BTreeSet::new();
    for (id, session) in &books.sessions {
        let Some(user) = books.user(&session.user) else { continue };
        let row = stored.get(id.as_str());
        if let Some(ending) = first_certain_end(books, user, id, session) {
            let record = &books.records[ending];
            let what = || format!("a session of {} is stored after {:?}", session.user, record.call.does);
            findings.judge(stored_after(record), row.map(|_| what()), [session.opened, ending]);
            outlived.extend(row.map(|_| id.as_str()));
        }
        if !may_be(first_possible_end(books, user, id, session), end.at) {
            let what = || format!("a session of {} was opened and is not stored", session.user);
            findings.judge(Check::OpenedAndNotStored, row.is_none().then(what), [session.opened]);
        }
        // The end of a session is only ever put off.
        if let (Some(row), Some((number, expires))) = (row, session.expires) {
            let what = || format!("a session of {} was renewed and ends sooner than was said", session.user);
            findings.judge(
                Check::RenewedAndNotStored,
                (row.expires < expires).then(what),
                [session.opened, number],
            );
        }
    }
    outlived
}

/// Whose sessions are stored is there and may log in: whoever was inactivated has none, and opens none.
fn of_nobody(books: &Books<'_>, end: &End, outlived: &BTreeSet<&str>, findings: &mut Findings) {
    let accounts: BTreeMap<&str, &Account> =
        end.accounts.iter().map(|account| (account.id.as_str(), account)).collect();
    for session in end.sessions.iter().filter(|session| !outlived.contains(session.id.as_str())) {
        let wrong = match accounts.get(session.account.as_str()) {
            Some(account) if account.is_active => None,
            Some(account) => Some(format!("a session of {} is stored, who is inactive", account.name)),
            None => Some(format!("a session is stored of {}, an account that is not there", session.account)),
        };
        let opened = books.sessions.get(&session.id).map(|book| book.opened);
        findings.judge(Check::StoredOfTheInactive, wrong, opened);
    }
}

/// A session of which nobody was told is one whose log-in was not heard of: there are no more of them than of these, and none
/// of a log-in before an ending of all of the user's sessions.
fn untold(books: &Books<'_>, end: &End, account: &Account, user: &UserBook, findings: &mut Findings) {
    let is_untold =
        |session: &&Session| session.account == account.id && !books.sessions.contains_key(&session.id);
    let stored = end.sessions.iter().filter(is_untold).count();
    let opening = opening(books, &account.name, user);
    if stored > opening.len() {
        let (name, may) = (&account.name, opening.len());
        let what =
            format!("{stored} sessions of {name} are stored of which nobody was told, and {may} may be");
        findings.found(Check::UntoldSessions, what, opening.iter().map(|session| session.opened));
        return;
    }
    let ended: Vec<(usize, usize)> = opening
        .iter()
        .filter_map(|session| Some((session.opened, first_certain_end(books, user, "", session)?)))
        .collect();
    for (_, ending) in &ended {
        findings.judged(untold_after(&books.records[*ending]), 1);
    }
    let last = ended.iter().max_by_key(|(_, ending)| books.records[*ending].end);
    if let Some((opened, ending)) = last.filter(|_| stored > opening.len() - ended.len()) {
        let record = &books.records[*ending];
        let what = format!(
            "{stored} sessions of {} are stored of which nobody was told, some of them of before {:?}",
            account.name, record.call.does
        );
        findings.found(untold_after(record), what, [*opened, *ending]);
    }
}

/// What may have opened a session of which nobody was told: by a password that it may have had, while it may have been active.
fn opening(books: &Books<'_>, name: &str, user: &UserBook) -> Vec<SessionBook> {
    let opens = |(number, record): (usize, &Record)| {
        let (of, password): (&str, Secret) = match &record.call {
            Call { does: Does::LogIn, user: Some(of), shows: Some(password), .. } => (of, *password),
            Call { does: Does::ChangePassword, sets: Some(password), .. } => {
                (record.call.caller()?, *password)
            }
            _ => return None,
        };
        let effect = books.effect(number).filter(|_| record.answer().is_none() && of == name)?;
        let shown = Allows::Only(vec![record.call.shows]);
        let active = Allows::Only(vec![Some(true)]);
        let may_be = user.password.impossible(&shown, effect).is_none()
            && user.active.impossible(&active, effect).is_none();
        may_be.then(|| SessionBook::opened_by(number, name, password))
    };
    books.records.iter().enumerate().filter_map(opens).collect()
}

/// What a session is that is stored after that.
fn stored_after(ending: &Record) -> Check {
    match ending.call.does {
        Does::InactivateUser => Check::StoredAfterInactivation,
        Does::ChangePassword | Does::SetUserPassword => Check::StoredAfterItsPassword,
        _ => Check::StoredAfterItsEnd,
    }
}

/// What such a one is if nobody was told of it.
fn untold_after(ending: &Record) -> Check {
    match ending.call.does {
        Does::InactivateUser => Check::UntoldAfterInactivation,
        Does::ChangePassword | Does::SetUserPassword => Check::UntoldAfterItsPassword,
        _ => Check::StoredAfterItsEnd,
    }
}
