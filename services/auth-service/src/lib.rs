//! auth-service: the auth context as a gRPC service. The one place that sees every adapter.

#[cfg(test)]
use overheard as _;

mod argon2;
pub mod cli;
mod config;
mod defects;
mod engine;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grpc;
mod ids;
mod jwt;
mod keys;
mod listeners;
mod measurements;
mod newest;
mod postgres;
mod security;
mod serve;
mod sqlite;
mod stored;
mod turns;
mod workload;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ::database::{DatabaseSettings, SchemaError, ServingLock};
use auth_core::commands::{AfterRestore, Context};
use auth_core::ports::{Ports, Store};
use auth_core::{StoreError, queries};
use clock::SystemClock;
use grpc_kit::{PageTokens, call};
use identity::Epoch;
use tokio::time::{Instant, sleep_until};

pub use argon2::{Argon2Settings, Cost, Pepper};
pub use config::{Config, RateLimits, ServerConfig};
pub use jwt::TokenSettings;
pub use keys::{SigningKey, UnfitKey, VerificationKey};
pub use listeners::Listeners;
pub use postgres::{MIGRATIONS as POSTGRES_MIGRATIONS, PgStore};
pub use sqlite::{MIGRATIONS as SQLITE_MIGRATIONS, SqliteStore};
pub use workload::{Allowance, Tokens, UnfitTokens, Workload};

use argon2::Argon2Hasher;
use engine::{Opened, ServedStore};
use ids::SystemIds;
use jwt::JwtSigner;
use turns::LocalTurns;

/// The ports as they are in production, over some store.
struct Production<S>(PhantomData<S>);

impl<S: Store> Ports for Production<S> {
    type Store = S;
    type Hasher = Argon2Hasher;
    type Turns = LocalTurns;
    type Signer = JwtSigner;
    type Clock = ServiceClock;
    type Ids = SystemIds;
}

/// What is kept of a caller's deadline for the answer.
const TIME_TO_ANSWER: Duration = Duration::from_millis(200);

/// The process's clock as the core asks for it.
struct ServiceClock(SystemClock);

