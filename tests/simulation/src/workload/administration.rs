//! What administrators call at users-service.

use std::sync::Arc;

use users_core::commands::Changed;
use users_core::domain::{Expected, Role, State, User};

use super::{Client, Open, PATIENCE, REPEATS, heard, is_worth_a_repeat, may_have_been_done};
use crate::failure::Failure;
use crate::model::{Check, Ender, Ends, Invariant, Outcome, Presented};
use crate::network::Repeats;
use crate::users::UsersProcess;

/// A user as somebody has read it: by which call, and what it was.
pub(super) struct Seen {
    user: User,
    read: Presented,
}

impl Client {
    /// What the answer says of the caller's token and role; `target` is whom it acted on.
    fn judge<A>(
        &self,
        token: &str,
        least: Role,
        target: Option<usize>,
        presented: Presented,
        answer: &Result<A, Failure>,
    ) {
        self.judge_token(token, presented, answer);
        let Some(caller) = self.person_of(token) else { return };
        match answer {
            Err(Failure::RoleTooLow) => {
                self.model().refused_by_role(caller, target, least, presented.call);
            }
            Ok(_) => self.model().acted_as(caller, least, presented.call),
            Err(failure) if failure.is_of_an_admitted_caller() => {
                self.model().acted_as(caller, least, presented.call);
            }
            Err(_) => {}
        }
    }

    /// Repeats with the same mark until it is known what came of it, or the administrator has had enough.
    pub(super) async fn create_user(&self) {
        let Some(token) = self.token_of(Role::Admin) else { return };
        let (name, password, request_id) = (self.new_name(), self.new_password(), self.request_id());
        let role = if self.sim.below(2) == 0 { Role::User } else { Role::Admin };
        let least = if role == Role::Admin { Role::SuperAdmin } else { Role::Admin };
        let mut open = self.begin(format!("create_user {name} as {role:?} with {token}"));
        let person = self.model().expect_person(&name, &password, role, open.call);
        let mut may_be_done = false;
        for attempt in 0..=REPEATS {
            let (bearer, username, secret) = (token.clone(), name.clone(), password.clone());
            let mark = request_id.clone();
            let answer = self.cluster.users("CreateUser", Repeats::Harmless, PATIENCE, move |process| {
                let (bearer, username, secret) = (bearer.clone(), username.clone(), secret.clone());
                let mark = mark.clone();
                async move { process.create_user(&bearer, username, secret, role, mark).await }
            });
            let answer = heard(answer.await);
            may_be_done |= may_have_been_done(&answer);
            let outcome = match &answer {
                Ok(_) => Outcome::Acknowledged,
                Err(_) if may_be_done => Outcome::Unknown,
                Err(failure) => failure.outcome(),
            };
            let presented = self.end_as(open, &answer, outcome);
            self.judge(&token, least, None, presented, &answer);
            let told = self.model().calls.tell(open.call);
            let is_recognised = !matches!(answer, Err(Failure::Taken | Failure::Reused));
            self.model()
                .check(Invariant::I8, is_recognised, || format!("{told}: a repeat was not recognised"));
            if let Ok(created) = &answer {
                self.model().people[person].id = Some(created.user.id);
                self.model().saw_role(person, created.user.role, open.call, Invariant::I2);
            }
            if attempt == REPEATS || !answer.as_ref().is_err_and(is_worth_a_repeat) {
                return;
            }
            open = self.repeat(open);
        }
    }

    /// One change of somebody else. It is not repeated: what came of it is not known then.
    async fn change<F>(
        &self,
        rpc: &'static str,
        repeats: Repeats,
        act: impl Fn(Arc<UsersProcess>) -> F + Send + Sync + 'static,
    ) -> Result<Changed, Failure>
    where
        F: Future<Output = Result<Changed, users_core::Error>> + Send + 'static,
    {
        heard(self.cluster.users(rpc, repeats, PATIENCE, act).await)
    }

    pub(super) async fn set_state(&self, is_active: bool) {
        let Some(token) = self.token_of(Role::Admin) else { return };
        let Some(person) = self.any_person() else { return };
        let seen = self.seen_before_a_change(&token, person).await;
        if let Some(seen) = seen.as_ref().filter(|_| self.sim.below(2) == 0) {
            // Somebody else is faster.
            self.change_state(&token, person, seen.user.state == State::Inactive, None).await;
        }
        self.change_state(&token, person, is_active, seen).await;
    }

    pub(super) async fn set_state_of(&self, token: &str, person: usize, is_active: bool) {
        self.change_state(token, person, is_active, None).await;
    }

