//! Clients of every kind, each doing one thing after the other, all to the same users.

mod administration;
mod denials;
mod intrusion;
mod operators;
mod own_account;
mod probes;
mod races;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Call as Rpc, Reply};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

pub use self::operators::Operators;
use crate::driver::{By, Driver, Patience};
use crate::history::{Answer, Call, Does, Outcome, UNAUTHENTICATED, Who};
use crate::world::{Held, World};

/// Something that a client does.
#[expect(missing_docs, reason = "each is what its name says")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    SignUp,
    SignUpAsSomebodyElseDoes,
    LogIn,
    LogOut,
    Refresh,
    Read,
    RevokeSession,
    RevokeAllSessions,
    ChangePassword,
    CreateUser,
    GetUser,
    ListUsers,
    Inactivate,
    Reactivate,
    Grant,
    Revoke,
    SetPassword,
    ListUserSessions,
    RevokeUserSessions,
    GuessAPassword,
    ForgeAToken,
    RaceLogIns,
    UseAStaleEtag,
    ChangeSuperAdmins,
}

/// How often each is done, in proportion.
pub type Mix = &'static [(Action, u32)];

/// Everything.
pub const EVERYTHING: Mix = &[
    (Action::SignUp, 4),
    (Action::SignUpAsSomebodyElseDoes, 3),
    (Action::LogIn, 24),
    (Action::LogOut, 6),
    (Action::Refresh, 4),
    (Action::Read, 12),
    (Action::RevokeSession, 3),
    (Action::RevokeAllSessions, 2),
    (Action::ChangePassword, 4),
    (Action::CreateUser, 4),
    (Action::GetUser, 4),
    (Action::ListUsers, 2),
    (Action::Inactivate, 4),
    (Action::Reactivate, 12),
    (Action::Grant, 5),
    (Action::Revoke, 4),
    (Action::SetPassword, 3),
    (Action::ListUserSessions, 2),
    (Action::RevokeUserSessions, 2),
    (Action::GuessAPassword, 3),
    (Action::ForgeAToken, 3),
    (Action::RaceLogIns, 1),
    (Action::UseAStaleEtag, 2),
    (Action::ChangeSuperAdmins, 2),
];

/// One of many.
pub struct Client {
    driver: Arc<Driver>,
    world: Arc<World>,
    rng: StdRng,
    manner: Manner,
}

/// How a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// For every answer.
    Patient,
    /// Now and then not.
    Usual,
    /// Often not.
    Hasty,
}

/// Lets so many clients do what they do until they are to stop.
pub async fn run(
    driver: &Arc<Driver>,
    world: &Arc<World>,
    seed: u64,
    clients: u64,
    mix: Mix,
    stop: &Arc<AtomicBool>,
) {
    let clients = (0..clients).map(|number| {
        let mut client = Client::new(driver, world, seed.wrapping_mul(1009).wrapping_add(number));
        let stop = Arc::clone(stop);
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                client.act(mix).await;
            }
        })
    });
    let ended = join_all(clients.collect::<Vec<_>>()).await;
    assert!(ended.iter().all(Result::is_ok), "a client panicked");
}

impl Client {
    /// One that does the same in every run with this seed, but for what it is answered.
    #[must_use]
    pub fn new(driver: &Arc<Driver>, world: &Arc<World>, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { driver: Arc::clone(driver), world: Arc::clone(world), rng, manner: Manner::Usual }
    }

    /// One that waits for every answer.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { manner: Manner::Patient, ..self }
    }

    /// One that leaves as often as not.
    fn hasty(self) -> Self {
        Self { manner: Manner::Hasty, ..self }
    }

    async fn act(&mut self, mix: Mix) {
        let Ok((action, _)) = mix.choose_weighted(&mut self.rng, |(_, weight)| *weight) else { return };
        match action {
            Action::SignUp => {
                let name = self.world.new_name();
                self.sign_up(&name).await;
            }
            Action::SignUpAsSomebodyElseDoes => {
                let name = self.world.latest_name();
                self.sign_up(&name).await;
            }
            Action::LogIn => self.log_in_somebody().await,
            Action::LogOut => self.log_out().await,
            Action::Refresh => self.refresh().await,
            Action::Read => self.read().await,
            Action::RevokeSession => self.revoke_session().await,
            Action::RevokeAllSessions => self.revoke_all_sessions().await,
            Action::ChangePassword => self.change_password().await,
            Action::CreateUser => self.create_somebody().await,
            Action::GetUser => self.get_user().await,
            Action::ListUsers => self.list_users().await,
            Action::Inactivate => self.inactivate().await,
            Action::Reactivate => self.reactivate().await,
            Action::Grant => self.grant().await,
            Action::Revoke => self.revoke().await,
            Action::SetPassword => self.set_password().await,
            Action::ListUserSessions => self.list_user_sessions().await,
            Action::RevokeUserSessions => self.revoke_user_sessions().await,
            Action::GuessAPassword => self.guess_a_password().await,
            Action::ForgeAToken => self.forge_a_token().await,
            Action::RaceLogIns => Box::pin(self.race_log_ins()).await,
            Action::UseAStaleEtag => self.use_a_stale_etag().await,
            Action::ChangeSuperAdmins => Box::pin(self.change_super_admins()).await,
        }
    }

    /// Makes a call, and forgets the token if it is good for nothing any more.
    async fn make<M: Rpc>(
        &self,
        by: By<'_>,
        call: Call,
        message: M,
        read: impl FnOnce(&M::Answer) -> Answer + Send,
    ) -> Result<Reply<M::Answer>, Outcome> {
        let made = self.driver.make(by, call, message, read).await;
        if let (Err(Outcome::Denied(refusal)), Some(token)) = (&made, by.token)
            && refusal.reason == UNAUTHENTICATED
        {
            self.world.forget(token);
        }
        made
    }

    /// Any process, by either way, and now and then little patience.
    fn by<'a>(&mut self, token: Option<&'a str>) -> By<'a> {
        let patience = match self.rng.random_range(0..100) {
            _ if self.manner == Manner::Patient => Patience::Much,
            // Some of them when it is their turn after several others.
            0..50 if self.manner == Manner::Hasty => {
                Patience::Leaves(Duration::from_millis(self.rng.random_range(1..150)))
            }
            0..4 => Patience::Deadline(Duration::from_millis(self.rng.random_range(5..60))),
            4..7 => Patience::Leaves(Duration::from_micros(self.rng.random_range(200..30_000))),
            _ => Patience::Much,
        };
        By { replica: self.rng.random_range(0..self.driver.ways()), token, patience }
    }
}

impl Held {
    /// A call in this session.
    #[must_use]
    pub fn call(&self, does: Does) -> Call {
        Call::new(does, Who::Session { id: self.session.clone(), user: self.user.clone() })
    }
}

/// The id of a session in the one form that is compared.
#[must_use]
pub fn session_id(id: &str) -> String {
    id.replace('-', "")
}
