//! auth-service: the auth context as a gRPC service. The one place that sees every adapter.

mod argon2;
pub mod cli;
mod config;
mod grpc;
mod ids;
mod jwt;
mod keys;
mod listeners;
mod security;
mod serve;
mod sqlite;
mod workload;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use ::database::schema::{self, SchemaError};
use ::database::sqlite::{OpenError, ServingLock, Sqlite, SqliteOptions};
use auth_core::commands::{AfterRestore, Context};
use auth_core::ports::{Ports, Store};
use auth_core::{StoreError, queries};
use clock::SystemClock;
use grpc_kit::PageTokens;
use identity::Epoch;

pub use argon2::{Argon2Settings, Cost, Pepper};
pub use config::{Config, DatabaseConfig, ServerConfig};
pub use jwt::TokenSettings;
pub use keys::{SigningKey, UnfitKey, VerificationKey};
pub use listeners::Listeners;
pub use sqlite::{MIGRATIONS, SqliteStore};
pub use workload::{Allowance, Workload};

use argon2::Argon2Hasher;
use ids::SystemIds;
use jwt::JwtSigner;

/// The ports as they are in production, over some store.
struct Production<S>(PhantomData<S>);

impl<S: Store> Ports for Production<S> {
    type Store = S;
    type Hasher = Argon2Hasher;
    type Signer = JwtSigner;
    type Clock = ServiceClock;
    type Ids = SystemIds;
}

/// The process's clock as the core asks for it.
struct ServiceClock(SystemClock);

impl auth_core::ports::Clock for ServiceClock {
    fn now(&self) -> identity::Timestamp {
        self.0.now()
    }
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened, or another process serves it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The schema is not the one that this program works on.
    #[error("{}: {cause}; `auth-service migrate` brings it up to date", path.display())]
    OlderSchema {
        /// The database.
        path: PathBuf,
        /// How old it is.
        cause: SchemaError,
    },
    /// The schema cannot be used or migrated.
    #[error("{}: {cause}", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        cause: SchemaError,
    },
    /// The database does not give what is asked of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signing key does not sign.
    #[error("the signing key cannot be used: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// Reflection cannot be built from the descriptors.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[from] grpc_kit::reflection::Error),
}

impl StartError {
    fn of_schema(config: &Config) -> impl Fn(SchemaError) -> Self {
        let path = config.database.path.clone();
        move |cause| match cause {
            SchemaError::Older { .. } => Self::OlderSchema { path: path.clone(), cause },
            _ => Self::Schema { path: path.clone(), cause },
        }
    }
}

/// auth-service, its store open and everything in place but its sockets.
pub struct AuthService {
    config: Config,
    store: SqliteStore,
    use_cases: grpc::UseCases<Production<SqliteStore>>,
    jwks: String,
    _lock: ServingLock,
}

impl AuthService {
    /// Opens the store, which no other process may serve, and checks its schema.
    pub async fn open(config: Config, clock: SystemClock) -> Result<Self, StartError> {
        let database = open_database(&config).await?;
        let lock = database.serving_lock()?;
        if config.database.auto_migrate {
            schema::migrate(&database, &MIGRATIONS).await.map_err(StartError::of_schema(&config))?;
        }
        schema::check(&database, &MIGRATIONS).await.map_err(StartError::of_schema(&config))?;
        let store = SqliteStore::new(database, clock.clone());
        let page_tokens = Arc::new(PageTokens::new(store.page_token_key().await?));
        let signer = JwtSigner::new(config.token.clone())?;
        let jwks = signer.jwks().to_owned();
        let queries = Arc::new(queries::Context { reader: store.reader().clone() });
        let commands = Arc::new(context(&config, store.clone(), signer, clock));
        let use_cases = grpc::UseCases { commands, queries, page_tokens };
        Ok(Self { config, store, use_cases, jwks, _lock: lock })
    }
}

fn context(
    config: &Config,
    store: SqliteStore,
    signer: JwtSigner,
    clock: SystemClock,
) -> Context<Production<SqliteStore>> {
    Context {
        store,
        hasher: Argon2Hasher::new(config.argon2.clone()),
        signer,
        clock: ServiceClock(clock.clone()),
        ids: SystemIds::new(clock),
        sessions: config.sessions,
        passwords: config.passwords.clone(),
    }
}

async fn open_database(config: &Config) -> Result<Sqlite, OpenError> {
    let DatabaseConfig { path, max_connections, .. } = config.database.clone();
    Sqlite::open(&SqliteOptions { path, max_connections }).await
}

/// Brings the schema up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let database = open_database(config).await?;
    schema::migrate(&database, &MIGRATIONS).await.map_err(StartError::of_schema(config))?;
    database.close().await;
    Ok(())
}

/// Makes a restored backup safe to serve; returns the new epoch and how many sessions were ended. No process may serve
/// the database meanwhile.
pub async fn after_restore(config: &Config, clock: SystemClock) -> Result<(Epoch, u64), AfterRestoreError> {
    let service = AuthService::open(config.clone(), clock).await?;
    let done = AfterRestore.execute(&service.use_cases.commands).await?;
    service.store.close().await;
    Ok(done)
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
