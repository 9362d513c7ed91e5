//! What admins do to users.

use api::users::{
    CreateUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest, ListUserSessionsRequest,
    ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest, RevokeUserSessionsRequest,
    SetUserPasswordRequest, User, UserRole,
};
use e2e::{Call as Rpc, Reply, by_name};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::own_account::nothing;
use super::{Client, session_id};
use crate::driver::{about, seen};
use crate::history::{Answer, Call, Does, Outcome, Role};
use crate::world::{Held, Person};

/// How many pages of a list are read at most.
const PAGES: usize = 20;

/// Sends one of the calls that name a user and perhaps an etag, and are answered with the user.
macro_rules! administer {
    ($client:ident, $admin:expr, $person:expr, $does:ident, $message:expr) => {{
        let call = $client.act_on($admin, $person, Does::$does);
        let message = $message(call.etag.clone().unwrap_or_default());
        $client.administer($admin, call, message, |answer| answer.user.as_ref()).await
    }};
}

impl Client {
    pub(super) async fn create_somebody(&mut self) {
        let name = if self.rng.random_bool(0.7) { self.world.new_name() } else { self.world.latest_name() };
        let role = if self.rng.random_bool(0.3) { Role::Admin } else { Role::User };
        let Some(admin) = self.world.administrator(&mut self.rng) else { return };
        self.create_user(&admin, &name, role).await;
    }

    /// Creates a user, and asks again with the same request id until it is known what came of it; now and then once more.
    pub async fn create_user(&mut self, admin: &Held, name: &str, role: Role) {
        let secret = self.world.new_secret();
        let request_id = self.rng.random_bool(0.8).then(|| self.request_id());
        let mut call = admin.call(Does::CreateUser).on(name).setting(secret);
        call.role = Some(role);
        call.request_id.clone_from(&request_id);
        let mut is_known = false;
        for _ in 0..3 {
            let message = CreateUserRequest {
                username: name.to_owned(),
                password: self.driver.vault.password(secret),
                role: if role == Role::Admin { UserRole::Admin } else { UserRole::User }.into(),
                request_id: request_id.clone().unwrap_or_default(),
            };
            let by = self.by(Some(&admin.token));
            let read = |made: &api::users::CreateUserResponse| about(made.user.as_ref());
            let outcome = self.make(by, call.clone(), message, read).await;
            if outcome.is_ok() && !is_known {
                is_known = true;
                self.world.add(name, secret, role == Role::Admin);
            }
            let again = match outcome {
                Ok(_) => self.rng.random_bool(0.15),
                Err(Outcome::Unknown(_)) => true,
                Err(_) => false,
            };
            if !again || request_id.is_none() {
                return;
            }
        }
    }

    pub(super) async fn inactivate(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let message = |etag| InactivateUserRequest { user: by_name(&person.name), etag };
        if administer!(self, &admin, &person, InactivateUser, message).is_some() {
            self.probe(&person.held).await;
            let secret = self.likely_secret(&person);
            self.try_password(&person.name, secret).await;
        }
    }

    pub(super) async fn reactivate(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let message = |etag| ReactivateUserRequest { user: by_name(&person.name), etag };
        if administer!(self, &admin, &person, ReactivateUser, message).is_some() {
            self.probe(&person.held).await;
            let secret = self.likely_secret(&person);
            self.try_password(&person.name, secret).await;
        }
    }

    pub(super) async fn grant(&mut self) {
        let Some((admin, person)) = self.super_admin_and_person() else { return };
        let message = |etag| GrantAdminRequest { user: by_name(&person.name), etag };
        administer!(self, &admin, &person, GrantAdmin, message);
        self.world.change(&person.name, |person| person.is_admin = true);
        self.use_rank(&person).await;
    }

    pub(super) async fn revoke(&mut self) {
        let Some((admin, person)) = self.super_admin_and_person() else { return };
        let message = |etag| RevokeAdminRequest { user: by_name(&person.name), etag };
        if administer!(self, &admin, &person, RevokeAdmin, message).is_some() {
            self.world.change(&person.name, |person| person.is_admin = false);
            self.use_rank(&person).await;
        }
    }

    pub(super) async fn set_password(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let before = self.likely_secret(&person);
        let secret = self.world.new_secret();
        let call = admin.call(Does::SetUserPassword).on(&person.name).setting(secret);
        let password = self.driver.vault.password(secret);
        let message = SetUserPasswordRequest { user: by_name(&person.name), password };
        let by = self.by(Some(&admin.token));
        let read = |set: &api::users::SetUserPasswordResponse| about(set.user.as_ref());
        match self.make(by, call, message, read).await {
            Ok(_) => {
                self.world.has_secret(&person.name, secret);
                self.probe(&person.held).await;
                self.try_password(&person.name, before).await;
            }
            Err(Outcome::Unknown(_)) => self.world.has_secret(&person.name, secret),
            Err(_) => {}
        }
    }

