//! An etag is good for as long as the user is as it was when it was read.
//!
//! Versions only grow, so one that was seen after another is the newer one, and the older one is never accepted again.

use std::collections::BTreeMap;

use super::books::Books;
use super::{Check, Findings};
use crate::history::{Does, Record};

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    let mut sights: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (number, record) in books.records.iter().enumerate() {
        let answer = record.answer().into_iter();
        for seen in answer.flat_map(|answer| answer.user.iter().chain(&answer.listed)) {
            sights.entry(&seen.name).or_default().push((number, &seen.etag));
        }
    }
    for (number, record) in books.records.iter().enumerate() {
        // To whoever knows none it is said that it is stale: that is for `denials`.
        let Some((name, etag)) = record.call.user.as_deref().zip(record.call.etag.as_deref()) else {
            continue;
        };
        let is_accepted = record.answer().is_some();
        if !is_accepted && record.denial() != Some("ETAG_MISMATCH") {
            continue;
        }
        let Some(sights) = sights.get(name) else { continue };
        // Where it was read: whatever was seen after that and is another one is newer.
        let read = sights.iter().filter(|(_, seen)| *seen == etag).map(|(number, _)| *number);
        let Some(read) = read.min_by_key(|number| books.records[*number].end) else { continue };
        if let Some(newer) = newer(books, record, read, etag, sights) {
            let wrong = is_accepted.then(|| format!("a stale etag of {name} is accepted"));
            findings.judge(Check::StaleEtagAccepted, wrong, [read, newer, number]);
        } else if !may_have_changed(books, number, record, read, name) {
            let wrong = (!is_accepted).then(|| format!("a fresh etag of {name} is refused"));
            findings.judge(Check::FreshEtagRefused, wrong, [read, number]);
        }
    }
}

/// Where another one was seen between the reading of an etag and its use.
fn newer(
    books: &Books<'_>,
    record: &Record,
    read: usize,
    etag: &str,
    sights: &[(usize, &str)],
) -> Option<usize> {
    let newer = sights.iter().find(|(other, seen)| {
        let other = &books.records[*other];
        *seen != etag
            && books.records[read].span().is_before(other.span())
            && other.span().is_before(record.span())
    });
    newer.map(|(number, _)| *number)
}

/// Whether the user may be another one by now. The feed brings what it brings late only to users that were made meanwhile, or
/// changed; so one of which nothing was heard may be shown at any time after it.
fn may_have_changed(books: &Books<'_>, number: usize, record: &Record, read: usize, name: &str) -> bool {
    let Some(user) = books.user(name) else { return true };
    let since = books.records[read].start;
    let may_change = |change: &usize| {
        let effect = books.records[*change].effect();
        *change != number && effect.is_some_and(|span| span.from < record.end && since < span.until)
    };
    record.call.does == Does::CreateUser || user.changes.iter().any(may_change)
}
