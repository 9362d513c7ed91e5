//! Use cases over PostgreSQL, with everything else fake.

use auth_core::Error;
use auth_core::commands::{self, LogIn, RegisterAccount, SignUp};
use auth_core::domain::{AccountKey, Client, PasswordPolicy, ThrottlePolicy};
use auth_core::ports::{Ports, Reader as _, Store as _};
use auth_core::testing::{FakeClock, FakeHasher, FakeSigner, FakeTurns, PASSWORD};
use auth_service::PgStore;
use chrono::TimeDelta;
use clock::SystemClock;
use database::Postgres;
use database::testing::{TestDatabase, server_address};
use identity::{Epoch, RawPassword, UserId};
use test_kit::Proxy;
use uuid::Uuid;

use crate::store_contract::engines::migrated;
use crate::store_contract::{POLICY, name};

/// The ports, with a real store.
pub(crate) struct OverPostgres;

impl Ports for OverPostgres {
    type Store = PgStore;
    type Hasher = FakeHasher;
    type Turns = FakeTurns;
    type Signer = FakeSigner;
    type Clock = RealTime;
    type Ids = RandomIds;
}

/// Stands still but for waiting, which takes real time too.
pub(crate) struct RealTime(FakeClock);

impl auth_core::ports::Clock for RealTime {
    fn now(&self) -> identity::Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: std::time::Duration) -> bool {
        tokio::time::sleep(duration).await;
        self.0.advance(TimeDelta::from_std(duration).unwrap());
        true
    }
}

pub(crate) struct RandomIds;

impl auth_core::ports::Ids for RandomIds {
    fn account_id(&self) -> UserId {
        UserId::new(Uuid::from_u128(rand::random()))
    }

    fn session_id(&self) -> auth_core::domain::SessionId {
        auth_core::domain::SessionId::from_random(rand::random())
    }

    fn attempt_id(&self) -> auth_core::domain::AttemptId {
        auth_core::domain::AttemptId::from_random(rand::random())
    }

    fn epoch(&self) -> Epoch {
        Epoch::parse("another").unwrap()
    }
}

/// Use cases over a database of their own, which they reach through a proxy.
pub(crate) struct Scene {
    pub(crate) cx: commands::Context<OverPostgres>,
    pub(crate) proxy: Proxy,
    _place: TestDatabase,
}

impl Scene {
    /// Passwords may be tried as often as this; `None`: as often as anybody likes, which commits nothing but what a use case
    /// is about.
    pub(crate) async fn new(throttle: Option<ThrottlePolicy>) -> Self {
        let (place, _database) = migrated(1).await;
        let proxy = Proxy::to(server_address()).await;
        let options = place.options_by(proxy.address(), 1);
        let store = PgStore::new(Postgres::open(&options).await.unwrap(), SystemClock::default());
        let cx = commands::Context {
            store,
            hasher: FakeHasher::default(),
            turns: FakeTurns::new(FakeClock::default()),
            signer: FakeSigner::default(),
            clock: RealTime(FakeClock::default()),
            ids: RandomIds,
            sessions: POLICY,
            passwords: PasswordPolicy::new(15),
            throttle,
        };
        Self { cx, proxy, _place: place }
    }

    /// How often the server was asked something so far, but for whether it is still there: the store waits for the answer each
    /// time.
    pub(crate) fn round_trips(&self) -> u64 {
        let passed = self.proxy.passed();
        passed.requests - passed.pings
    }

    pub(crate) async fn sign_up(&self, username: &str) -> Result<UserId, Error> {
        let command =
            SignUp::parse(&self.cx.passwords, username, PASSWORD.to_owned(), "", &Client::default()).unwrap();
        command.execute(&self.cx).await.map(|account| account.id)
    }

    pub(crate) async fn register(&self, id: UserId) -> Result<UserId, Error> {
        let (id, password) = (id.to_string(), PASSWORD.to_owned());
        let command = RegisterAccount::parse(&self.cx.passwords, &id, "bobby", password).unwrap();
        command.execute(&self.cx).await.map(|account| account.id)
    }

    pub(crate) async fn log_in(&self, username: &str, password: &str) -> Result<commands::Opened, Error> {
        let password = RawPassword::parse(password.to_owned()).unwrap();
        LogIn { username: name(username), password, client: Client::default() }.execute(&self.cx).await
    }

    pub(crate) async fn exists(&self, key: AccountKey) -> bool {
        self.cx.store.reader().account(&key).await.unwrap().is_some()
    }

    pub(crate) async fn lives(&self, opened: &commands::Opened) -> bool {
        self.cx.store.reader().live_session(&opened.session.id).await.unwrap().is_some()
    }
}