    async fn change_state(&self, token: &str, person: usize, is_active: bool, seen: Option<Seen>) {
        let Some(id) = self.model().people[person].id else { return };
        let expected = expected(seen.as_ref());
        let (rpc, state) =
            if is_active { ("ReactivateUser", State::Active) } else { ("InactivateUser", State::Inactive) };
        let open = self.begin(format!("{rpc} {} with {token}, {}", self.name(person), etag(seen.as_ref())));
        {
            let mut model = self.model();
            model.people[person].state.write(open.call, state);
            if !is_active {
                let ender =
                    Ender { call: open.call, ends: Ends::All, invariant: Invariant::I3, password: None };
                model.people[person].enders.push(ender);
            }
        }
        let bearer = token.to_owned();
        let answer = self.change(rpc, Repeats::Harmful, move |process| {
            let (bearer, wanted) = (bearer.clone(), expected.clone());
            async move {
                if is_active {
                    process.reactivate(&bearer, id, wanted).await
                } else {
                    process.inactivate(&bearer, id, wanted).await
                }
            }
        });
        let answer = answer.await;
        let presented = self.end(open, &answer);
        self.judge(token, Role::Admin, Some(person), presented, &answer);
        self.judge_etag(person, seen.as_ref(), open, &answer);
        if let Ok(changed) = &answer {
            self.look_by_its_token(token, person, state, open, changed).await;
        }
    }

    pub(super) async fn set_role(&self) {
        let Some(token) = self.token_of(Role::SuperAdmin) else { return };
        let Some((person, id)) = self.any_target() else { return };
        let seen = self.seen_before_a_change(&token, person).await;
        let expected = expected(seen.as_ref());
        let is_admin = self.sim.below(2) == 0;
        let (rpc, role) = if is_admin { ("GrantAdmin", Role::Admin) } else { ("RevokeAdmin", Role::User) };
        let open = self.begin(format!("{rpc} {} with {token}, {}", self.name(person), etag(seen.as_ref())));
        self.model().people[person].role.write(open.call, role);
        let bearer = token.clone();
        let answer = self.change(rpc, Repeats::Harmful, move |process| {
            let (bearer, wanted) = (bearer.clone(), expected.clone());
            async move { process.set_admin(&bearer, id, wanted, is_admin).await }
        });
        let answer = answer.await;
        let presented = self.end(open, &answer);
        self.judge(&token, Role::SuperAdmin, Some(person), presented, &answer);
        self.judge_etag(person, seen.as_ref(), open, &answer);
        if let Ok(changed) = &answer {
            self.model().saw_role(person, changed.user.role, open.call, Invariant::I1);
        }
    }

    pub(super) async fn set_password(&self) {
        let Some(token) = self.token_of(Role::Admin) else { return };
        if let Some(person) = self.any_person() {
            self.set_password_of(&token, person).await;
        }
    }

    pub(super) async fn set_password_of(&self, token: &str, person: usize) {
        let Some(id) = self.model().people[person].id else { return };
        let password = self.new_password();
        let open = self.begin(format!("set_user_password {} {password:?} with {token}", self.name(person)));
        {
            let mut model = self.model();
            model.people[person].password.write(open.call, password.clone());
            let (ends, invariant) = (Ends::All, Invariant::I5);
            let ender = Ender { call: open.call, ends, invariant, password: Some(password.clone()) };
            model.people[person].enders.push(ender);
        }
        let bearer = token.to_owned();
        let answer = self.change("SetUserPassword", Repeats::Harmless, move |process| {
            let (bearer, password) = (bearer.clone(), password.clone());
            async move { process.set_password(&bearer, id, password).await }
        });
        let answer = answer.await;
        let presented = self.end(open, &answer);
        self.judge(token, Role::Admin, Some(person), presented, &answer);
    }

