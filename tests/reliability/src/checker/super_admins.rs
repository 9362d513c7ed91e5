//! There is an active super admin at every moment since there was one.
//!
//! Super admins are made by a command and demoted by another, never made of somebody who was there already, and nobody can
//! inactivate one. So each is one during a single span, of which the history says within which limits it lies: it begins no
//! sooner than the first call that may have made it, and is over by the end of the first call that shows that it is none any
//! more. Where no such span can reach there was nobody.

use super::books::{Books, UserBook};
use super::{Check, Findings};
use crate::history::{Does, Moment, NOT_A_SUPER_ADMIN, Record, Role, Span};

/// While somebody may have been one.
struct Reign {
    span: Span,
    /// The call that may have made it first.
    made: usize,
    /// The call that shows that it is over.
    over: Option<usize>,
}

/// When nobody was one, and which calls tell of it.
struct Vacancy {
    from: Moment,
    until: Moment,
    records: Vec<usize>,
}

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    let mut reigns: Vec<Reign> =
        books.users.iter().filter_map(|(name, user)| reign(books, name, user)).collect();
    reigns.sort_by_key(|reign| reign.span.from);
    findings.judged(Check::NoSuperAdminMeanwhile, reigns.iter().filter(|reign| reign.over.is_some()).count());
    if let Some(Vacancy { from, until, records }) = vacancy(books, &reigns) {
        let what = format!("no super admin is active from {from} to {until}");
        findings.found(Check::NoSuperAdminMeanwhile, what, records);
    }
}

/// The first one, of reigns in the order in which they begin.
fn vacancy(books: &Books<'_>, reigns: &[Reign]) -> Option<Vacancy> {
    let bootstraps = books.records.iter().filter(|record| record.call.does == Does::Bootstrap);
    let first = bootstraps.filter(|record| record.answer().is_some()).map(|record| record.end).min()?;
    let last = books.records.iter().map(|record| record.end).max()?;
    let mut until = first;
    let mut overs: Vec<usize> = Vec::new();
    for reign in reigns {
        if reign.span.from > until {
            overs.push(reign.made);
            return Some(Vacancy { from: until, until: reign.span.from, records: overs });
        }
        until = until.max(reign.span.until);
        overs.extend(reign.over);
        overs.sort_by_key(|number| books.records[*number].end);
        let surplus = overs.len().saturating_sub(TOLD);
        overs.drain(..surplus);
    }
    (until < last).then_some(Vacancy { from: until, until: last, records: overs })
}

/// So many of those who were demoted last are told of.
const TOLD: usize = 4;

fn reign(books: &Books<'_>, name: &str, user: &UserBook) -> Option<Reign> {
    let record = |number: &usize| &books.records[*number];
    let makings = || user.makings.iter().filter(|number| record(number).call.does == Does::Bootstrap);
    let made = makings().min_by_key(|number| record(number).start)?;
    // Unless it was demoted, that it is none means nothing before it certainly was one.
    let certain = makings().filter(|number| record(number).answer().is_some());
    let certain = certain.map(|number| record(number).end).min();
    let shows = books.records.iter().enumerate().filter(|(_, record)| {
        let is_later = || certain.is_some_and(|made| record.start > made);
        match record.call.does {
            Does::Demote if record.call.user.as_deref() == Some(name) => {
                record.answer().is_some() || record.denial() == Some(NOT_A_SUPER_ADMIN) && is_later()
            }
            _ => shows_another_role(record, name) && is_later(),
        }
    });
    let over = shows.min_by_key(|(_, record)| record.end).map(|(number, _)| number);
    let until = over.map_or(Moment::NEVER, |number| record(&number).end);
    Some(Reign { span: Span { from: record(made).start, until }, made: *made, over })
}

