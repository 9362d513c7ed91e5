//! Somebody who has no time: every call may be cut off after up to 20 ms, by its deadline or because the client stops
//! waiting. What is not known after that is put right by calls that are waited for.
//!
//! A unit of work that nobody waits for may come late. Those that could undo what is known afterwards carry an etag or a
//! password that no longer holds then; of the one that carries neither, every password that was tried may be the one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, LogOutRequest, RefreshSessionRequest,
};
use api::users::{
    CreateUserRequest, GrantAdminRequest, InactivateUserRequest, ReactivateUserRequest, RevokeAdminRequest,
    SetUserPasswordRequest, User, UserRole, UserState,
};
use e2e::{AUTH, Call, Caller, PASSWORD, Person, by_id, sign_up};
use tokio::time::timeout;

use super::super::tally::{CANCELLED, OK, OUTAGES, reason};
use super::{Common, take_one};

/// A user who calls, one whom it changes, and one whose password it sets.
pub(super) struct Hasty {
    common: Arc<Common>,
    me: Person,
    password: String,
    alive: Vec<Caller>,
    dead: Vec<Caller>,
    changed: User,
    forgetful: Person,
    /// Those that it may have.
    passwords: Vec<String>,
    signed_up: Vec<String>,
    created: Vec<(String, String, UserRole)>,
}

impl Hasty {
    /// One who has not begun.
    pub(super) async fn new(common: Arc<Common>, number: usize) -> Self {
        let me = common.created(&format!("hasty{number}"), UserRole::User).await;
        let changed = common.created(&format!("changed{number}"), UserRole::User).await;
        let forgetful = common.created(&format!("forgetful{number}"), UserRole::User).await;
        Self {
            me,
            password: PASSWORD.to_owned(),
            alive: Vec::new(),
            dead: Vec::new(),
            changed: common.user(&changed.id).await,
            forgetful,
            passwords: vec![PASSWORD.to_owned()],
            signed_up: Vec::new(),
            created: Vec::new(),
            common,
        }
    }

    /// Makes its share of the calls that may be cut off.
    pub(super) async fn run(mut self) -> Self {
        while take_one(&self.common.cut_left) {
            self.step().await;
        }
        self
    }

    async fn step(&mut self) {
        if self.alive.is_empty() {
            let request =
                LogInRequest { username: self.me.username.clone(), password: self.password.clone() };
            let opened = self.common.patient(&self.common.anonymous, request).await.message;
            self.alive.push(self.common.anonymous.bearer(&opened.access_token));
        }
        let session = rand::random_range(0..self.alive.len());
        match rand::random_range(0..9) {
            0 => {
                let username = self.common.new_name();
                if self.cut(&self.common.anonymous, sign_up(&username)).await.is_some() {
                    self.signed_up.push(username);
                }
            }
            1 => self.create_user().await,
            2 => {
                let request =
                    LogInRequest { username: self.me.username.clone(), password: self.password.clone() };
                if let Some(opened) = self.cut(&self.common.anonymous, request).await {
                    self.alive.push(self.common.anonymous.bearer(&opened.access_token));
                }
            }
            3 => {
                let bearer = self.alive.swap_remove(session);
                if self.cut(&bearer, LogOutRequest {}).await.is_none() {
                    // It is logged out either way now.
                    self.log_out(&bearer).await;
                }
                self.dead.push(bearer);
            }
            4 => {
                let renewed = self.cut(&self.alive[session], RefreshSessionRequest {}).await;
                if let Some(renewed) = renewed {
                    self.alive[session] = self.common.anonymous.bearer(&renewed.access_token);
                }
            }
            5 => self.change_password(session).await,
            6 => self.change_state().await,
            7 => self.change_role().await,
            _ => {
                let password = self.common.new_password();
                let request =
                    SetUserPasswordRequest { user: by_id(&self.forgetful.id), password: password.clone() };
                self.cut(&self.common.admin, request).await;
                self.passwords.push(password);
            }
        }
    }

    /// Until it is known that the session has ended, by this or before.
    async fn log_out(&self, bearer: &Caller) {
        loop {
            match self.common.acknowledged.call(bearer, LogOutRequest {}).await {
                Ok(_) => return,
                Err(reason) if reason == "UNAUTHENTICATED" => return,
                Err(reason) => assert!(OUTAGES.contains(&reason.as_str()), "{reason} for a log-out"),
            }
        }
    }

    async fn create_user(&mut self) {
        let role = if rand::random() { UserRole::User } else { UserRole::Admin };
        let request = CreateUserRequest {
            username: self.common.new_name(),
            password: PASSWORD.to_owned(),
            role: role.into(),
            request_id: String::new(),
        };
        if let Some(created) = self.cut(&self.common.super_admin, request).await {
            let user = created.user.expect("a user");
            self.created.push((user.user_id, user.username, role));
        }
    }

