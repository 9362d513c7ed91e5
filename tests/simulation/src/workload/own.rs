//! What end users call at auth-service, and what they ask users-service about themselves.

use auth_core::commands::Opened;
use users_core::domain::Role;

use super::{Client, Open, PATIENCE, REPEATS, heard, is_worth_a_repeat, may_have_been_done};
use crate::auth::client;
use crate::failure::Failure;
use crate::model::{Ender, Ends, Invariant, KnownSession, Outcome};
use crate::network::Repeats;
use crate::scheduler::{Node, lock};

/// Names that several clients want.
const WANTED: [&str; 3] = ["Wanted", "wAnted", "wanteD"];

impl Client {
    pub(super) async fn sign_up_somebody(&self) {
        let (name, password, request_id) = (self.new_name(), self.new_password(), self.request_id());
        let open = self.begin(format!("sign_up {name}"));
        let person = self.model().expect_person(&name, &password, Role::User, open.call);
        self.sign_up(open, person, &name, &password, &request_id, false).await;
    }

    pub(super) async fn sign_up_by_a_name_that_others_want(&self) {
        let (password, request_id) = (self.new_password(), self.request_id());
        let Some(name) = self.sim.one_of(&WANTED) else { return };
        let open = self.begin(format!("sign_up {name}"));
        let person = self.model().expect_person(name, &password, Role::User, open.call);
        self.sign_up(open, person, name, &password, &request_id, true).await;
    }

    /// Until it is known what came of it, or the client has had enough.
    async fn sign_up(
        &self,
        open: Open,
        person: usize,
        name: &str,
        password: &str,
        request_id: &str,
        is_wanted_by_others: bool,
    ) {
        let mut open = open;
        let mut may_be_done = false;
        for attempt in 0..=REPEATS {
            let (username, secret, mark) = (name.to_owned(), password.to_owned(), request_id.to_owned());
            let from = client(self.number);
            let answer = self.cluster.auth("SignUp", Repeats::Harmless, PATIENCE, move |process| {
                let (username, secret, mark) = (username.clone(), secret.clone(), mark.clone());
                let from = from.clone();
                async move { process.sign_up(&username, secret, &mark, &from).await }
            });
            let answer = heard(answer.await);
            may_be_done |= may_have_been_done(&answer);
            let is_last = attempt == REPEATS || !answer.as_ref().is_err_and(is_worth_a_repeat);
            let outcome = match &answer {
                Ok(_) => Outcome::Acknowledged,
                Err(_) if may_be_done => Outcome::Unknown,
                Err(failure) => failure.outcome(),
            };
            self.end_as(open, &answer, outcome);
            let told = self.model().calls.tell(open.call);
            let is_refused = matches!(answer, Err(Failure::Taken | Failure::Reused));
            let is_right = !is_refused || is_wanted_by_others;
            self.model().check(Invariant::I8, is_right, || format!("{told}: a repeat was not recognised"));
            if let Ok(account) = &answer {
                self.model().people[person].id = Some(account.id);
            }
            if is_last {
                return;
            }
            open = self.repeat(open);
        }
    }

    /// With the password that is right as far as is known, with one of before, or with a wrong one.
    pub(super) async fn log_somebody_in(&self) {
        if let Some(person) = self.any_person() {
            self.log_in(person).await;
        }
    }

    pub(super) async fn log_in(&self, person: usize) {
        let (name, passwords) = {
            let model = self.model();
            let person = &model.people[person];
            (person.name.clone(), person.password.candidates(&model.calls))
        };
        let password = match self.sim.below(10) {
            0 => "not the password at all".to_owned(),
            1 => self.sim.one_of(&passwords).unwrap_or_default(),
            _ => passwords.last().cloned().unwrap_or_default(),
        };
        let open = self.begin(format!("log_in {name} with {password:?}"));
        let (presented, from) = (password.clone(), client(self.number));
        let answer = self.cluster.auth("LogIn", Repeats::Harmless, PATIENCE, move |process| {
            let (name, password, from) = (name.clone(), presented.clone(), from.clone());
            async move { process.log_in(&name, password, from).await }
        });
        let answer = heard(answer.await);
        self.end(open, &answer);
        match &answer {
            Ok(opened) => {
                self.learn(person, open, &password, opened);
                self.model().logged_in(person, &password, open.call);
            }
            Err(Failure::WrongPassword) => self.model().wrong_password(person, &password, open.call),
            Err(Failure::Inactive) => self.model().is_inactive(person, &password, open.call),
            Err(_) => {}
        }
    }

