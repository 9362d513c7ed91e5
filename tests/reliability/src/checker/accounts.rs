//! A name is one user's, whoever asked for it how often; and who was made is there.

use std::collections::{BTreeMap, BTreeSet};

use e2e::Service;

use super::books::{Books, UserBook, same_request};
use super::{Check, Findings};
use crate::history::{Does, Record};

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    other_ids(books, findings);
    for (number, record) in books.records.iter().enumerate() {
        missed(number, record, books, findings);
        let named = record.call.user.as_deref().and_then(|name| Some((name, books.user(name)?)));
        let Some((name, user)) = named.filter(|_| record.is_decided()) else { continue };
        if record.call.creates().is_some() {
            made_again(books, (number, record), name, user, findings);
            refused(books, (number, record), name, user, findings);
        } else if record.call.does.served_by() == Service::Users
            && user.made.is_some_and(|made| made.is_before(record.span()))
        {
            let is_missing = record.denial() == Some("USER_NOT_FOUND");
            let wrong = is_missing.then(|| format!("{name} was made and is not found"));
            findings.judge(
                Check::UserNotFound,
                wrong,
                user.makings.first().copied().into_iter().chain([number]),
            );
        }
    }
}

/// Two calls with different contents cannot both have made it; two with the same made the same.
fn made_again(
    books: &Books<'_>,
    (number, record): (usize, &Record),
    name: &str,
    user: &UserBook,
    findings: &mut Findings,
) {
    let first = user.makings.iter().find_map(|made| Some((*made, books.records[*made].answer()?)));
    let Some((first, made)) = first.filter(|(first, _)| *first != number) else { return };
    let again = record.answer();
    if same_request(&books.records[first].call, &record.call) {
        let another = again.filter(|again| again.id != made.id);
        let wrong = another.map(|_| format!("a repeat of the making of {name} made another user"));
        findings.judge(Check::RepeatMadeAnother, wrong, [first, number]);
    } else {
        findings.judge(
            Check::NameMadeTwice,
            again.map(|_| format!("{name} was made twice")),
            [first, number],
        );
    }
}

/// A name is taken by another request or not at all, and a request is known by its mark.
fn refused(
    books: &Books<'_>,
    (number, record): (usize, &Record),
    name: &str,
    user: &UserBook,
    findings: &mut Findings,
) {
    let others = || user.makings.iter().copied().filter(|other| *other != number);
    let story = || others().next().into_iter().chain([number]);
    let may_have_taken = others().any(|other| {
        let other = &books.records[other];
        other.start < record.end && !same_request(&other.call, &record.call)
    });
    if !may_have_taken {
        let wrong = (record.denial() == Some("USERNAME_TAKEN")).then(|| match others().next() {
            Some(_) => format!("a repeat of the making of {name} finds the name taken"),
            None => format!("{name} is taken and nobody can have taken it"),
        });
        findings.judge(Check::NameTakenByNobodyElse, wrong, story());
    }
    // Where there are changes, the password that the first one set may be another by now.
    if record.call.request_id.is_some() && user.changes.is_empty() {
        let is_refused = record.denial() == Some("REQUEST_ID_REUSED");
        let wrong = is_refused.then(|| format!("a repeat of the making of {name} is not recognised"));
        findings.judge(Check::RepeatNotRecognised, wrong, story());
    }
}

/// A user is always shown with the same id.
fn other_ids(books: &Books<'_>, findings: &mut Findings) {
    let mut first: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for (number, record) in books.records.iter().enumerate() {
        let Some(answer) = record.answer() else { continue };
        for seen in answer.user.iter().chain(&answer.listed) {
            let (before, id) = *first.entry(&seen.name).or_insert((number, &seen.id));
            findings.judged(Check::NameShownWithTwoIds, usize::from(before != number));
            if id != seen.id && told.insert(&seen.name) {
                let what = format!("{} is shown with two ids", seen.name);
                findings.found(Check::NameShownWithTwoIds, what, [before, number]);
            }
        }
    }
}

/// A list by name, which never changes, has everybody once who was created before it was begun. Who signed up comes with
/// the feed.
fn missed(number: usize, record: &Record, books: &Books<'_>, findings: &mut Findings) {
    let Some(answer) = record.answer().filter(|answer| answer.is_whole) else { return };
    let ids: BTreeSet<&str> = answer.listed.iter().map(|seen| seen.id.as_str()).collect();
    let is_twice = ids.len() < answer.listed.len();
    let wrong = is_twice.then(|| "a list by name has somebody twice".to_owned());
    findings.judge(Check::ListedTwice, wrong, [number]);

    let names: BTreeSet<&str> = answer.listed.iter().map(|seen| seen.name.as_str()).collect();
    for (name, user) in &books.users {
        let made = |making: &&usize| {
            let made = &books.records[**making];
            made.answer().is_some() && made.call.does != Does::SignUp && made.span().is_before(record.span())
        };
        if let Some(making) = user.makings.iter().find(made) {
            let is_missing = !names.contains(name.as_str());
            let wrong = is_missing.then(|| format!("{name} was created and is not listed"));
            findings.judge(Check::UserNotListed, wrong, [*making, number]);
        }
    }
}
