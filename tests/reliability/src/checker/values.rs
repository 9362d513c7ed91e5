//! State, role and password of each user are what was written last, and are shown and believed as that.

use super::books::{Books, UserBook, at_least, least_role};
use super::register::{Allows, By, Contradiction, Register};
use super::{Invariant, Violation};
use crate::history::{Does, Outcome, Role};

pub(super) fn check(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, user) in &books.users {
        violations.extend(first(&user.active, |by| match by {
            By::LetIn => (Invariant::I3, format!("{name} is let in while inactive")),
            By::Denial => (Invariant::I10, format!("{name} is refused as inactive and is not")),
            _ => (Invariant::I1, format!("the state of {name} is one that nobody can have set")),
        }));
        let shown = first(&user.shown, |_| {
            (Invariant::I1, format!("the state that is shown of {name} is one that nobody can have set"))
        });
        violations.extend(shown);
        violations.extend(first(&user.role, |by| match by {
            By::LetIn => (Invariant::I3, format!("{name} does what its role does not allow")),
            _ => (Invariant::I1, format!("the role of {name} is one that nobody can have given it")),
        }));
        violations.extend(wrong_passwords(name, user));
    }
    violations.extend(refused_ranks(books));
    violations
}

/// The first sight that cannot be.
fn first<V: Clone + PartialEq>(
    register: &Register<V>,
    means: impl Fn(By) -> (Invariant, String),
) -> Option<Violation> {
    let contradiction = register.contradictions().into_iter().min_by_key(|found| found.record)?;
    let (invariant, what) = means(contradiction.by);
    Some(violation(contradiction, invariant, what))
}

fn violation(contradiction: Contradiction, invariant: Invariant, what: String) -> Violation {
    Violation::new(invariant, what, contradiction.against.into_iter().chain(contradiction.record))
}

/// A password that was never set, or that was changed long ago, opens nothing; the one that there is does.
fn wrong_passwords(name: &str, user: &UserBook) -> Option<Violation> {
    let found = user.password.contradictions().into_iter().min_by_key(|found| found.record)?;
    let (invariant, what) = match found.by {
        By::Denial => (Invariant::I10, format!("the password of {name} is refused and is the right one")),
        _ if found.against.len() < 2 => {
            (Invariant::I9, format!("{name} is let in with a password that was never set"))
        }
        _ => (Invariant::I5, format!("{name} is let in with a password of before")),
    };
    Some(violation(found, invariant, what))
}

/// `ROLE_TOO_LOW` is for the caller's role or for the target's: it is wrong if it can be for neither.
fn refused_ranks(books: &Books<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, record) in books.records.iter().enumerate() {
        let Outcome::Denied(refusal) = &record.outcome else { continue };
        if refusal.reason != "ROLE_TOO_LOW" {
            continue;
        }
        let Some(caller) = record.call.caller().and_then(|name| books.user(name)) else { continue };
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
        violations.push(Violation::new(Invariant::I10, what, against));
    }
    violations.truncate(3);
    violations
}