    fn learn(&self, person: usize, open: Open, password: &str, opened: &Opened) {
        let mut model = self.model();
        model.sessions.push(KnownSession {
            id: opened.session.id.to_string(),
            person,
            opened_by: open.call,
            password: password.to_owned(),
            expire_time: opened.session.expire_time,
        });
        let session = model.sessions.len() - 1;
        model.learn_token(opened.token.expose(), session, opened.session.expire_time);
    }

    /// Of either service, with a good token, a former one or one that nobody made.
    pub(super) async fn ask_who_a_token_is_of(&self) {
        let made_up = || Some(format!("token-{}", 1_000_000 + self.sim.below(1_000)));
        let token = if self.sim.below(12) == 0 { made_up() } else { self.any_token() };
        if let Some(token) = token {
            self.ask_about(&token).await;
        }
    }

    pub(super) async fn ask_about(&self, token: &str) {
        if self.sim.below(3) == 0 {
            self.ask_auth_service(token).await;
        } else {
            self.ask_users_service(token).await;
        }
    }

    async fn ask_auth_service(&self, token: &str) {
        let open = self.begin(format!("get_current_session with {token}"));
        let presented = token.to_owned();
        let answer = self.cluster.auth("GetCurrentSession", Repeats::OfAQuestion, PATIENCE, move |process| {
            let token = presented.clone();
            async move { process.authenticated(&token, false).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge_token(token, presented, &answer);
        if let Ok((_, Some(renewed))) = &answer {
            self.learn_renewal(token, renewed.token.expose(), renewed.expire_time);
        }
    }

    async fn ask_users_service(&self, token: &str) {
        let open = self.begin(format!("get_current_user with {token}"));
        let (presented, skip_renewal) = (token.to_owned(), self.sim.below(2) == 0);
        let answer = self.cluster.users("GetCurrentUser", Repeats::OfAQuestion, PATIENCE, move |process| {
            let token = presented.clone();
            async move { process.current_user(&token, skip_renewal).await }
        });
        let (renewed, answer) = match answer.await {
            Some(answered) => (answered.token, answered.outcome.map_err(Failure::from)),
            None => (None, Err(Failure::NoAnswer)),
        };
        let presented = self.end(open, &answer);
        self.judge_token(token, presented, &answer);
        if let Some(renewed) = renewed {
            self.learn_renewal(token, renewed.token.expose(), renewed.expire_time);
        }
        if let (Ok(user), Some(person)) = (&answer, self.person_of(token)) {
            self.model().saw_role(person, user.role, open.call, Invariant::I3);
        }
    }

    fn learn_renewal(&self, old: &str, new: &str, expire_time: identity::Timestamp) {
        let session = self.model().session_of(old);
        if let Some((session, _)) = session {
            self.model().learn_token(new, session, expire_time);
        }
    }

    pub(super) async fn refresh(&self) {
        if let Some(token) = self.any_token() {
            self.refresh_with(&token).await;
        }
    }

    pub(super) async fn refresh_with(&self, token: &str) {
        let open = self.begin(format!("refresh_session with {token}"));
        let presented = token.to_owned();
        let answer = self.cluster.auth("RefreshSession", Repeats::Harmless, PATIENCE, move |process| {
            let token = presented.clone();
            async move { process.refresh(&token).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge_token(token, presented, &answer);
        if let Ok(opened) = &answer {
            self.learn_renewal(token, opened.token.expose(), opened.session.expire_time);
        }
    }

    fn ends(&self, open: Open, person: usize, ends: Ends, password: Option<&str>) {
        let invariant = if password.is_some() { Invariant::I5 } else { Invariant::I4 };
        let ender = Ender { call: open.call, ends, invariant, password: password.map(str::to_owned) };
        self.model().people[person].enders.push(ender);
    }

    /// The session and its owner.
    fn owner(&self, token: &str) -> Option<(usize, String)> {
        let model = self.model();
        let (session, _) = model.session_of(token)?;
        Some((model.sessions[session].person, model.sessions[session].id.clone()))
    }

    pub(super) async fn log_out(&self) {
        if let Some(token) = self.any_token() {
            self.log_out_with(&token).await;
        }
    }

    pub(super) async fn log_out_with(&self, token: &str) {
        let Some((person, session)) = self.owner(token) else { return };
        let open = self.begin(format!("log_out with {token}"));
        self.ends(open, person, Ends::One(session), None);
        let presented = token.to_owned();
        let answer = self.cluster.auth("LogOut", Repeats::Harmful, PATIENCE, move |process| {
            let token = presented.clone();
            async move { process.log_out(&token).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge_token(token, presented, &answer);
    }

    pub(super) async fn revoke_own_sessions(&self) {
        if let Some(token) = self.any_token() {
            self.revoke_own_sessions_with(&token).await;
        }
    }

    pub(super) async fn revoke_own_sessions_with(&self, token: &str) {
        let Some((person, session)) = self.owner(token) else { return };
        let kind = self.sim.below(3);
        let ends = match kind {
            0 => Ends::One(session.clone()),
            1 => Ends::All,
            _ => Ends::AllBut(session.clone()),
        };
        let open = self.begin(format!("revoke own sessions {ends:?} with {token}"));
        self.ends(open, person, ends, None);
        let presented = token.to_owned();
        let answer = self.cluster.auth("RevokeSession", Repeats::Harmful, PATIENCE, move |process| {
            let (token, session) = (presented.clone(), session.clone());
            async move {
                match kind {
                    0 => process.revoke_session(&token, session).await,
                    _ => process.revoke_all(&token, kind == 2).await.map(drop),
                }
            }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge_token(token, presented, &answer);
    }

    pub(super) async fn change_password(&self) {
        let Some(token) = self.any_token() else { return };
        let Some((person, _)) = self.owner(&token) else { return };
        let (current, new) = {
            let model = self.model();
            (model.people[person].password.candidates(&model.calls).pop(), self.new_password())
        };
        let Some(current) = current else { return };
        let open = self.begin(format!("change_password with {token} from {current:?} to {new:?}"));
        self.model().people[person].password.write(open.call, new.clone());
        self.ends(open, person, Ends::All, Some(&new));
        let (presented, old, wanted) = (token.clone(), current.clone(), new.clone());
        let from = client(self.number);
        let answer = self.cluster.auth("ChangePassword", Repeats::Harmful, PATIENCE, move |process| {
            let (token, old, wanted) = (presented.clone(), old.clone(), wanted.clone());
            let from = from.clone();
            async move { process.change_password(&token, old, wanted, from).await }
        });
        let answer = heard(answer.await);
        let presented = self.end(open, &answer);
        self.judge_token(&token, presented, &answer);
        match &answer {
            Ok(opened) => self.learn(person, open, &new, opened),
            Err(Failure::WrongPassword) => self.model().wrong_password(person, &current, open.call),
            Err(_) => {}
        }
    }

    /// Many guesses at one account at once, from one address. Nobody else tries its password.
    pub(super) async fn guess_in_parallel(&self) {
        if !self.sim.weather().is_throttled {
            return;
        }
        let (name, password, request_id) = (self.new_name(), self.new_password(), self.request_id());
        let open = self.begin(format!("sign_up {name}, to be guessed at"));
        let person = self.model().expect_person(&name, &password, Role::User, open.call);
        self.sign_up(open, person, &name, &password, &request_id, false).await;
        let Some(id) = self.model().people[person].id.take() else { return };
        self.model().guessed_at.push(id);
        for guess in 0..12 {
            let (guesser, name) = (self.clone(), name.clone());
            self.sim.spawn_apart(Node::Client, "guess", async move {
                let from = client(200);
                let answer = guesser.cluster.auth("LogIn", Repeats::Harmful, PATIENCE, move |process| {
                    let (name, guess) = (name.clone(), format!("a guess of many {guess}"));
                    let from = from.clone();
                    async move { process.log_in(&name, guess, from).await }
                });
                let is_in = answer.await.is_some_and(|answer| answer.is_ok());
                lock(&guesser.model).check(Invariant::I9, !is_in, || "a guess was right".to_owned());
            });
        }
    }
}
