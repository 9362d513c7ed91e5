//! Clients of every kind, each of which makes one call after the other: what it calls and whom it acts on is chance.

mod administration;
mod operators;
mod own;
mod quiet;
mod races;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::TimeDelta;
use identity::Timestamp;
use users_core::domain::Role;

use crate::auth::SimIds;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::model::{CallId, Invariant, Model, Outcome, Presented};
use crate::scheduler::{Node, Sim, lock};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// How often a client repeats a call whose outcome is not known.
const REPEATS: u32 = 4;

/// What the client hears.
fn heard<A, E: Into<Failure>>(answer: Option<Result<A, E>>) -> Result<A, Failure> {
    answer.map_or(Err(Failure::NoAnswer), |answer| answer.map_err(Into::into))
}

/// Whether a call that was refused may have been done nevertheless.
fn may_have_been_done<A>(answer: &Result<A, Failure>) -> bool {
    answer.as_ref().is_err_and(|failure| failure.outcome() == Outcome::Unknown)
}

/// A client's repeat may bring an answer, or the truth.
fn is_worth_a_repeat(failure: &Failure) -> bool {
    matches!(failure, Failure::NoAnswer | Failure::Outage | Failure::NothingChanged | Failure::Busy)
}

/// One client. Clones are the same client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) sim: Sim,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) model: Arc<Mutex<Model>>,
    pub(crate) number: u8,
}

/// A call that is under way.
#[derive(Clone, Copy)]
struct Open {
    call: CallId,
    begin: Timestamp,
}