    async fn change_password(&mut self, session: usize) {
        let new_password = self.common.new_password();
        let request = ChangePasswordRequest {
            current_password: self.password.clone(),
            new_password: new_password.clone(),
        };
        if let Some(opened) = self.cut(&self.alive[session], request).await {
            self.dead.append(&mut self.alive);
            self.alive.push(self.common.anonymous.bearer(&opened.access_token));
            self.password = new_password;
        } else {
            // If the change comes after this one, it finds that the current password is another.
            let password = self.common.new_password();
            let request = SetUserPasswordRequest { user: by_id(&self.me.id), password: password.clone() };
            self.common.patient(&self.common.super_admin, request).await;
            self.dead.append(&mut self.alive);
            self.password = password;
        }
    }

    async fn change_state(&mut self) {
        let (by, id, etag) = (&self.common.super_admin, &self.changed.user_id, self.changed.etag.clone());
        let changed = if self.changed.state() == UserState::Active {
            let request = InactivateUserRequest { user: by_id(id), etag };
            self.cut(by, request).await.map(|changed| changed.user)
        } else {
            let request = ReactivateUserRequest { user: by_id(id), etag };
            self.cut(by, request).await.map(|changed| changed.user)
        };
        let user = if let Some(user) = changed {
            user
        } else {
            // One of the two is a change, so the etag no longer holds.
            let etag = String::new();
            self.common.patient(by, InactivateUserRequest { user: by_id(id), etag: etag.clone() }).await;
            self.common.patient(by, ReactivateUserRequest { user: by_id(id), etag }).await.message.user
        };
        self.changed = user.expect("a user");
    }

    async fn change_role(&mut self) {
        let (by, id, etag) = (&self.common.super_admin, &self.changed.user_id, self.changed.etag.clone());
        let changed = if self.changed.role() == UserRole::User {
            let request = GrantAdminRequest { user: by_id(id), etag };
            self.cut(by, request).await.map(|changed| changed.user)
        } else {
            let request = RevokeAdminRequest { user: by_id(id), etag };
            self.cut(by, request).await.map(|changed| changed.user)
        };
        let user = if let Some(user) = changed {
            user
        } else {
            let etag = String::new();
            self.common.patient(by, GrantAdminRequest { user: by_id(id), etag: etag.clone() }).await;
            self.common.patient(by, RevokeAdminRequest { user: by_id(id), etag }).await.message.user
        };
        self.changed = user.expect("a user");
    }

    /// Makes a call that is cut off sooner or later. Nothing if it is not known what became of it; nobody has a reason
    /// to refuse it.
    async fn cut<M: Call>(&self, caller: &Caller, message: M) -> Option<M::Answer> {
        let micros = rand::random_range(0..20_000);
        let begin = Instant::now();
        let outcome = if rand::random() {
            let hurried = caller.with("grpc-timeout", &format!("{micros}u"));
            hurried.raw(message).await.map_err(|status| reason::<M>(&status))
        } else {
            let outcome = timeout(Duration::from_micros(micros), caller.raw(message)).await;
            let known = outcome.map(|outcome| outcome.map_err(|status| reason::<M>(&status)));
            known.unwrap_or_else(|_| Err(CANCELLED.to_owned()))
        };
        match outcome {
            Ok(reply) => {
                self.common.cut.note::<M>(OK, begin.elapsed());
                Some(reply.message)
            }
            Err(reason) => {
                self.common.cut.note::<M>(&reason, begin.elapsed());
                let known = reason == CANCELLED || OUTAGES.contains(&reason.as_str());
                assert!(known, "{reason} for {} in a hurry", self.me.username);
                // What was left behind is not to pile up: now and then somebody waits behind it.
                if rand::random_range(0..3) > 0 {
                    return None;
                }
                if M::DOMAIN == AUTH {
                    self.common.patient(&self.common.user, GetCurrentSessionRequest {}).await;
                } else {
                    self.common.user(&self.changed.user_id).await;
                }
                None
            }
        }
    }

    /// Whether everything is as it has to be; says how many things that were.
    pub(super) async fn check(self) -> usize {
        let Self { common, alive, dead, .. } = self;
        let facts = 3 + alive.len() + dead.len() + self.signed_up.len() + self.created.len();
        assert!(common.logs_in(&self.me.username, &self.password).await, "{}", self.me.username);
        common.are_alive(alive).await;
        common.are_dead(dead).await;
        let now = common.user(&self.changed.user_id).await;
        assert_eq!(now, self.changed);
        let mut works = false;
        for password in self.passwords.iter().rev() {
            works = works || common.logs_in(&self.forgetful.username, password).await;
        }
        assert!(works, "none of the passwords of {}", self.forgetful.username);
        for username in &self.signed_up {
            assert!(common.logs_in(username, PASSWORD).await, "{username} has signed up");
        }
        for (id, username, role) in &self.created {
            assert_eq!(common.user(id).await.role(), *role, "{username}");
            assert!(common.logs_in(username, PASSWORD).await, "{username} was created");
        }
        facts
    }
}