fn shows_another_role(record: &Record, name: &str) -> bool {
    let answer = record.answer().into_iter();
    let mut shown = answer.flat_map(|answer| answer.user.iter().chain(&answer.listed));
    shown.any(|seen| seen.name == name && seen.role != Role::SuperAdmin)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::{Answer, Call, LAST_ACTIVE_SUPER_ADMIN, Outcome, Refusal, Secret, Seen, Who};

    fn ok() -> Outcome {
        Outcome::Ok(Box::default())
    }

    fn unknown() -> Outcome {
        Outcome::Unknown("lost".into())
    }

    fn denied(reason: &str) -> Outcome {
        Outcome::Denied(Refusal { reason: reason.into(), caller_is_below: false })
    }

    fn record(from: u64, until: u64, does: Does, name: &str, outcome: Outcome) -> Record {
        let at = |ms| Moment::after(Duration::from_millis(ms));
        let call = Call::new(does, Who::Operator).on(name).setting(Secret(0));
        Record { start: at(from), end: at(until), replica: 0, call, outcome }
    }

    fn make(from: u64, until: u64, name: &str, outcome: Outcome) -> Record {
        record(from, until, Does::Bootstrap, name, outcome)
    }

    fn demote(from: u64, until: u64, name: &str, outcome: Outcome) -> Record {
        record(from, until, Does::Demote, name, outcome)
    }

    fn found(mut records: Vec<Record>) -> Option<String> {
        records.push(record(90, 91, Does::LogIn, "root1", unknown()));
        records.sort_by_key(|record| record.start);
        let mut findings = Findings::default();
        check(&Books::of(&records, None), &mut findings);
        findings.violations.pop().map(|violation| violation.what)
    }

    #[test]
    fn of_two_who_are_demoted_at_once_one_stays() {
        let two = || vec![make(1, 2, "root1", ok()), make(3, 4, "root2", ok())];
        let last = || denied(LAST_ACTIVE_SUPER_ADMIN);
        let good = [demote(10, 20, "root1", ok()), demote(10, 20, "root2", last())];
        assert_eq!(found([two(), good.to_vec()].concat()), None);
        let both = [demote(10, 20, "root1", ok()), demote(10, 22, "root2", ok())];
        let what = found([two(), both.to_vec()].concat()).unwrap();
        assert_eq!(what, "no super admin is active from 0.022000 to 0.091000");
    }

    #[test]
    fn somebody_who_is_made_later_does_not_undo_it() {
        let history = vec![
            make(1, 2, "root1", ok()),
            make(3, 4, "root2", ok()),
            demote(10, 20, "root1", ok()),
            demote(10, 22, "root2", ok()),
            make(30, 31, "root3", ok()),
        ];
        assert_eq!(found(history).unwrap(), "no super admin is active from 0.022000 to 0.030000");
    }

    #[test]
    fn whoever_may_be_one_is_enough() {
        let two = || vec![make(1, 2, "root1", ok()), make(3, 4, "root2", ok())];
        let lost = [demote(10, 20, "root1", unknown()), demote(10, 20, "root2", ok())];
        assert_eq!(found([two(), lost.to_vec()].concat()), None);
        let made =
            [make(5, 6, "root3", unknown()), demote(10, 20, "root1", ok()), demote(10, 20, "root2", ok())];
        assert_eq!(found([two(), made.to_vec()].concat()), None);
        let while_made =
            [demote(10, 20, "root1", ok()), demote(10, 20, "root2", ok()), make(19, 30, "root3", ok())];
        assert_eq!(found([two(), while_made.to_vec()].concat()), None);
    }

    #[test]
    fn a_demotion_of_which_nothing_was_heard_is_known_by_what_is_seen_after_it() {
        let history = |then: Record| {
            vec![
                make(1, 2, "root1", ok()),
                make(3, 4, "root2", ok()),
                demote(10, 20, "root1", unknown()),
                demote(10, 20, "root2", ok()),
                then,
            ]
        };
        let refused = demote(30, 31, "root1", denied(NOT_A_SUPER_ADMIN));
        assert_eq!(found(history(refused)).unwrap(), "no super admin is active from 0.031000 to 0.091000");
        let seen = Seen {
            name: "root1".into(),
            id: "01".into(),
            role: Role::User,
            active: true,
            etag: String::new(),
        };
        let answer = Answer { user: Some(seen), ..Answer::default() };
        let shown = record(40, 41, Does::GetUser, "root1", Outcome::Ok(Box::new(answer)));
        assert_eq!(found(history(shown)).unwrap(), "no super admin is active from 0.041000 to 0.091000");
    }

    #[test]
    fn before_the_first_one_there_need_be_none() {
        assert_eq!(found(vec![make(1, 2, "root1", unknown()), make(10, 20, "root1", ok())]), None);
        assert_eq!(found(vec![make(1, 2, "root1", unknown())]), None);
    }
}
