use std::sync::Arc;

use identity::{RawPassword, UserId, Username};

use super::{FakeClock, FakeHasher, FakeIds, FakeSigner, FakeStore, FakeTurns};
use crate::commands::{self, Authenticate, LogIn, Opened, Principal, SignUp};
use crate::domain::{AccessToken, Client, PasswordPolicy, SessionPolicy, ThrottlePolicy};
use crate::ports::{Ports, Store as _};
use crate::{Error, queries};

/// The ports, all fake.
#[derive(Debug)]
pub struct Fakes;

impl Ports for Fakes {
    type Store = FakeStore;
    type Hasher = FakeHasher;
    type Turns = FakeTurns;
    type Signer = FakeSigner;
    type Clock = FakeClock;
    type Ids = FakeIds;
}

/// A good password, and everybody's.
pub const PASSWORD: &str = "correct horse battery staple";

/// The use cases over fakes, with what a test needs to set the scene. Clones are the same world.
#[derive(Clone)]
pub struct World {
    /// What commands work with.
    pub commands: Arc<commands::Context<Fakes>>,
    /// What queries work with.
    pub queries: Arc<queries::Context<Fakes>>,
    /// The clock of everything.
    pub clock: FakeClock,
    /// The hasher.
    pub hasher: FakeHasher,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty world with the default policies.
    #[must_use]
    pub fn new() -> Self {
        Self::with_throttle(Some(ThrottlePolicy {
            free_failures: 5,
            max_delay: chrono::TimeDelta::minutes(15),
            address_failures: 300,
            sign_ups_per_hour: 300,
        }))
    }

    /// An empty world in which passwords may be tried as often as this; `None`: as often as anybody likes, which commits
    /// nothing but what a use case is about.
    #[must_use]
    pub fn with_throttle(throttle: Option<ThrottlePolicy>) -> Self {
        let (clock, hasher) = (FakeClock::default(), FakeHasher::default());
        let store = FakeStore::new(clock.clone());
        let queries = Arc::new(queries::Context { reader: store.reader().clone() });
        let commands = commands::Context {
            store,
            hasher: hasher.clone(),
            turns: FakeTurns::new(clock.clone()),
            signer: FakeSigner::default(),
            clock: clock.clone(),
            ids: FakeIds::default(),
            sessions: SessionPolicy {
                idle_timeout: chrono::TimeDelta::minutes(30),
                absolute_timeout: chrono::TimeDelta::hours(24),
                refresh_threshold_ratio: 0.2,
                max_per_user: 20,
            },
            passwords: PasswordPolicy::new(15),
            throttle,
        };
        Self { commands: Arc::new(commands), queries, clock, hasher }
    }

    /// The client of every log-in here.
    #[must_use]
    pub fn client() -> Client {
        Client::new("a test", None)
    }

    /// Signs a user up with [`PASSWORD`].
    pub async fn signed_up(&self, username: &str) -> UserId {
        let policy = &self.commands.passwords;
        let command = SignUp::parse(policy, username, PASSWORD.to_owned(), "", &Self::client());
        command.expect("valid fields").execute(&self.commands).await.expect("a free name").id
    }

    /// Logs a user in.
    pub async fn log_in(&self, username: &str, password: &str) -> Result<Opened, Error> {
        self.log_in_from(Self::client(), username, password).await
    }

    /// Logs a user in, from somewhere.
    pub async fn log_in_from(&self, client: Client, username: &str, password: &str) -> Result<Opened, Error> {
        let username = Username::parse(username).expect("a valid name");
        let password = RawPassword::parse(password.to_owned()).expect("a short enough password");
        LogIn { username, password, client }.execute(&self.commands).await
    }

    /// Signs a user up and logs them in.
    pub async fn logged_in(&self, username: &str) -> Opened {
        self.signed_up(username).await;
        self.log_in(username, PASSWORD).await.expect("the right password")
    }

    /// Who is behind a token, if it is good.
    pub async fn principal(&self, token: &AccessToken) -> Option<Principal> {
        let check = Authenticate { token: token.expose(), skip_renewal: true };
        let outcome = check.execute(&self.commands).await.expect("a working store");
        outcome.ok().map(|authenticated| authenticated.principal)
    }

    /// Whether a token is good.
    pub async fn is_good(&self, token: &AccessToken) -> bool {
        self.principal(token).await.is_some()
    }

    /// How many hashes were computed so far.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.hasher.hashes()
    }

    /// Lets something happen while the next password is verified.
    pub fn before_next_verdict<F: Future<Output = ()> + Send + 'static>(
        &self,
        happens: impl FnOnce(Self) -> F,
    ) {
        self.hasher.interrupt_next_verdict(happens(self.clone()));
    }
}
