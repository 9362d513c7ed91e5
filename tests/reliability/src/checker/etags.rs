//! An etag is good for as long as the user is as it was when it was read.
//!
//! Versions only grow, so one that was seen after another is the newer one, and the older one is never accepted again.

use std::collections::BTreeMap;

use super::books::Books;
use super::{Invariant, Violation};
use crate::history::{Does, Record};

pub(super) fn check(books: &Books<'_>) -> Vec<Violation> {
    let mut sights: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (number, record) in books.records.iter().enumerate() {
        let answer = record.answer().into_iter();
        for seen in answer.flat_map(|answer| answer.user.iter().chain(&answer.listed)) {
            sights.entry(&seen.name).or_default().push((number, &seen.etag));
        }
    }
    let mut violations = Vec::new();
    for (number, record) in books.records.iter().enumerate() {
        let Some((name, etag)) = record.call.user.as_deref().zip(record.call.etag.as_deref()) else {
            continue;
        };
        let Some(sights) = sights.get(name) else { continue };
        // Where it was read: whatever was seen after that and is another one is newer.
        let read = sights.iter().filter(|(_, seen)| *seen == etag).map(|(number, _)| *number);
        let Some(read) = read.min_by_key(|number| books.records[*number].end) else { continue };
        if record.answer().is_some() {
            violations.extend(accepted_stale(books, number, record, read, etag, sights));
        } else if record.denial() == Some("ETAG_MISMATCH") {
            violations.extend(refused_fresh(books, number, record, read, name));
        }
    }
    violations.truncate(3);
    violations
}

fn accepted_stale(
    books: &Books<'_>,
    number: usize,
    record: &Record,
    read: usize,
    etag: &str,
    sights: &[(usize, &str)],
) -> Option<Violation> {
    let newer = sights.iter().map(|(other, seen)| (*other, *seen)).find(|(other, seen)| {
        let other = &books.records[*other];
        *seen != etag
            && books.records[read].span().is_before(other.span())
            && other.span().is_before(record.span())
    });
    let (newer, _) = newer?;
    let what = format!("a stale etag of {} is accepted", record.call.user.as_deref().unwrap_or_default());
    Some(Violation::new(Invariant::I8, what, [read, newer, number]))
}

fn refused_fresh(
    books: &Books<'_>,
    number: usize,
    record: &Record,
    read: usize,
    name: &str,
) -> Option<Violation> {
    let user = books.user(name)?;
    let since = books.records[read].start;
    let may_have_changed = user.changes.iter().any(|change| {
        let effect = books.records[*change].effect();
        *change != number && effect.is_some_and(|span| span.from < record.end && since < span.until)
    });
    // The feed brings what it brings late only to users that were made meanwhile, or changed.
    if may_have_changed || record.call.does == Does::CreateUser {
        return None;
    }
    let what = format!("a fresh etag of {name} is refused");
    Some(Violation::new(Invariant::I8, what, [read, number]))
}