    pub(super) async fn get_user(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let message = GetUserRequest { user: by_name(&person.name), consistency_token: String::new() };
        let call = admin.call(Does::GetUser).on(&person.name);
        self.administer(&admin, call, message, |answer| answer.user.as_ref()).await;
    }

    pub(super) async fn list_user_sessions(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let call = admin.call(Does::ListUserSessions).on(&person.name);
        let message = ListUserSessionsRequest { user: by_name(&person.name), ..Default::default() };
        let by = self.by(Some(&admin.token));
        // That it fails is for the checker.
        let _ = self.make(by, call, message, nothing).await;
    }

    pub(super) async fn revoke_user_sessions(&mut self) {
        let Some((admin, person)) = self.admin_and_person() else { return };
        let one = person.held.choose(&mut self.rng).filter(|_| self.rng.random_bool(0.5)).cloned();
        let mut call = admin.call(Does::RevokeUserSessions).on(&person.name);
        call.session = one.as_ref().map(|held| session_id(&held.session));
        let session_id = one.as_ref().map(|held| held.session.clone()).unwrap_or_default();
        let message = RevokeUserSessionsRequest { user: by_name(&person.name), session_id };
        let by = self.by(Some(&admin.token));
        if self.make(by, call, message, nothing).await.is_ok() {
            let ended = one.map_or(person.held, |held| vec![held]);
            self.probe(&ended).await;
        }
    }

    /// Reads a list by name from its beginning to its end, each page wherever it is.
    pub async fn list_users(&mut self) {
        let Some(admin) = self.world.administrator(&mut self.rng) else { return };
        let start = self.driver.now();
        // Small pages where there are not many users: a list has seams then too.
        let page_size = if self.rng.random_bool(0.3) { 5 } else { 50 };
        let (mut page_token, mut listed) = (String::new(), Vec::new());
        for _ in 0..PAGES {
            let message = ListUsersRequest {
                page_size,
                page_token: page_token.clone(),
                order_by: "username".into(),
                ..Default::default()
            };
            let by = self.by(Some(&admin.token));
            let read = |page: &api::users::ListUsersResponse| Answer {
                listed: page.users.iter().map(seen).collect(),
                ..Answer::default()
            };
            let Ok(page) = self.make(by, admin.call(Does::ListUsers), message, read).await else {
                return;
            };
            listed.extend(page.users.iter().map(seen));
            page_token = page.message.next_page_token;
            if page_token.is_empty() {
                let answer = Answer { listed, is_whole: true, ..Answer::default() };
                self.driver.note(start, admin.call(Does::ListUsers), Outcome::Ok(Box::new(answer)));
                return;
            }
        }
    }

    fn act_on(&mut self, admin: &Held, person: &Person, does: Does) -> Call {
        let mut call = admin.call(does).on(&person.name);
        call.etag = person.etag.clone().filter(|_| self.rng.random_bool(0.3));
        call
    }

    pub(super) async fn administer<M: Rpc>(
        &mut self,
        admin: &Held,
        call: Call,
        message: M,
        user: impl Fn(&M::Answer) -> Option<&User> + Send + Sync,
    ) -> Option<Reply<M::Answer>> {
        let by = self.by(Some(&admin.token));
        let reply = self.make(by, call, message, |answer| about(user(answer))).await.ok()?;
        if let Some(user) = user(&reply.message) {
            self.world.change(&user.username, |person| person.etag = Some(user.etag.clone()));
        }
        Some(reply)
    }

    fn admin_and_person(&mut self) -> Option<(Held, Person)> {
        let admin = self.world.administrator(&mut self.rng)?;
        Some((admin, self.target()?))
    }

    fn super_admin_and_person(&mut self) -> Option<(Held, Person)> {
        let admin = self.world.super_admin(&mut self.rng)?;
        Some((admin, self.target()?))
    }

    /// Anybody, and now and then a super admin, on whom nobody may act.
    fn target(&mut self) -> Option<Person> {
        if self.rng.random_bool(0.06) {
            self.world.super_admin_as_a_person(&mut self.rng)
        } else {
            self.world.anybody(&mut self.rng)
        }
    }
}
