//! What users do to themselves.

use api::auth::{
    ChangePasswordRequest, ListSessionsRequest, LogInRequest, LogOutRequest, RefreshSessionRequest,
    RevokeAllSessionsRequest, RevokeSessionRequest, Session, SignUpRequest,
};
use rand::Rng as _;
use rand::seq::IndexedRandom as _;

use super::{Client, session_id};
use crate::history::{Answer, Call, Does, Outcome, Secret, Who};
use crate::world::{Held, Person};

/// How often a call is repeated whose outcome is unknown.
const REPEATS: usize = 3;

impl Client {
    /// Signs up, and asks again with the same request id until it is known what came of it; now and then once more.
    pub async fn sign_up(&mut self, name: &str) {
        let secret = self.world.new_secret();
        let request_id = self.rng.random_bool(0.7).then(|| self.request_id());
        let mut call = Call::new(Does::SignUp, Who::Nobody).on(name).setting(secret);
        call.request_id.clone_from(&request_id);
        let mut is_known = false;
        for _ in 0..REPEATS {
            let message = SignUpRequest {
                username: name.to_owned(),
                password: self.driver.vault.password(secret),
                request_id: request_id.clone().unwrap_or_default(),
            };
            let by = self.by(None);
            let read = |made: &api::auth::SignUpResponse| Answer {
                id: Some(made.user_id.clone()),
                ..Answer::default()
            };
            let outcome = self.make(by, call.clone(), message, read).await;
            if outcome.is_ok() && !is_known {
                is_known = true;
                self.world.add(name, secret, false);
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

    pub(super) async fn log_in_somebody(&mut self) {
        if let Some(person) = self.world.anybody(&mut self.rng) {
            let secret = self.likely_secret(&person);
            self.log_in(&person.name, secret, false).await;
        }
    }

    /// Opens a session.
    pub async fn log_in(&mut self, name: &str, secret: Secret, is_super_admin: bool) -> Option<Held> {
        let call = Call::new(Does::LogIn, Who::Nobody).on(name).showing(secret);
        let message =
            LogInRequest { username: name.to_owned(), password: self.driver.vault.password(secret) };
        let by = self.by(None);
        let opened = self.make(by, call, message, |opened| opens(opened.session.as_ref())).await.ok()?;
        self.hold(name, &opened.access_token, opened.session.as_ref(), is_super_admin)
    }

    pub(super) async fn log_out(&mut self) {
        let Some(held) = self.somebodys_token() else { return };
        let by = self.by(Some(&held.token));
        let out = self.make(by, held.call(Does::LogOut), LogOutRequest {}, nothing).await;
        if out.is_ok() {
            self.probe(&[held]).await;
        }
    }

    pub(super) async fn refresh(&mut self) {
        let Some(held) = self.somebodys_token() else { return };
        let by = self.by(Some(&held.token));
        let call = held.call(Does::RefreshSession);
        let read = |refreshed: &api::auth::RefreshSessionResponse| opens(refreshed.session.as_ref());
        if let Ok(refreshed) = self.make(by, call, RefreshSessionRequest {}, read).await {
            let name = held.user.clone();
            self.hold(&name, &refreshed.access_token, refreshed.session.as_ref(), false);
        }
    }

    /// Ends another session of the same user, as a list shows it.
    pub(super) async fn revoke_session(&mut self) {
        let Some(held) = self.somebodys_token() else { return };
        let by = self.by(Some(&held.token));
        let call = held.call(Does::ListSessions);
        let Ok(list) = self.make(by, call, ListSessionsRequest::default(), nothing).await else {
            return;
        };
        let Some(one) = list.sessions.choose(&mut self.rng).map(|one| one.session_id.clone()) else { return };
        let mut call = held.call(Does::RevokeSession);
        call.session = Some(session_id(&one));
        let by = self.by(Some(&held.token));
        let message = RevokeSessionRequest { session_id: one.clone() };
        if self.make(by, call, message, nothing).await.is_ok() {
            let ended = self.tokens_of(&held.user, |other| other.session == session_id(&one));
            self.probe(&ended).await;
        }
    }

    pub(super) async fn revoke_all_sessions(&mut self) {
        let Some(held) = self.somebodys_token() else { return };
        let keep_current = self.rng.random_bool(0.5);
        let known = self.tokens_of(&held.user, |other| !keep_current || other.session != held.session);
        let mut call = held.call(Does::RevokeAllSessions);
        call.keeps_current = keep_current;
        let by = self.by(Some(&held.token));
        let message = RevokeAllSessionsRequest { keep_current };
        if self.make(by, call, message, nothing).await.is_ok() {
            self.probe(&known).await;
        }
    }

    pub(super) async fn change_password(&mut self) {
        let Some(person) = self.world.anybody(&mut self.rng) else { return };
        let Some(held) = person.held.last().cloned() else { return };
        let current = self.likely_secret(&person);
        let new = self.world.new_secret();
        let call = held.call(Does::ChangePassword).showing(current).setting(new);
        let message = ChangePasswordRequest {
            current_password: self.driver.vault.password(current),
            new_password: self.driver.vault.password(new),
        };
        let by = self.by(Some(&held.token));
        let read = |changed: &api::auth::ChangePasswordResponse| opens(changed.session.as_ref());
        match self.make(by, call, message, read).await {
            Ok(changed) => {
                self.world.has_secret(&held.user, new);
                self.probe(&person.held).await;
                self.hold(&held.user, &changed.access_token, changed.session.as_ref(), false);
                self.try_password(&person.name, current).await;
            }
            Err(Outcome::Unknown(_)) => self.world.has_secret(&held.user, new),
            Err(_) => {}
        }
    }

    /// Shows a password, which the checker knows the worth of.
    pub(super) async fn try_password(&mut self, name: &str, secret: Secret) {
        self.log_in(name, secret, false).await;
    }

    fn hold(
        &mut self,
        name: &str,
        token: &str,
        session: Option<&Session>,
        is_super_admin: bool,
    ) -> Option<Held> {
        let session = session_id(&session?.session_id);
        let held = Held { user: name.to_lowercase(), session, token: token.to_owned() };
        self.world.holds(held.clone(), is_super_admin);
        Some(held)
    }

    pub(super) fn likely_secret(&mut self, person: &Person) -> Secret {
        let likeliest = person.secrets.last().copied();
        let any = person.secrets.choose(&mut self.rng).copied();
        let chosen = if self.rng.random_bool(0.8) { likeliest } else { any };
        chosen.unwrap_or(Secret(u32::MAX))
    }

    /// A token of somebody, most often one that was good a moment ago.
    pub(super) fn somebodys_token(&mut self) -> Option<Held> {
        let person = self.world.anybody(&mut self.rng)?;
        if self.rng.random_bool(0.7) {
            person.held.last().cloned()
        } else {
            person.held.choose(&mut self.rng).cloned()
        }
    }

    /// The tokens of somebody that are known and for which this is true.
    pub(super) fn tokens_of(&self, user: &str, is: impl Fn(&Held) -> bool) -> Vec<Held> {
        let everybody = self.world.everybody();
        let person = everybody.into_iter().find(|person| person.name.eq_ignore_ascii_case(user));
        person.into_iter().flat_map(|person| person.held).filter(is).collect()
    }

    pub(super) fn request_id(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }
}

/// An answer that says nothing of users or sessions.
pub(super) fn nothing<M>(_: &M) -> Answer {
    Answer::default()
}

pub(super) fn opens(session: Option<&Session>) -> Answer {
    Answer {
        session: session.map(|session| session_id(&session.session_id)),
        expires: session.and_then(|session| session.expire_time.as_ref()).map(|time| time.seconds),
        ..Answer::default()
    }
}
