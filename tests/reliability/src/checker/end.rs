//! What is stored in the end: both sides agree, and all of it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::sessions::{broken_by, first_certain_end, may_have_ended_before};
use super::{Invariant, Violation};
use crate::history::{Does, Moment, Role};

/// A row of auth-service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The id, in hexadecimal digits alone.
    pub id: String,
    /// The canonical name.
    pub name: String,
    /// Whether it may log in.
    pub is_active: bool,
    /// Its version.
    pub version: i64,
}

/// A row of users-service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id, in hexadecimal digits alone.
    pub id: String,
    /// The canonical name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// Whether it is shown as active.
    pub is_active: bool,
    /// The version of the account that it shows.
    pub version: i64,
}

/// A row of auth-service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: String,
    /// Whose, in hexadecimal digits alone.
    pub account: String,
}

/// Everything that is stored, when nobody has called for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Moment,
    /// Since when nothing fails any more.
    pub mended: Moment,
    /// Of auth-service.
    pub accounts: Vec<Account>,
    /// Of users-service.
    pub users: Vec<User>,
    /// Of auth-service.
    pub sessions: Vec<Session>,
}

impl Default for Moment {
    fn default() -> Self {
        Self::FIRST
    }
}

impl End {
    /// What the two sides do not agree on.
    #[must_use]
    pub fn disagreements(&self) -> Vec<String> {
        let users: BTreeMap<&str, &User> = self.users.iter().map(|user| (user.id.as_str(), user)).collect();
        let accounts: BTreeSet<&str> = self.accounts.iter().map(|account| account.id.as_str()).collect();
        let of_accounts = self.accounts.iter().filter_map(|account| match users.get(account.id.as_str()) {
            None => Some(format!("the account {} has no user", account.name)),
            Some(user) => {
                let agree = user.name == account.name
                    && user.is_active == account.is_active
                    && user.version == account.version;
                (!agree).then(|| format!("{account:?} is shown as {user:?}"))
            }
        });
        let of_users = self.users.iter().filter(|user| !accounts.contains(user.id.as_str()));
        of_accounts.chain(of_users.map(|user| format!("the user {} has no account", user.name))).collect()
    }
}

pub(super) fn check(books: &Books<'_>, end: &End) -> Vec<Violation> {
    let mut violations: Vec<Violation> =
        end.disagreements().into_iter().map(|what| Violation::outside(Invariant::I2, what)).collect();
    violations.extend(names(books, end));
    violations.extend(sessions(books, end));
    violations.extend(unheard_of(books, end));
    let admins = || end.users.iter().filter(|user| user.role == Role::SuperAdmin && user.is_active);
    let was_one =
        books.records.iter().any(|record| record.call.does == Does::Bootstrap && record.answer().is_some());
    if was_one && admins().next().is_none() {
        let demotions = books.records.iter().enumerate();
        let demotions = demotions.filter(|(_, record)| record.call.does == Does::Demote);
        let story = demotions.filter(|(_, record)| record.effect().is_some()).map(|(number, _)| number);
        violations.push(Violation::new(Invariant::I7, "no super admin is active".into(), story));
    }
    violations
}

fn names(books: &Books<'_>, end: &End) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut stored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for account in &end.accounts {
        stored.entry(&account.name).or_default().push(&account.id);
    }
    for (name, ids) in &stored {
        if ids.len() > 1 {
            violations
                .push(Violation::outside(Invariant::I6, format!("{name} is stored {} times", ids.len())));
        }
        if books.user(name).is_none_or(|user| user.makings.is_empty()) {
            let what = format!("{name} is stored and nobody can have made it");
            violations.push(Violation::outside(Invariant::I8, what));
        }
    }
    for (name, user) in &books.users {
        let made = user.makings.iter().filter_map(|number| {
            let id = books.records[*number].answer()?.id.as_deref()?;
            Some((*number, id.replace('-', "")))
        });
        for (number, id) in made {
            if stored.get(name.as_str()).is_none_or(|ids| !ids.contains(&id.as_str())) {
                let what = format!("{name} was made and is not stored");
                violations.push(Violation::new(Invariant::I1, what, [number]));
            }
        }
    }
    violations
}

fn sessions(books: &Books<'_>, end: &End) -> Vec<Violation> {
    let stored: BTreeSet<&str> = end.sessions.iter().map(|session| session.id.as_str()).collect();
    let mut violations = Vec::new();
    for (id, session) in &books.sessions {
        let Some(user) = books.user(&session.user) else { continue };
        let ended = first_certain_end(books, user, id, session);
        if let Some(ending) = ended.filter(|_| stored.contains(id.as_str())) {
            let record = &books.records[ending];
            let what = format!("a session of {} is stored after {:?}", session.user, record.call.does);
            violations.push(Violation::new(broken_by(record), what, [session.opened, ending]));
        }
        let may_have_ended = may_have_ended_before(books, user, id, session, end.at);
        if !may_have_ended && !stored.contains(id.as_str()) {
            let what = format!("a session of {} was opened and is not stored", session.user);
            violations.push(Violation::new(Invariant::I1, what, [session.opened]));
        }
    }
    violations
}

/// A session of which nobody was told is one whose log-in was not heard of, and there are no more of them than of these.
fn unheard_of(books: &Books<'_>, end: &End) -> Option<Violation> {
    let stored = end.sessions.iter().filter(|session| !books.sessions.contains_key(&session.id)).count();
    let opening = books.records.iter().filter(|record| {
        matches!(record.call.does, Does::LogIn | Does::ChangePassword)
            && record.answer().is_none()
            && record.effect().is_some()
    });
    let may = opening.count();
    let what = format!("{stored} sessions are stored of which nobody was told, and {may} may be");
    (stored > may).then(|| Violation::outside(Invariant::I12, what))
}
