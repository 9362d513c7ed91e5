//! What must be true when nothing goes wrong any more and everything has had its time.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_core::domain::AccountState;
use chrono::TimeDelta;
use users_core::domain::{Role, State, User};

use super::Client;
use crate::auth::FREE_FAILURES;
use crate::model::{Check, Invariant, Outcome, Span};

/// How long things may take until they are as they should be.
const SETTLING: Duration = Duration::from_mins(1);

/// Longer than anything is remembered or reserved.
const A_DAY: TimeDelta = TimeDelta::hours(25);

impl Client {
    pub(super) async fn look_when_all_is_quiet(&self) {
        self.sim.clear_up();
        self.sim.tell(|| "from here on nothing goes wrong".to_owned());
        // A commit that is under way, a process that is being started, the lease of one that died.
        self.sim.sleep(SETTLING).await;
        let is_whole = self.cluster.is_whole();
        self.model().check(Check::Progress, is_whole, || "a process does not come back".to_owned());
        self.compare_both_databases();
        self.look_at_everybody();
        self.look_at_sessions();
        self.look_at_guesses();
        let lost = self.cluster.users_database.lost_the_last_super_admin();
        self.model()
            .check(Invariant::I7, lost.is_none(), || format!("there was no active super admin at {lost:?}"));
        let went_back = self.cluster.users_database.went_back();
        self.model().check(Invariant::I1, went_back.is_empty(), || went_back.join("; "));
        // The reservations of what was cut off go by themselves, or there would be more and more of them.
        self.cluster.users_database.kept.advance(A_DAY);
        self.sim.sleep(SETTLING).await;
        let left = self.cluster.users_database.kept.reservations();
        self.model().check(Invariant::I12, left == 0, || format!("{left} reservations are never swept"));
        self.compare_both_databases();
    }

    fn compare_both_databases(&self) {
        let accounts = self.cluster.auth_kept.database.kept.accounts();
        let users = self.cluster.users_database.kept.users();
        let mut model = self.model();
        for stored in &accounts {
            let account = &stored.account;
            let state = match account.state {
                AccountState::Active => State::Active,
                AccountState::Disabled => State::Inactive,
            };
            let is_its = |user: &&User| {
                (&user.username, user.state, &user.account) == (&account.username, state, &account.version)
            };
            let found: Vec<_> = users.iter().filter(|user| user.id == account.id).collect();
            let holds = found.len() == 1 && found.iter().all(is_its);
            model.check(Invariant::I2, holds, || format!("the account {account:?} has {found:?}"));
        }
        for user in &users {
            let has_one = accounts.iter().any(|stored| stored.account.id == user.id);
            model.check(Invariant::I2, has_one, || format!("the user {user:?} has no account"));
        }
        let names: BTreeSet<_> =
            accounts.iter().map(|stored| stored.account.username.canonical().to_owned()).collect();
        model.check(Invariant::I6, names.len() == accounts.len(), || {
            let names: Vec<_> = accounts.iter().map(|stored| stored.account.username.to_string()).collect();
            format!("a name exists twice among {names:?}")
        });
    }

    /// Everything that was acknowledged is there, and nothing that was refused.
    fn look_at_everybody(&self) {
        let accounts = self.cluster.auth_kept.database.kept.accounts();
        let users = self.cluster.users_database.kept.users();
        let now = Span { begin: u64::MAX, end: u64::MAX };
        let mut model = self.model();
        for index in 0..model.people.len() {
            let person = &model.people[index];
            let told = model.calls.tell(person.made_by);
            let outcome = model.calls.outcome(person.made_by);
            let Some(id) = person.id else {
                let is_there = accounts.iter().any(|stored| stored.account.username.as_str() == person.name);
                let holds = outcome != Outcome::Refused || !is_there || model.is_wanted(&person.name.clone());
                model.check(Invariant::I8, holds, || format!("{told}, but the account is there"));
                continue;
            };
            let account = accounts.iter().find(|stored| stored.account.id == id);
            let user = users.iter().find(|user| user.id == id);
            let (Some(account), Some(user)) = (account, user) else {
                model.check(Invariant::I1, false, || format!("{told}, but {account:?} and {user:?}"));
                continue;
            };
            let (states, roles) =
                (person.state.possible(&model.calls, now), person.role.possible(&model.calls, now));
            let passwords = person.password.possible(&model.calls, now);
            let state = match account.account.state {
                AccountState::Active => State::Active,
                AccountState::Disabled => State::Inactive,
            };
            let has_password =
                passwords.iter().any(|password| account.password_hash.as_str() == format!("{id}${password}"));
            let (state_told, role_told, password_told) = (
                person.state.tell(&model.calls),
                person.role.tell(&model.calls),
                person.password.tell(&model.calls),
            );
            let never_changed = person.role.is_written_once();
            let role_invariant = if never_changed { Invariant::I2 } else { Invariant::I1 };
            let (role, name) = (user.role, person.name.clone());
            model.check(Invariant::I1, states.contains(&state), || {
                format!("{name} is {state:?}, but {state_told}")
            });
            model.check(role_invariant, roles.contains(&role), || {
                format!("{name} is {role:?}, but {role_told}")
            });
            model.check(Invariant::I1, has_password, || {
                format!("{name} has the password {:?}, but {password_told}", account.password_hash.as_str())
            });
        }
        let roles = users.iter().filter(|user| user.role == Role::SuperAdmin && user.state == State::Active);
        let count = roles.count();
        model.check(Invariant::I7, count > 0, || "there is no active super admin".to_owned());
    }

    /// Who logged in and did nothing about it is logged in; and whoever is inactive is not, whether anybody was told of the
    /// session or not.
    fn look_at_sessions(&self) {
        let kept = &self.cluster.auth_kept.database.kept;
        let stored = kept.sessions();
        let accounts = kept.accounts();
        for session in &stored {
            let of = accounts.iter().find(|stored| stored.account.id == session.user_id);
            let holds = of.is_some_and(|stored| stored.account.state == AccountState::Active);
            let told = || format!("{session:?} is stored, and its account is {of:?}");
            self.model().check(Invariant::I3, holds, told);
        }
        let alive: BTreeSet<_> = stored.iter().map(|session| session.id.to_string()).collect();
        let now = self.store_time();
        let end_of_time = Span { begin: u64::MAX, end: u64::MAX };
        let mut model = self.model();
        for index in 0..model.sessions.len() {
            let session = &model.sessions[index];
            if session.expire_time <= now || model.may_have_ended(index, end_of_time) {
                continue;
            }
            let (holds, told) = (alive.contains(&session.id), model.calls.tell(session.opened_by));
            model.check(Invariant::I1, holds, || format!("{told}, but the session is gone"));
        }
    }

    /// No more than what is free comes before the first delay, however many try at once.
    fn look_at_guesses(&self) {
        let wrong = crate::scheduler::lock(&self.cluster.auth_kept.wrong).clone();
        let mut model = self.model();
        for id in model.guessed_at.clone() {
            let mut times: Vec<_> =
                wrong.iter().filter(|(account, _)| *account == id).map(|(_, time)| *time).collect();
            times.sort_unstable();
            let many = usize::try_from(FREE_FAILURES).unwrap_or(usize::MAX);
            let least = TimeDelta::milliseconds(900);
            let holds = times.windows(many + 1).all(|window| window[many] - window[0] >= least);
            model.check(Check::Guesses, holds, || format!("guesses were looked at at {times:?}"));
        }
    }
}
