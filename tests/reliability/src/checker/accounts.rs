//! A name is one user's, whoever asked for it how often; and who was made is there.

use std::collections::BTreeSet;

use super::books::{Books, UserBook, same_request};
use super::{Invariant, Violation};
use crate::history::{Does, Record};

pub(super) fn check(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, user) in &books.users {
        violations.extend(twice(books, name, user));
        violations.extend(other_ids(books, name));
    }
    for (number, record) in books.records.iter().enumerate() {
        violations.extend(refused(books, number, record));
        violations.extend(missed(number, record, books));
    }
    violations
}

/// Two calls with different contents cannot both have made it; two with the same made the same.
fn twice(books: &Books<'_>, name: &str, user: &UserBook) -> Option<Violation> {
    let ok = |number: &usize| books.records[*number].answer().map(|answer| (*number, answer));
    let made: Vec<_> = user.makings.iter().filter_map(ok).collect();
    let (first, answer) = made.first()?;
    let call = &books.records[*first].call;
    made.iter().skip(1).find_map(|(number, other)| {
        let story = [*first, *number];
        if !same_request(call, &books.records[*number].call) {
            return Some(Violation::new(Invariant::I6, format!("{name} was made twice"), story));
        }
        let what = format!("a repeat of the making of {name} made another user");
        (other.id != answer.id).then(|| Violation::new(Invariant::I8, what, story))
    })
}

/// A user is always shown with the same id.
fn other_ids(books: &Books<'_>, name: &str) -> Option<Violation> {
    let mut first: Option<(usize, &str)> = None;
    for (number, record) in books.records.iter().enumerate() {
        let Some(answer) = record.answer() else { continue };
        for seen in answer.user.iter().chain(&answer.listed).filter(|seen| seen.name == name) {
            match first {
                Some((before, id)) if id != seen.id => {
                    let what = format!("{name} is shown with two ids");
                    return Some(Violation::new(Invariant::I6, what, [before, number]));
                }
                Some(_) => {}
                None => first = Some((number, &seen.id)),
            }
        }
    }
    None
}

/// A list by name, which never changes, has everybody once who was created before it was begun. Who signed up comes with
/// the feed.
fn missed(number: usize, record: &Record, books: &Books<'_>) -> Option<Violation> {
    let listed = &record.answer().filter(|answer| answer.is_whole)?.listed;
    let ids: BTreeSet<&str> = listed.iter().map(|seen| seen.id.as_str()).collect();
    if ids.len() < listed.len() {
        return Some(Violation::new(Invariant::I1, "a list by name has somebody twice".into(), [number]));
    }
    let names: BTreeSet<&str> = listed.iter().map(|seen| seen.name.as_str()).collect();
    books.users.iter().find_map(|(name, user)| {
        let made = |making: &&usize| {
            let made = &books.records[**making];
            made.answer().is_some() && made.call.does != Does::SignUp && made.span().is_before(record.span())
        };
        let making = user.makings.iter().find(made).filter(|_| !names.contains(name.as_str()))?;
        Some(Violation::new(
            Invariant::I1,
            format!("{name} was created and is not listed"),
            [*making, number],
        ))
    })
}

fn refused(books: &Books<'_>, number: usize, record: &Record) -> Option<Violation> {
    let name = record.call.user.as_deref()?;
    let user = books.user(name)?;
    let reason = record.denial()?;
    let others = || user.makings.iter().filter(|other| **other != number);
    let (invariant, what, because) = match reason {
        "USERNAME_TAKEN" => {
            let may_have_taken = others().any(|other| {
                let other = &books.records[*other];
                other.start < record.end && !same_request(&other.call, &record.call)
            });
            if may_have_taken {
                return None;
            }
            (
                Invariant::I8,
                format!("a repeat of the making of {name} finds the name taken"),
                user.makings.first(),
            )
        }
        "USER_NOT_FOUND" => {
            user.made.filter(|made| made.is_before(record.span()))?;
            (Invariant::I1, format!("{name} was made and is not found"), user.makings.first())
        }
        "REQUEST_ID_REUSED" => {
            // The password that the first one set may have been changed meanwhile.
            if !user.changes.is_empty() {
                return None;
            }
            (
                Invariant::I8,
                format!("a repeat of the making of {name} is not recognised"),
                user.makings.first(),
            )
        }
        _ => return None,
    };
    Some(Violation::new(invariant, what, because.copied().into_iter().chain([number])))
}
