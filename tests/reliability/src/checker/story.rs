//! How a violation came about, as short as it can be told.

use std::fmt::Write as _;

use super::Violation;
use crate::history::{Record, Span};

/// How many calls that were under way meanwhile are told of at most.
const ASIDES: usize = 6;

/// What was broken, and the calls that show it: each with its times, its process and its outcome; then what else may have
/// changed the same user meanwhile, since that is what the checker has already taken into account.
#[must_use]
pub fn story(violation: &Violation, records: &[Record]) -> String {
    let mut told = format!("{}: {}\n", violation.check.invariant(), violation.what);
    let of = |number: &usize| &records[*number];
    for record in violation.records.iter().map(of) {
        let _ = writeln!(told, "  {record}");
    }
    let (Some(first), Some(last)) = (violation.records.first(), violation.records.last()) else {
        return told;
    };
    let subject = of(last).call.user.as_deref().or_else(|| of(last).call.caller());
    let meanwhile = Span { from: of(first).start, until: of(last).end };
    let asides = records.iter().enumerate().filter(|(number, record)| {
        let about = record.call.user.as_deref() == subject || record.call.caller() == subject;
        let changes = record.call.sets.is_some() || record.call.user.is_some();
        let overlaps = record
            .effect()
            .is_some_and(|effect| effect.from < meanwhile.until && meanwhile.from < effect.until);
        subject.is_some()
            && about
            && changes
            && overlaps
            && !violation.records.contains(number)
            && record.call.does.changes()
    });
    let asides: Vec<&Record> = asides.map(|(_, record)| record).collect();
    if !asides.is_empty() {
        let _ = writeln!(told, "  meanwhile{}:", if asides.len() > ASIDES { ", among others" } else { "" });
        for record in asides.iter().rev().take(ASIDES).rev() {
            let _ = writeln!(told, "  {record}");
        }
    }
    told
}
