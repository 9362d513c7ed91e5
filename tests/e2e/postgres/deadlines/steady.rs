//! Somebody whose every call is answered, and who knows therefore exactly what has to be.

use std::sync::Arc;

use api::auth::{
    ChangePasswordRequest, LogInRequest, LogOutRequest, RefreshSessionRequest, RevokeAllSessionsRequest,
    SignUpRequest,
};
use api::users::{
    CreateUserRequest, GrantAdminRequest, InactivateUserRequest, ReactivateUserRequest, RevokeAdminRequest,
    SetUserPasswordRequest, UserRole, UserState,
};
use e2e::{Caller, PASSWORD, Person, by_id, sign_up};

use super::{Common, take_one};

/// A user, and who it has made.
pub(super) struct Steady {
    common: Arc<Common>,
    id: String,
    username: String,
    password: String,
    role: UserRole,
    state: UserState,
    /// Of each session that is alive all its tokens.
    alive: Vec<Vec<Caller>>,
    dead: Vec<Caller>,
    old_passwords: Vec<String>,
    signed_up: Vec<String>,
    created: Vec<(String, String, UserRole)>,
}

impl Steady {
    /// One who has not begun.
    pub(super) async fn new(common: Arc<Common>, number: usize) -> Self {
        let Person { id, username, token, .. } =
            common.created(&format!("steady{number}"), UserRole::User).await;
        Self {
            alive: vec![vec![common.anonymous.bearer(&token)]],
            common,
            id,
            username,
            password: PASSWORD.to_owned(),
            role: UserRole::User,
            state: UserState::Active,
            dead: Vec::new(),
            old_passwords: Vec::new(),
            signed_up: Vec::new(),
            created: Vec::new(),
        }
    }

    /// Makes its share of the acknowledged calls.
    pub(super) async fn run(mut self) -> Self {
        while take_one(&self.common.acknowledged_left) {
            self.step().await;
        }
        self
    }

    async fn step(&mut self) {
        let common = Arc::clone(&self.common);
        let etag = String::new();
        if self.state == UserState::Inactive {
            common.patient(&common.super_admin, ReactivateUserRequest { user: by_id(&self.id), etag }).await;
            self.state = UserState::Active;
            return;
        }
        if self.alive.is_empty() {
            return self.log_in().await;
        }
        let session = rand::random_range(0..self.alive.len());
        let bearer = self.alive[session].last().expect("a token").clone();
        match rand::random_range(0..20) {
            0..4 => self.log_in().await,
            4..7 => {
                common.patient(&bearer, LogOutRequest {}).await;
                self.dead.extend(self.alive.swap_remove(session));
            }
            7..10 => {
                let token = common.patient(&bearer, RefreshSessionRequest {}).await.message.access_token;
                self.alive[session].push(common.anonymous.bearer(&token));
            }
            10 => {
                let new_password = common.new_password();
                let request = ChangePasswordRequest {
                    current_password: self.password.clone(),
                    new_password: new_password.clone(),
                };
                let token = common.patient(&bearer, request).await.message.access_token;
                self.all_ended();
                self.alive.push(vec![common.anonymous.bearer(&token)]);
                self.has_another_password(new_password);
            }
            11 => {
                let password = common.new_password();
                let request = SetUserPasswordRequest { user: by_id(&self.id), password: password.clone() };
                common.patient(&common.super_admin, request).await;
                self.all_ended();
                self.has_another_password(password);
            }
            12 => {
                common
                    .patient(&common.super_admin, InactivateUserRequest { user: by_id(&self.id), etag })
                    .await;
                self.all_ended();
                self.state = UserState::Inactive;
            }
            13 => {
                common.patient(&bearer, RevokeAllSessionsRequest { keep_current: true }).await;
                let kept = self.alive.swap_remove(session);
                self.all_ended();
                self.alive.push(kept);
            }
            14..16 if self.role == UserRole::User => {
                common.patient(&common.super_admin, GrantAdminRequest { user: by_id(&self.id), etag }).await;
                self.role = UserRole::Admin;
            }
            14..16 => {
                common.patient(&common.super_admin, RevokeAdminRequest { user: by_id(&self.id), etag }).await;
                self.role = UserRole::User;
            }
            16..18 => {
                let username = common.new_name();
                let request = SignUpRequest { request_id: Common::new_request_id(), ..sign_up(&username) };
                common.patient(&common.anonymous, request).await;
                self.signed_up.push(username);
            }
            _ => {
                let role = if rand::random() { UserRole::User } else { UserRole::Admin };
                let request = CreateUserRequest {
                    username: common.new_name(),
                    password: PASSWORD.to_owned(),
                    role: role.into(),
                    request_id: Common::new_request_id(),
                };
                let user = common.patient(&common.super_admin, request).await.message.user.expect("a user");
                self.created.push((user.user_id, user.username, role));
            }
        }
    }

    async fn log_in(&mut self) {
        let request = LogInRequest { username: self.username.clone(), password: self.password.clone() };
        let anonymous = &self.common.anonymous;
        let token = self.common.patient(anonymous, request).await.message.access_token;
        self.alive.push(vec![anonymous.bearer(&token)]);
    }

    fn all_ended(&mut self) {
        self.dead.extend(self.alive.drain(..).flatten());
    }

    fn has_another_password(&mut self, password: String) {
        self.old_passwords.push(std::mem::replace(&mut self.password, password));
    }

    /// Whether everything is as it has to be; says how many things that were.
    pub(super) async fn check(self) -> usize {
        let Self { common, alive, dead, .. } = self;
        let alive: Vec<_> = alive.into_iter().flatten().collect();
        let facts = 3
            + alive.len()
            + dead.len()
            + self.old_passwords.len()
            + self.signed_up.len()
            + self.created.len();
        let user = common.user(&self.id).await;
        assert_eq!((user.role(), user.state()), (self.role, self.state), "{}", self.username);
        common.are_alive(alive).await;
        common.are_dead(dead).await;
        if self.state == UserState::Active {
            assert!(common.logs_in(&self.username, &self.password).await, "{}", self.username);
            for password in &self.old_passwords {
                assert!(!common.logs_in(&self.username, password).await, "{}", self.username);
            }
        }
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