    pub(super) async fn revoke_sessions_of_a_user(&self) {
        let Some(token) = self.token_of(Role::Admin) else { return };
        let Some((person, id)) = self.any_target() else { return };
        let session = {
            let model = self.model();
            let session = model.sessions.iter().rev().find(|session| session.person == person);
            session.map(|session| session.id.clone())
        };
        let session = session.filter(|_| self.sim.below(2) == 0);
        let ends = session.clone().map_or(Ends::All, Ends::One);
        let open = self.begin(format!("revoke_user_sessions {} {ends:?} with {token}", self.name(person)));
        let ender = Ender { call: open.call, ends, invariant: Invariant::I4, password: None };
        self.model().people[person].enders.push(ender);
        let bearer = token.clone();
        let answer = self.cluster.users("RevokeUserSessions", Repeats::Harmless, PATIENCE, move |process| {
            let (bearer, session) = (bearer.clone(), session.clone());
            async move { process.revoke_sessions(&bearer, id, session).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge(&token, Role::Admin, Some(person), presented, &answer);
    }

    /// The user, or its sessions.
    pub(super) async fn look_at_a_user(&self) {
        let Some(token) = self.token_of(Role::Admin) else { return };
        let Some((person, id)) = self.any_target() else { return };
        if self.sim.below(2) == 0 {
            self.see(&token, person, None).await;
            return;
        }
        let open = self.begin(format!("list_user_sessions {} with {token}", self.name(person)));
        let bearer = token.clone();
        let answer = self.cluster.users("ListUserSessions", Repeats::OfAQuestion, PATIENCE, move |process| {
            let bearer = bearer.clone();
            async move { process.sessions(&bearer, id).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge(&token, Role::Admin, Some(person), presented, &answer);
    }

    /// What `GetUser` says, which is right about the role and may be a little old about the account.
    async fn see(
        &self,
        token: &str,
        person: usize,
        written: Option<identity::ConsistencyToken>,
    ) -> Option<Seen> {
        let id = self.model().people[person].id?;
        let open = self.begin(format!("get_user {} with {token}", self.name(person)));
        let bearer = token.to_owned();
        let answer = self.cluster.users("GetUser", Repeats::OfAQuestion, PATIENCE, move |process| {
            let (bearer, written) = (bearer.clone(), written.clone());
            async move { process.user(&bearer, id, written).await }
        });
        let answer = heard(answer.await);
        let read = self.end(open, &answer);
        let is_oneself = self.person_of(token) == Some(person);
        let least = if is_oneself { Role::User } else { Role::Admin };
        self.judge(token, least, None, read, &answer);
        let user = answer.ok()?;
        self.model().saw_role(person, user.role, open.call, Invariant::I1);
        Some(Seen { user, read })
    }

    /// Reads the user, half of the time, so that the change that follows expects what was read.
    async fn seen_before_a_change(&self, token: &str, person: usize) -> Option<Seen> {
        if self.sim.below(2) == 0 { self.see(token, person, None).await } else { None }
    }

    /// A query that is given the token of a write sees it.
    async fn look_by_its_token(
        &self,
        token: &str,
        person: usize,
        state: State,
        write: Open,
        changed: &Changed,
    ) {
        let Some(seen) = self.see(token, person, Some(changed.token.clone())).await else { return };
        let mut model = self.model();
        let span = crate::model::Span { end: u64::MAX, ..model.calls.span(write.call) };
        let other = model.people[person].state.may_differ_from(&model.calls, &state, span);
        let told = model.calls.tell(seen.read.call);
        let (holds, now) = (seen.user.state == state || other, seen.user.state);
        model.check(Invariant::I1, holds, || format!("{told} does not see the write of its token: {now:?}"));
    }

    /// An OK with an etag says that nobody has changed the user since it was read.
    fn judge_etag<A>(&self, person: usize, seen: Option<&Seen>, open: Open, answer: &Result<A, Failure>) {
        let (Some(seen), Ok(_)) = (seen, answer) else { return };
        let mut model = self.model();
        let told = model.calls.tell(open.call);
        let (read, change) = (model.calls.span(seen.read.call), model.calls.span(open.call));
        let subject = &model.people[person];
        let role = subject.role.is_changed_between(&model.calls, &seen.user.role, read.end, change.begin);
        let state = subject.state.is_changed_between(&model.calls, &seen.user.state, read.end, change.begin);
        let known = format!("{}; {}", subject.role.tell(&model.calls), subject.state.tell(&model.calls));
        model.check(Check::Etags, !role && !state, || format!("{told}: with a stale etag; {known}"));
    }

    fn name(&self, person: usize) -> String {
        self.model().people[person].name.clone()
    }

    fn any_target(&self) -> Option<(usize, identity::UserId)> {
        let person = self.any_person()?;
        let id = self.model().people[person].id?;
        Some((person, id))
    }
}

fn expected(seen: Option<&Seen>) -> Expected {
    seen.map_or(Expected::Anything, |seen| Expected::Exactly(seen.user.etag()))
}

fn etag(seen: Option<&Seen>) -> &'static str {
    if seen.is_some() { "as it was read" } else { "whatever it is" }
}
