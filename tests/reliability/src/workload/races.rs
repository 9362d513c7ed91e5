//! Log-ins while the right to log in is taken away, and changes by what is known no longer: of users whom nobody else knows,
//! so that it is certain what each answer may be.

use std::time::Duration;

use api::users::{
    GetUserRequest, GrantAdminRequest, GrantAdminResponse, InactivateUserRequest, ReactivateUserRequest,
    RevokeAdminRequest, SetUserPasswordRequest,
};
use e2e::by_name;
use futures::future::join_all;
use rand::Rng as _;
use tokio::time::sleep;

use super::Client;
use crate::driver::about;
use crate::history::{Call, Does, Role, Secret};
use crate::world::Held;

/// So many log-ins are under way.
const LOG_INS: u64 = 10;
/// So often.
const TIMES: usize = 3;

impl Client {
    /// Takes the right away, by inactivation or by another password, while log-ins are under way; then shows what they got.
    pub(super) async fn race_log_ins(&mut self) {
        let Some(admin) = self.world.super_admin(&mut self.rng) else { return };
        let name = self.world.new_name();
        let by_password = self.rng.random_bool(0.5);
        self.create_user(&admin, &name, Role::User).await;
        let made = self.world.everybody().into_iter().find(|person| person.name == name);
        let Some(mut secret) = made.and_then(|person| person.secrets.last().copied()) else { return };
        self.world.keep_to_oneself(&name);
        // Whom nobody lets in again shows what a log-in left behind of which nobody was told.
        let stays_closed = self.rng.random_bool(0.5);
        for time in 1..=TIMES {
            let mut others: Vec<Self> = (0..LOG_INS)
                .map(|_| Self::new(&self.driver, &self.world, self.rng.random()).hasty())
                .collect();
            let log_ins = others.iter_mut().map(|other| {
                let name = &name;
                async move { Box::pin(other.log_in(name, secret, false)).await }
            });
            let pause = Duration::from_micros(self.rng.random_range(0..6000));
            let taking = async {
                sleep(pause).await;
                if by_password {
                    self.set_another(&admin, &name).await
                } else {
                    self.close(&admin, &name).await
                }
            };
            let (opened, taken) = tokio::join!(join_all(log_ins), Box::pin(taking));
            let opened: Vec<Held> = opened.into_iter().flatten().collect();
            self.probe(&opened).await;
            match taken {
                Some(another) if by_password => secret = another,
                None if !by_password && time == TIMES && stays_closed => {}
                _ => self.open(&admin, &name).await,
            }
            self.probe(&opened).await;
        }
    }

    /// Changes somebody whom nobody else knows, as it is known and as it was known before.
    pub(super) async fn use_a_stale_etag(&mut self) {
        let Some(admin) = self.world.super_admin(&mut self.rng) else { return };
        let name = self.world.new_name();
        self.create_user(&admin, &name, Role::User).await;
        self.world.keep_to_oneself(&name);
        let call = admin.call(Does::GetUser).on(&name);
        let message = GetUserRequest { user: by_name(&name), consistency_token: String::new() };
        let read = self.administer(&admin, call, message, |answer| answer.user.as_ref()).await;
        let Some(etag) = read.and_then(|reply| reply.message.user).map(|user| user.etag) else { return };
        let with = |does| Call { etag: Some(etag.clone()), ..admin.call(does).on(&name) };
        let message = GrantAdminRequest { user: by_name(&name), etag: etag.clone() };
        let user = |answer: &GrantAdminResponse| answer.user.clone();
        let by = self.by(Some(&admin.token));
        let granted =
            self.make(by, with(Does::GrantAdmin), message, |answer| about(user(answer).as_ref())).await;
        if granted.is_ok() {
            let message = RevokeAdminRequest { user: by_name(&name), etag: etag.clone() };
            self.administer(&admin, with(Does::RevokeAdmin), message, |answer| answer.user.as_ref()).await;
        }
    }

    async fn close(&mut self, admin: &Held, name: &str) -> Option<Secret> {
        let call = admin.call(Does::InactivateUser).on(name);
        let message = InactivateUserRequest { user: by_name(name), etag: String::new() };
        self.administer(admin, call, message, |answer| answer.user.as_ref()).await;
        None
    }

    async fn open(&mut self, admin: &Held, name: &str) {
        let call = admin.call(Does::ReactivateUser).on(name);
        let message = ReactivateUserRequest { user: by_name(name), etag: String::new() };
        self.administer(admin, call, message, |answer| answer.user.as_ref()).await;
    }

    async fn set_another(&mut self, admin: &Held, name: &str) -> Option<Secret> {
        let secret = self.world.new_secret();
        let call = admin.call(Does::SetUserPassword).on(name).setting(secret);
        let password = self.driver.vault.password(secret);
        let message = SetUserPasswordRequest { user: by_name(name), password };
        let by = self.by(Some(&admin.token));
        let read = |set: &api::users::SetUserPasswordResponse| about(set.user.as_ref());
        self.make(by, call, message, read).await.ok().map(|_| secret)
    }
}
