//! auth-service as it is simulated: its core over ports of the run. A process has nothing that it would miss after a crash;
//! what is kept is in the store, and the key that tokens are signed with is the same for all processes.

mod ports;
mod store;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use auth_core::commands::{
    self, Authenticate, ChangePassword, LogIn, LogOut, Opened, Principal, PurgeExpired, RefreshSession,
    RevokeAllSessions, RevokeSession, SignUp,
};
use auth_core::domain::{Account, Client, PasswordPolicy, RenewedToken, SessionPolicy, ThrottlePolicy};
use auth_core::ports::Ports;
use auth_core::testing::{FakeClock, FakeSigner, FakeStore};
use auth_core::{Error, queries};
use chrono::TimeDelta;
use identity::{RawPassword, Username};

use crate::scheduler::{Node, Sim};
use ports::{SharedSigner, SimHasher, SimTurns, SkewedClock};

pub(crate) use ports::{SimIds, WrongPasswords};
pub(crate) use store::{Database, SimStore};

/// The ports as one type.
pub(crate) struct AuthPorts;

impl Ports for AuthPorts {
    type Store = SimStore;
    type Hasher = SimHasher;
    type Turns = SimTurns;
    type Signer = SharedSigner;
    type Clock = SkewedClock;
    type Ids = SimIds;
}

/// What outlives every process.
#[derive(Clone)]
pub(crate) struct Kept {
    sim: Sim,
    pub(crate) database: Database,
    pub(crate) clock: FakeClock,
    signer: Arc<FakeSigner>,
    pub(crate) wrong: WrongPasswords,
}

impl Kept {
    pub(crate) fn new(sim: &Sim) -> Self {
        let clock = FakeClock::default();
        let moved = clock.clone();
        sim.drives(move |passed| moved.advance(TimeDelta::from_std(passed).unwrap_or_default()));
        let database = Database::new(sim, FakeStore::new(clock.clone()));
        Self { sim: sim.clone(), database, clock, signer: Arc::default(), wrong: WrongPasswords::default() }
    }
}

/// One process.
pub(crate) struct AuthProcess {
    pub(crate) commands: commands::Context<AuthPorts>,
    pub(crate) queries: queries::Context<AuthPorts>,
}

/// How long a session lives without being used.
const IDLE_TIMEOUT: TimeDelta = TimeDelta::seconds(90);

/// What is tried of passwords without a delay.
pub(crate) const FREE_FAILURES: u32 = 5;

/// What is known of a client: each has its own address.
pub(crate) fn client(number: u8) -> Client {
    Client::new("simulated", Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))))
}

impl AuthProcess {
    pub(crate) fn new(kept: &Kept, skew: i64) -> Self {
        let store = SimStore::new(kept.database.clone());
        let queries = queries::Context { reader: store.shared_reader() };
        let Kept { sim, clock, signer, wrong, .. } = kept.clone();
        let throttle = ThrottlePolicy {
            free_failures: FREE_FAILURES,
            max_delay: TimeDelta::minutes(15),
            address_failures: 300,
            sign_ups_per_hour: 10_000,
        };
        let commands = commands::Context {
            store,
            hasher: SimHasher { sim: sim.clone(), store_clock: clock.clone(), wrong },
            turns: SimTurns(sim.clone()),
            signer: SharedSigner(signer),
            clock: SkewedClock { sim: sim.clone(), store_clock: clock, skew: TimeDelta::microseconds(skew) },
            ids: SimIds(sim.clone()),
            sessions: SessionPolicy {
                idle_timeout: IDLE_TIMEOUT,
                absolute_timeout: TimeDelta::hours(24),
                refresh_threshold_ratio: 0.5,
                max_per_user: 100,
            },
            passwords: PasswordPolicy::new(15),
            throttle: sim.weather().is_throttled.then_some(throttle),
        };
        Self { commands, queries }
    }

    /// What runs beside the calls.
    pub(crate) fn work_in_the_background(self: &Arc<Self>, sim: &Sim, node: Node) {
        let (process, clock) = (Arc::clone(self), sim.clone());
        sim.spawn_apart(node, "purge_expired", async move {
            loop {
                clock.sleep(Duration::from_secs(10)).await;
                // What could not be purged goes with the next batch.
                let _ = PurgeExpired.execute(&process.commands).await;
            }
        });
    }

    /// Admits a good token only, as the handlers do; with the token to use from now on.
    pub(crate) async fn authenticated(
        &self,
        token: &str,
        skip_renewal: bool,
    ) -> Result<(Principal, Option<RenewedToken>), Error> {
        let cx = &self.commands;
        let checked = Authenticate { token, skip_renewal }.execute(cx).await?;
        let mut authenticated = checked.map_err(|_| Error::Unauthenticated)?;
        let Some(due) = authenticated.due.take() else { return Ok((authenticated.principal, None)) };
        let used = due.execute(cx).await?.map_err(|_| Error::Unauthenticated)?;
        Ok((Principal { session: used.session, ..authenticated.principal }, used.renewed))
    }

    pub(crate) async fn sign_up(
        &self,
        username: &str,
        password: String,
        request_id: &str,
        from: &Client,
    ) -> Result<Account, Error> {
        let command = SignUp::parse(&self.commands.passwords, username, password, request_id, from);
        command.map_err(Error::InvalidFields)?.execute(&self.commands).await
    }

    pub(crate) async fn log_in(
        &self,
        username: &str,
        password: String,
        client: Client,
    ) -> Result<Opened, Error> {
        let invalid = |field, rule| Error::invalid_field(field, rule);
        let username = Username::parse(username).map_err(|broken| invalid("username", broken[0]))?;
        let password = RawPassword::parse(password).map_err(|broken| invalid("password", broken))?;
        LogIn { username, password, client }.execute(&self.commands).await
    }

    pub(crate) async fn log_out(&self, token: &str) -> Result<(), Error> {
        let (principal, _) = self.authenticated(token, true).await?;
        let command = LogOut { user_id: principal.account.id, session_id: principal.session.id };
        command.execute(&self.commands).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<Opened, Error> {
        let (principal, _) = self.authenticated(token, true).await?;
        RefreshSession { session: principal.session }.execute(&self.commands).await
    }

    pub(crate) async fn revoke_session(&self, token: &str, session_id: String) -> Result<(), Error> {
        let (principal, _) = self.authenticated(token, false).await?;
        RevokeSession { user_id: principal.account.id, session_id }.execute(&self.commands).await
    }

    pub(crate) async fn revoke_all(&self, token: &str, keeps_this: bool) -> Result<u32, Error> {
        let (principal, _) = self.authenticated(token, false).await?;
        let keep = keeps_this.then_some(principal.session.id);
        RevokeAllSessions { user_id: principal.account.id, keep }.execute(&self.commands).await
    }

    pub(crate) async fn change_password(
        &self,
        token: &str,
        current: String,
        new: String,
        client: Client,
    ) -> Result<Opened, Error> {
        let (principal, _) = self.authenticated(token, true).await?;
        let policy = &self.commands.passwords;
        ChangePassword::parse(policy, principal, current, new, client)?.execute(&self.commands).await
    }
}
