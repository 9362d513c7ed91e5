//! What must be refused, when nothing fails any more: an outage of before is remembered by nobody.

use api::auth::{ChangePasswordRequest, LogInRequest, RevokeSessionRequest, SignUpRequest};
use api::users::{CreateUserRequest, GetUserRequest, ListUsersRequest, RevokeAdminRequest, UserRole};
use e2e::by_name;

use super::Client;
use super::own_account::nothing;
use crate::driver::{By, Patience};
use crate::history::{Call, Does, Role, Secret, Who};
use crate::world::Held;

/// The password of nobody.
const WRONG: Secret = Secret(u32::MAX);
/// The name of nobody.
const NOBODY: &str = "nobody00";

impl Client {
    /// Deserves each denial through every process once.
    pub async fn deserve_denials(&mut self) {
        let Some(admin) = self.world.super_admin(&mut self.rng) else { return };
        let name = self.world.new_name();
        self.create_user(&admin, &name, Role::User).await;
        let made = self.world.everybody().into_iter().find(|person| person.name == name);
        let Some(secret) = made.and_then(|person| person.secrets.last().copied()) else { return };
        self.world.keep_to_oneself(&name);
        let Some(held) = self.log_in(&name, secret, false).await else { return };
        for replica in 0..self.driver.replicas() {
            self.deserve_of_auth(replica, &name, &held, &admin).await;
            self.deserve_of_users(replica, &name, &held, &admin).await;
        }
        let call = admin.call(Does::GetUser).on(&name);
        let message = GetUserRequest { user: by_name(&name), consistency_token: String::new() };
        let read = self.administer(&admin, call, message, |answer| answer.user.as_ref()).await;
        let Some(etag) = read.and_then(|reply| reply.message.user).map(|user| user.etag) else { return };
        let by = By { replica: 0, token: Some(&admin.token), patience: Patience::Much };
        if self.make_admin(by, &admin, &name).await {
            for replica in 0..self.driver.replicas() {
                let call = Call { etag: Some(etag.clone()), ..admin.call(Does::RevokeAdmin).on(&name) };
                let message = RevokeAdminRequest { user: by_name(&name), etag: etag.clone() };
                let by = By { replica, token: Some(&admin.token), patience: Patience::Much };
                self.deserve(by, "ETAG_MISMATCH", call, message).await;
            }
        }
    }

    async fn deserve_of_auth(&mut self, replica: usize, name: &str, held: &Held, other: &Held) {
        let by = |token| By { replica, token, patience: Patience::Much };
        let wrong = self.driver.vault.password(WRONG);

        let call = Call::new(Does::LogIn, Who::Nobody).on(name).showing(WRONG);
        let message = LogInRequest { username: name.to_owned(), password: wrong.clone() };
        self.deserve(by(None), "INVALID_CREDENTIALS", call, message).await;

        let secret = self.world.new_secret();
        let another = self.driver.vault.password(secret);
        let call = held.call(Does::ChangePassword).showing(WRONG).setting(secret);
        let message = ChangePasswordRequest { current_password: wrong, new_password: another.clone() };
        self.deserve(by(Some(&held.token)), "CURRENT_PASSWORD_MISMATCH", call, message).await;

        let call = Call::new(Does::SignUp, Who::Nobody).on(name).setting(secret);
        let message =
            SignUpRequest { username: name.to_owned(), password: another, request_id: String::new() };
        self.deserve(by(None), "USERNAME_TAKEN", call, message).await;

        let mut call = held.call(Does::RevokeSession);
        call.session = Some(other.session.clone());
        let message = RevokeSessionRequest { session_id: other.session.clone() };
        self.deserve(by(Some(&held.token)), "SESSION_NOT_FOUND", call, message).await;
    }

    async fn deserve_of_users(&mut self, replica: usize, name: &str, held: &Held, admin: &Held) {
        let by = |token| By { replica, token: Some(token), patience: Patience::Much };
        let (own, of_admin) = (&held.token, &admin.token);

        let message = ListUsersRequest { page_size: 1, ..Default::default() };
        self.deserve(by(own), "ROLE_TOO_LOW", held.call(Does::ListUsers), message).await;

        let call = admin.call(Does::GetUser).on(NOBODY);
        let message = GetUserRequest { user: by_name(NOBODY), consistency_token: String::new() };
        self.deserve(by(of_admin), "USER_NOT_FOUND", call, message).await;

        let secret = self.world.new_secret();
        let mut call = admin.call(Does::CreateUser).on(name).setting(secret);
        call.role = Some(Role::User);
        let message = CreateUserRequest {
            username: name.to_owned(),
            password: self.driver.vault.password(secret),
            role: UserRole::User.into(),
            request_id: String::new(),
        };
        self.deserve(by(of_admin), "USERNAME_TAKEN", call, message).await;
    }

    async fn deserve<M: e2e::Call>(&self, by: By<'_>, reason: &'static str, call: Call, message: M) {
        let call = Call { deserves: Some(reason), ..call };
        // What is answered is for the checker.
        let _ = self.make(by, call, message, nothing).await;
    }
}
