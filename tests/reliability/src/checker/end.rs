//! What is stored in the end: both sides agree, and all of it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::{Check, Findings, end_of_sessions};
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
    /// When it ends unless it is used, in seconds since 1970.
    pub expires: i64,
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

impl End {
    /// What the two sides do not agree on.
    #[must_use]
    pub fn disagreements(&self) -> Vec<(Check, String)> {
        let mut findings = Findings::default();
        self.compare(None, &mut findings);
        findings.violations.into_iter().map(|found| (found.check, found.what)).collect()
    }

    fn compare(&self, books: Option<&Books<'_>>, findings: &mut Findings) {
        let story = |name: &str| books.map(|books| calls_on(books, name)).unwrap_or_default();
        let users: BTreeMap<&str, &User> = self.users.iter().map(|user| (user.id.as_str(), user)).collect();
        let accounts: BTreeSet<&str> = self.accounts.iter().map(|account| account.id.as_str()).collect();
        for account in &self.accounts {
            let user = users.get(account.id.as_str());
            let wrong = user.is_none().then(|| format!("the account {} has no user", account.name));
            findings.judge(Check::AccountWithoutUser, wrong, story(&account.name));
            let Some(user) = user else { continue };
            let agree = user.name == account.name
                && user.is_active == account.is_active
                && user.version == account.version;
            let wrong = (!agree).then(|| format!("{account:?} is shown as {user:?}"));
            findings.judge(Check::SidesDisagree, wrong, story(&account.name));
        }
        for user in &self.users {
            let is_alone = !accounts.contains(user.id.as_str());
            let wrong = is_alone.then(|| format!("the user {} has no account", user.name));
            findings.judge(Check::UserWithoutAccount, wrong, story(&user.name));
        }
    }
}

pub(super) fn check(books: &Books<'_>, end: &End, findings: &mut Findings) {
    end.compare(Some(books), findings);
    names(books, end, findings);
    end_of_sessions::check(books, end, findings);
    let was_one =
        books.records.iter().any(|record| record.call.does == Does::Bootstrap && record.answer().is_some());
    if was_one {
        let is_one = end.users.iter().any(|user| user.role == Role::SuperAdmin && user.is_active);
        let demotions = books.records.iter().enumerate();
        let demotions = demotions.filter(|(_, record)| record.call.does == Does::Demote);
        let story = demotions.filter(|(_, record)| record.effect().is_some()).map(|(number, _)| number);
        let wrong = (!is_one).then(|| "no super admin is active".to_owned());
        findings.judge(Check::NoSuperAdmin, wrong, story);
    }
}

/// So many calls of a kind are told of.
const TOLD: usize = 3;

/// The calls that made a user, or were to, and the last ones that may have changed it or ended sessions of it.
fn calls_on(books: &Books<'_>, name: &str) -> Vec<usize> {
    let asked = books.records.iter().enumerate().filter(|(_, record)| record.call.creates() == Some(name));
    let makings = asked.map(|(number, _)| number).take(TOLD);
    let last = |numbers: &[usize]| numbers[numbers.len().saturating_sub(TOLD)..].to_vec();
    let user = books.user(name);
    let changes = user.map(|user| [last(&user.changes), last(&user.endings)].concat());
    makings.chain(changes.unwrap_or_default()).collect()
}

fn names(books: &Books<'_>, end: &End, findings: &mut Findings) {
    let mut stored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for account in &end.accounts {
        stored.entry(&account.name).or_default().push(&account.id);
    }
    for (name, ids) in &stored {
        let wrong = (ids.len() > 1).then(|| format!("{name} is stored {} times", ids.len()));
        findings.judge(Check::NameStoredTwice, wrong, calls_on(books, name));
        let is_of_nobody = books.user(name).is_none_or(|user| user.makings.is_empty());
        let wrong = is_of_nobody.then(|| format!("{name} is stored and nobody can have made it"));
        findings.judge(Check::StoredAndNotMade, wrong, calls_on(books, name));
    }
    for (name, user) in &books.users {
        let made = user.makings.iter().filter_map(|number| {
            let id = books.records[*number].answer()?.id.as_deref()?;
            Some((*number, id.replace('-', "")))
        });
        for (number, id) in made {
            let is_missing = stored.get(name.as_str()).is_none_or(|ids| !ids.contains(&id.as_str()));
            let wrong = is_missing.then(|| format!("{name} was made and is not stored"));
            findings.judge(Check::MadeAndNotStored, wrong, [number]);
        }
    }
}
