//! State, role and password of each user are what was written last, and are shown and believed as that.

use std::collections::BTreeSet;

use super::books::{Books, UserBook, at_least, least_role, needs_to_outrank};
use super::register::{Allows, By, Contradiction, Register};
use super::{Check, Findings};
use crate::history::{Does, Outcome, Role};

pub(super) fn check(books: &Books<'_>, findings: &mut Findings) {
    for (name, user) in &books.users {
        let active = |by| match by {
            By::LetIn => Check::LetInWhileInactive,
            By::Denial => Check::RefusedAsInactive,
            _ => Check::StateNobodySet,
        };
        first(&user.active, active, findings, |check| match check {
            Check::LetInWhileInactive => format!("{name} is let in while inactive"),
            Check::RefusedAsInactive => format!("{name} is refused as inactive and is not"),
            _ => format!("the state of {name} is one that nobody can have set"),
        });
        first(
            &user.shown,
            |_| Check::ShownStateNobodySet,
            findings,
            |_| format!("the state that is shown of {name} is one that nobody can have set"),
        );
        let role = |by| if by == By::LetIn { Check::LetInBelowItsRole } else { Check::RoleNobodyGave };
        first(&user.role, role, findings, |check| match check {
            Check::LetInBelowItsRole => format!("{name} does what its role does not allow"),
            _ => format!("the role of {name} is one that nobody can have given it"),
        });
        passwords(name, user, findings);
    }
    refused_ranks(books, findings);
    ranks_that_do_not_suffice(books, findings);
}

/// Counts every sight, and tells of the first that each check finds.
fn first<V: Clone + PartialEq>(
    register: &Register<V>,
    check: impl Fn(By) -> Check,
    findings: &mut Findings,
    says: impl Fn(Check) -> String,
) {
    for by in register.seen_by() {
        findings.judged(check(by), 1);
    }
    tell(register, |found| check(found.by), findings, says);
}

fn tell<V: Clone + PartialEq>(
    register: &Register<V>,
    check: impl Fn(&Contradiction) -> Check,
    findings: &mut Findings,
    says: impl Fn(Check) -> String,
) {
    let mut contradictions = register.contradictions();
    contradictions.sort_by_key(|found| found.record);
    let mut told = BTreeSet::new();
    for found in contradictions {
        let check = check(&found);
        if told.insert(check) {
            findings.found(check, says(check), found.against.into_iter().chain(found.record));
        }
    }
}

/// A password that was never set, or that was changed long ago, opens nothing; the one that there is does.
fn passwords(name: &str, user: &UserBook, findings: &mut Findings) {
    for by in user.password.seen_by() {
        if by == By::Denial {
            findings.judged(Check::RightPasswordRefused, 1);
        } else {
            findings.judged(Check::UnknownPasswordOpens, 1);
            findings.judged(Check::OldPasswordOpens, usize::from(user.password.was_changed()));
        }
    }
    let check = |found: &Contradiction| match found.by {
        By::Denial => Check::RightPasswordRefused,
        _ if found.against.len() < 2 => Check::UnknownPasswordOpens,
        _ => Check::OldPasswordOpens,
    };
    tell(&user.password, check, findings, |check| match check {
        Check::RightPasswordRefused => format!("the password of {name} is refused and is the right one"),
        Check::UnknownPasswordOpens => format!("{name} is let in with a password that was never set"),
        _ => format!("{name} is let in with a password of before"),
    });
}

/// `ROLE_TOO_LOW` is for the caller's role or for the target's: it is wrong if it can be for neither.
fn refused_ranks(books: &Books<'_>, findings: &mut Findings) {
    for (number, record) in books.records.iter().enumerate() {
        let Some(caller) = record.call.caller().and_then(|name| books.user(name)) else { continue };
        let refusal = match &record.outcome {
            Outcome::Denied(refusal) if refusal.reason == "ROLE_TOO_LOW" => refusal,
            Outcome::Ok(_) if least_role(&record.call).is_some() => {
                findings.judged(Check::RightRefused, 1);
                continue;
            }
            _ => continue,
        };
        findings.judged(Check::RightRefused, 1);
        let needs = least_role(&record.call).unwrap_or(Role::User);
        let Allows::Only(enough) = at_least(needs) else { continue };
        let Some(mut against) = caller.role.impossible(&Allows::AllBut(enough), record.span()) else {
            continue;
        };
        let target = match record.call.does {
            Does::CreateUser => None,
            _ => record.call.user.as_deref().and_then(|name| books.user(name)),
        };
        if let Some(target) = target.filter(|_| !refusal.caller_is_below) {
            // What no admin outranks; of a super admin nothing more is known here, for its targets are below it.
            let too_high = if needs == Role::SuperAdmin { Role::SuperAdmin } else { Role::Admin };
            match target.role.impossible(&at_least(too_high), record.span()) {
                Some(more) => against.extend(more),
                None => continue,
            }
        }
        let what = format!("{} is refused a right that it has", record.call.caller().unwrap_or_default());
        against.push(number);
        findings.found(Check::RightRefused, what, against);
    }
}

/// Whoever acts on a user outranks it: so nobody does on a super admin.
fn ranks_that_do_not_suffice(books: &Books<'_>, findings: &mut Findings) {
    let role_of = |name: Option<&str>| name.and_then(|name| books.user(name)).map(|user| &user.role);
    for (number, record) in books.records.iter().enumerate() {
        let call = &record.call;
        let (Some(caller), Some(target)) = (role_of(call.caller()), role_of(call.user.as_deref())) else {
            continue;
        };
        if record.answer().is_none() || !needs_to_outrank(call.does) {
            continue;
        }
        let mut against = vec![number];
        let mut may_be = false;
        for (higher, lower) in
            [(Role::Admin, Role::User), (Role::SuperAdmin, Role::User), (Role::SuperAdmin, Role::Admin)]
        {
            let cannot_be = |role: &Register<Option<Role>>, is| {
                role.impossible(&Allows::Only(vec![Some(is)]), record.span())
            };
            match cannot_be(caller, higher).or_else(|| cannot_be(target, lower)) {
                Some(records) => against.extend(records),
                None => may_be = true,
            }
        }
        let what = || {
            format!(
                "{:?} is done to {}, by whoever does not outrank it",
                call.does,
                call.user.as_deref().unwrap_or_default()
            )
        };
        findings.judge(Check::ActsOnAHigherRank, (!may_be).then(what), against);
    }
}
