//! auth-service's use cases over its store on PostgreSQL. Passwords are not hashed and tokens not signed here, so that what
//! is left is what the store costs.

use auth_core::commands::{Context, LogIn, SignUp};
use auth_core::domain::{AccessToken, Client, PasswordPolicy, SessionPolicy};
use auth_core::ports::Ports;
use auth_core::testing::{FakeClock, FakeHasher, FakeIds, FakeSigner, FakeTurns};
use auth_service::{POSTGRES_MIGRATIONS, PgStore};
use chrono::TimeDelta;
use clock::SystemClock;
use database::testing::TestDatabase;
use database::{Postgres, schema};
use identity::{RawPassword, Username};

const PASSWORD: &str = "a stick in the mud of time";

/// The ports: a real store, and everything else fake.
pub(crate) struct OverPostgres;

impl Ports for OverPostgres {
    type Store = PgStore;
    type Hasher = FakeHasher;
    type Turns = FakeTurns;
    type Signer = FakeSigner;
    type Clock = FakeClock;
    type Ids = FakeIds;
}

/// A database of auth-service, and what works on it.
pub(crate) struct Auth {
    /// What the use cases take.
    pub(crate) commands: Context<OverPostgres>,
    /// The connections that they use.
    pub(crate) database: Postgres,
    /// Where it is.
    pub(crate) place: TestDatabase,
}

impl Auth {
    /// A new one, with a single account.
    pub(crate) async fn with_account(username: &str) -> Self {
        let place = TestDatabase::create().await;
        let database = Postgres::open(&place.options(4)).await.expect("opens");
        schema::migrate(&database, &POSTGRES_MIGRATIONS).await.expect("migrates");
        let commands = Context {
            store: PgStore::new(database.clone(), SystemClock::default()),
            hasher: FakeHasher::default(),
            turns: FakeTurns::new(FakeClock::default()),
            signer: FakeSigner::default(),
            clock: FakeClock::default(),
            ids: FakeIds::default(),
            sessions: SessionPolicy {
                idle_timeout: TimeDelta::minutes(30),
                absolute_timeout: TimeDelta::hours(24),
                refresh_threshold_ratio: 0.2,
                max_per_user: 20,
            },
            passwords: PasswordPolicy::new(15),
            throttle: None,
        };
        let auth = Self { commands, database, place };
        auth.sign_up(username).await;
        auth
    }

    /// Adds an account.
    pub(crate) async fn sign_up(&self, username: &str) {
        let passwords = &self.commands.passwords;
        let (password, client) = (PASSWORD.to_owned(), Client::default());
        let command = SignUp::parse(passwords, username, password, "", &client).expect("valid");
        command.execute(&self.commands).await.expect("signs up");
    }

    /// Logs in.
    pub(crate) async fn log_in(&self, username: &str) -> AccessToken {
        let username = Username::parse(username).expect("a name");
        let password = RawPassword::parse(PASSWORD.to_owned()).expect("a password");
        let command = LogIn { username, password, client: Client::new("a benchmark", None) };
        command.execute(&self.commands).await.expect("logs in").token
    }
}
