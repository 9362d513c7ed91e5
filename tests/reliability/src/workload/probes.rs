//! Looking at once, on every process, whether what was taken away is gone.

use api::auth::{GetCurrentSessionRequest, RefreshSessionRequest};
use api::users::{
    GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest, ReactivateUserRequest,
};
use e2e::by_name;
use rand::Rng as _;

use super::own_account::opens;
use super::{Client, session_id};
use crate::driver::{By, Patience, about, seen};
use crate::history::{Answer, Does, Outcome};
use crate::world::{Held, Person};

impl Client {
    /// Shows tokens to every process.
    pub async fn probe(&mut self, tokens: &[Held]) {
        for held in tokens {
            for replica in 0..self.driver.replicas() {
                let by = By { replica, token: Some(&held.token), patience: Patience::Much };
                if self.rng.random_bool(0.5) {
                    self.read_session(by, held).await;
                } else {
                    self.read_user(by, held).await;
                }
            }
        }
    }

    /// Shows a token, good or not.
    pub(super) async fn read(&mut self) {
        let of_all = self.rng.random_bool(0.3);
        let held = if of_all { self.world.any_token(&mut self.rng) } else { self.somebodys_token() };
        let Some(held) = held else { return };
        let by = self.by(Some(&held.token));
        if self.rng.random_bool(0.5) {
            self.read_session(by, &held).await;
        } else {
            self.read_user(by, &held).await;
        }
    }

    /// Asks auth-service; says whether it let in.
    pub async fn read_session(&mut self, by: By<'_>, held: &Held) -> bool {
        let call = held.call(Does::GetCurrentSession);
        let read = |current: &api::auth::GetCurrentSessionResponse| Answer {
            session: current.session.as_ref().map(|session| session_id(&session.session_id)),
            ..Answer::default()
        };
        self.make(by, call, GetCurrentSessionRequest {}, read).await.is_ok()
    }

    /// Asks users-service; says whether it let in.
    pub async fn read_user(&mut self, by: By<'_>, held: &Held) -> bool {
        let call = held.call(Does::GetCurrentUser);
        let read = |current: &api::users::GetCurrentUserResponse| about(current.user.as_ref());
        self.make(by, call, GetCurrentUserRequest::default(), read).await.is_ok()
    }

    /// Renews a session of which the old token goes on being used; says whether that was done.
    pub async fn renew(&mut self, by: By<'_>, held: &Held) -> bool {
        let call = held.call(Does::RefreshSession);
        let read = |refreshed: &api::auth::RefreshSessionResponse| opens(refreshed.session.as_ref());
        self.make(by, call, RefreshSessionRequest {}, read).await.is_ok()
    }

    /// Inactivates somebody and reactivates it.
    pub async fn switch_off_and_on(&mut self, by: By<'_>, admin: &Held, name: &str) -> Result<(), Outcome> {
        let call = admin.call(Does::InactivateUser).on(name);
        let message = InactivateUserRequest { user: by_name(name), etag: String::new() };
        let read = |done: &api::users::InactivateUserResponse| about(done.user.as_ref());
        self.make(by, call, message, read).await?;
        let call = admin.call(Does::ReactivateUser).on(name);
        let message = ReactivateUserRequest { user: by_name(name), etag: String::new() };
        let read = |done: &api::users::ReactivateUserResponse| about(done.user.as_ref());
        self.make(by, call, message, read).await.map(drop)
    }

    /// Makes somebody an admin; says whether that was done.
    pub async fn make_admin(&mut self, by: By<'_>, super_admin: &Held, name: &str) -> bool {
        let call = super_admin.call(Does::GrantAdmin).on(name);
        let read = |done: &api::users::GrantAdminResponse| about(done.user.as_ref());
        let message = GrantAdminRequest { user: by_name(name), etag: String::new() };
        self.make(by, call, message, read).await.is_ok()
    }

    /// Does what only an admin may, on every process.
    pub(super) async fn use_rank(&mut self, person: &Person) {
        let Some(held) = person.held.last() else { return };
        for replica in 0..self.driver.replicas() {
            let by = By { replica, token: Some(&held.token), patience: Patience::Much };
            let message = ListUsersRequest { page_size: 1, ..Default::default() };
            let read = |page: &api::users::ListUsersResponse| Answer {
                listed: page.users.iter().map(seen).collect(),
                ..Answer::default()
            };
            // What is answered is for the checker.
            let _ = self.make(by, held.call(Does::ListUsers), message, read).await;
            let by = By { replica, token: Some(&held.token), patience: Patience::Much };
            self.read_user(by, held).await;
        }
    }
}