impl Client {
    pub(crate) fn new(cluster: &Arc<Cluster>, model: &Arc<Mutex<Model>>, number: u8) -> Self {
        Self { sim: cluster.sim.clone(), cluster: Arc::clone(cluster), model: Arc::clone(model), number }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    fn store_time(&self) -> Timestamp {
        self.cluster.auth_kept.clock.now()
    }

    // ------------------------------------------------------------------------------------------------- one call

    fn begin(&self, what: String) -> Open {
        self.sim.count(|counts| counts.calls += 1);
        let (end, tick) = (self.sim.begin_call(), self.sim.ticks.next());
        self.sim.tell(|| format!("client {} calls {what}", self.number));
        let call = self.model().calls.begin(format!("client {}: {what}", self.number), tick, end);
        Open { call, begin: self.store_time() }
    }

    /// The same call once more.
    fn repeat(&self, open: Open) -> Open {
        let end = self.sim.begin_call();
        self.model().calls.repeat(open.call, end);
        open
    }

    /// Something else that the same call does, and that may be done when the rest of it is not.
    fn beside(&self, open: Open, what: String) -> CallId {
        let mut model = self.model();
        let (end, tick) = (model.calls.end_of(open.call), model.calls.began(open.call));
        model.calls.begin(what, tick, end)
    }

    fn end<A>(&self, open: Open, answer: &Result<A, Failure>) -> Presented {
        self.end_as(open, answer, answer.as_ref().err().map_or(Outcome::Acknowledged, Failure::outcome))
    }

    fn end_as<A>(&self, open: Open, answer: &Result<A, Failure>, outcome: Outcome) -> Presented {
        self.sim.tell(|| match answer {
            Ok(_) => format!("client {} hears OK", self.number),
            Err(failure) => format!("client {} hears {failure:?}", self.number),
        });
        let tick = self.sim.ticks.next();
        let mut model = self.model();
        model.calls.answered(open.call, outcome, tick);
        let told = model.calls.tell(open.call);
        if let Err(Failure::Broken(what)) = answer {
            model.check(Invariant::I10, false, || format!("{told} was answered {what}"));
        }
        drop(model);
        self.sim.end_call();
        Presented { call: open.call, begin: open.begin, end: self.store_time() }
    }

    /// What the answer to a call with a token says of the token.
    fn judge_token<A>(&self, token: &str, presented: Presented, answer: &Result<A, Failure>) {
        match answer {
            Err(Failure::Denied) => self.model().denied(token, presented),
            Ok(_) => self.model().let_in(token, presented),
            Err(failure) if failure.is_of_an_admitted_caller() => self.model().let_in(token, presented),
            Err(_) => {}
        }
    }

    // ------------------------------------------------------------------------------------------------ random choices

    fn any_person(&self) -> Option<usize> {
        let known = self.model().known_people();
        self.sim.one_of(&known)
    }

    /// A token that somebody was given, not always a good one.
    fn any_token(&self) -> Option<String> {
        let tokens = self.model().tokens.clone();
        // Newer ones more often: most of the others are of sessions that have ended.
        let recent = tokens.len().saturating_sub(12);
        let among = if self.sim.below(4) == 0 { &tokens[..] } else { &tokens[recent..] };
        self.sim.one_of(among).map(|known| known.token)
    }

    /// A token of somebody who may have this role, if there is one; now and then of anybody.
    fn token_of(&self, least: Role) -> Option<String> {
        if self.sim.below(8) == 0 {
            return self.any_token();
        }
        let model = self.model();
        let tokens: Vec<_> = (model.tokens.iter())
            .filter(|known| {
                let person = &model.people[model.sessions[known.session].person];
                person.role.candidates(&model.calls).last().is_some_and(|role| *role >= least)
            })
            .map(|known| known.token.clone())
            .collect();
        drop(model);
        let recent = tokens.len().saturating_sub(6);
        self.sim.one_of(&tokens[recent..])
    }

    fn person_of(&self, token: &str) -> Option<usize> {
        let model = self.model();
        let (session, _) = model.session_of(token)?;
        Some(model.sessions[session].person)
    }

    fn new_password(&self) -> String {
        format!("quite a long phrase {:x}", self.sim.below(u64::MAX))
    }

    fn new_name(&self) -> String {
        format!("P{}x{:x}", self.number, self.sim.below(u64::from(u32::MAX)))
    }

    fn request_id(&self) -> String {
        SimIds(self.sim.clone()).request_id()
    }

    /// One call, whichever.
    pub(crate) async fn do_something(&self) {
        match self.sim.below(100) {
            0..10 => self.sign_up_somebody().await,
            10..14 => self.sign_up_by_a_name_that_others_want().await,
            14..24 => self.log_somebody_in().await,
            24..34 => self.log_in_while_it_is_ended().await,
            34..41 => self.ask_who_a_token_is_of().await,
            41..44 => self.use_a_session_while_it_ends().await,
            44..48 => self.log_out().await,
            48..51 => self.revoke_own_sessions().await,
            51..54 => self.refresh().await,
            54..60 => self.change_password().await,
            60..68 => self.create_user().await,
            68..76 => self.set_state(false).await,
            76..82 => self.set_state(true).await,
            82..88 => self.set_role().await,
            88..91 => self.set_password().await,
            91..93 => self.revoke_sessions_of_a_user().await,
            93..95 => self.look_at_a_user().await,
            95..97 => self.guess_in_parallel().await,
            _ => self.run_an_operators_command().await,
        }
        let pause = if self.sim.below(3) == 0 { self.sim.below(2_000) } else { self.sim.below(40) };
        self.sim.sleep(Duration::from_millis(pause)).await;
        self.move_the_clocks();
    }

    fn move_the_clocks(&self) {
        if !self.sim.in_a_million(self.sim.weather().jump) {
            return;
        }
        self.sim.count(|counts| counts.jumps += 1);
        let delta = TimeDelta::milliseconds(i64::try_from(self.sim.below(40_000)).unwrap_or(0));
        if self.sim.below(2) == 0 {
            self.sim.tell(|| format!("the clock of auth-service's store is moved by {delta}"));
            self.cluster.auth_kept.clock.advance(delta);
        } else {
            self.sim.tell(|| format!("the clock of users-service's store is moved by {delta}"));
            self.cluster.users_database.kept.advance(delta);
        }
    }
}

/// Sets the scene, lets the clients act, and looks at what is left when everything is quiet.
pub(crate) async fn whole_run(cluster: Arc<Cluster>, model: Arc<Mutex<Model>>) {
    let sim = cluster.sim.clone();
    let first = Client::new(&cluster, &model, 0);
    first.make_super_admins().await;
    let weather = sim.weather();
    let running = Arc::new(Mutex::new(weather.clients));
    for number in 1..=weather.clients {
        let (client, running) = (Client::new(&cluster, &model, number), Arc::clone(&running));
        sim.spawn_apart(Node::Client, "client", async move {
            for _ in 0..weather.calls {
                client.do_something().await;
            }
            *lock(&running) -= 1;
        });
    }
    while *lock(&running) > 0 {
        sim.sleep(Duration::from_millis(500)).await;
    }
    first.look_when_all_is_quiet().await;
}