impl auth_core::ports::Clock for ServiceClock {
    fn now(&self) -> identity::Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        // A little is kept to say what has come of it.
        if call::deadline().is_some_and(|deadline| deadline < end + TIME_TO_ANSWER) {
            return false;
        }
        sleep_until(end).await;
        true
    }
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be opened, or another process serves it.
    #[error(transparent)]
    File(#[from] ::database::sqlite::OpenError),
    /// The server cannot be reached, or is too old.
    #[error(transparent)]
    Server(#[from] ::database::postgres::OpenError),
    /// The schema is not the one that this program works on.
    #[error("{place}: {cause}; `auth-service migrate` brings it up to date")]
    OlderSchema {
        /// The database.
        place: String,
        /// How old it is.
        cause: SchemaError,
    },
    /// The schema cannot be used or migrated.
    #[error("{place}: {cause}")]
    Schema {
        /// The database.
        place: String,
        /// What is wrong with it.
        cause: SchemaError,
    },
    /// The database does not give what is asked of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key does not sign.
    #[error("the signing key cannot be used: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// The threads that hash cannot be started.
    #[error("the threads that hash cannot be started: {0}")]
    Threads(#[from] std::io::Error),
    /// A certificate is not what it was when the configuration was read.
    #[error(transparent)]
    Certificate(#[from] credentials::UnfitPem),
    /// The tokens of the workloads are not what they were when the configuration was read.
    #[error(transparent)]
    Tokens(#[from] workload::UnfitTokens),
    /// Reflection cannot be built from the descriptors.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[from] grpc_kit::reflection::Error),
}

/// auth-service, its store open and everything in place but its sockets.
pub struct AuthService(OnEngine);

/// The service on the engine that was chosen at start. Which one it is makes no difference from here on.
enum OnEngine {
    Sqlite { service: Service<SqliteStore>, _lock: ServingLock },
    Postgres { service: Service<PgStore> },
}

/// Does the same on either engine.
macro_rules! on_engine {
    ($on:expr, $service:ident => $work:expr) => {
        match $on {
            OnEngine::Sqlite { service: $service, .. } => $work,
            OnEngine::Postgres { service: $service } => $work,
        }
    };
}
use on_engine;

/// The service over some store.
struct Service<S: Store> {
    config: Config,
    store: S,
    use_cases: grpc::UseCases<Production<S>>,
    jwks: String,
}

impl AuthService {
    /// Opens the store and checks its schema. No other process may serve the store if it is a file.
    pub async fn open(config: Config, clock: SystemClock) -> Result<Self, StartError> {
        Ok(Self(match engine::open(&config.database, &clock).await? {
            Opened::Sqlite(store, lock) => {
                OnEngine::Sqlite { service: Service::new(config, store, clock).await?, _lock: lock }
            }
            Opened::Postgres(store) => {
                OnEngine::Postgres { service: Service::new(config, store, clock).await? }
            }
        }))
    }
}

impl<S: ServedStore> Service<S> {
    async fn new(config: Config, store: S, clock: SystemClock) -> Result<Self, StartError> {
        let page_tokens = Arc::new(PageTokens::new(store.page_token_key().await?));
        let signer = JwtSigner::new(config.token.clone())?;
        let jwks = signer.jwks().to_owned();
        let queries = Arc::new(queries::Context { reader: store.reader().clone() });
        let commands = Arc::new(Context {
            store: store.clone(),
            hasher: Argon2Hasher::new(config.argon2.clone())?,
            turns: turns(&config),
            signer,
            clock: ServiceClock(clock.clone()),
            ids: SystemIds::new(clock),
            sessions: config.sessions,
            passwords: config.passwords.clone(),
            throttle: config.rate_limits.policy,
        });
        let trusted_proxies = config.rate_limits.trusted_proxies.clone().into();
        let use_cases = grpc::UseCases { commands, queries, page_tokens, trusted_proxies };
        Ok(Self { config, store, use_cases, jwks })
    }
}

/// As many attempts on an account may be under way as may be undecided in the store. Nobody lines up where nothing is counted.
fn turns(config: &Config) -> LocalTurns {
    let in_front = config.rate_limits.policy.map_or(1, |policy| policy.free_failures);
    LocalTurns::new(in_front)
}

/// Brings the schema up to date.
pub async fn migrate(settings: &DatabaseSettings) -> Result<(), StartError> {
    engine::migrate(settings).await
}

/// Makes a restored backup safe to serve; returns the new epoch and how many sessions were ended. No process may serve
/// the database meanwhile.
pub async fn after_restore(config: &Config, clock: SystemClock) -> Result<(Epoch, u64), AfterRestoreError> {
    let service = AuthService::open(config.clone(), clock).await?;
    on_engine!(&service.0, service => {
        let done = AfterRestore.execute(&service.use_cases.commands).await;
        security::record_operators("after_restore", &done);
        service.store.close().await;
        Ok(done?)
    })
}

/// Why a restored backup could not be made safe.
#[derive(Debug, thiserror::Error)]
pub enum AfterRestoreError {
    /// It cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot be changed.
    #[error(transparent)]
    Change(#[from] auth_core::Error),
}

#[cfg(test)]
mod tests {

    use auth_core::ports::Clock as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_who_has_no_time_to_hear_the_end_of_it() {
        let clock = ServiceClock(SystemClock::default());
        let wait = Duration::from_millis(100);
        assert!(clock.sleep(wait).await, "nobody is in a hurry outside of a call");
        for (left, waits) in [(301, true), (299, false), (0, false)] {
            let call = call::Call {
                deadline: Some(Instant::now() + Duration::from_millis(left)),
                ..call::Call::new("/tandem.probe.v1.ProbeService/Get", "r-1")
            };
            let begun = Instant::now();
            assert_eq!(call::scope(call, clock.sleep(wait)).await, waits, "{left} ms");
            assert_eq!(begun.elapsed(), if waits { wait } else { Duration::ZERO });
        }
    }
}
