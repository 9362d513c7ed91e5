//! users-service: users, roles and their administration as a gRPC service. The one place that sees every adapter.

mod administration;
pub mod cli;
mod config;
mod grpc;
mod identity_provider;
mod ids;
mod listeners;
mod projector;
mod security;
mod serve;
mod sqlite;
mod sweeper;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use ::database::{OpenError, SchemaError, ServingLock, SqliteOptions};
use clock::SystemClock;
use identity_provider::GrpcIdentityProvider;
use ids::SystemIds;
use users_core::StoreError;
use users_core::commands::Context;
use users_core::ports::{Ports, Store};

pub use administration::{Administration, Prepared};
pub use config::{Config, DatabaseConfig, ServerConfig};
pub use identity_provider::{Connection, ConnectionError};

pub use listeners::Listeners;
pub use sqlite::{SqliteReader, SqliteStore, SqliteTransaction};

/// The ports as they are in production, over some store.
pub(crate) struct Production<S>(PhantomData<S>);

impl<S: Store> Ports for Production<S> {
    type Store = S;
    type IdentityProvider = GrpcIdentityProvider;
    type Ids = SystemIds;
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened, or another process serves it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The schema is not the one that this program works on.
    #[error("{}: {cause}; `users-service migrate` brings it up to date", path.display())]
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
    /// The owner of accounts cannot be addressed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
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

/// users-service, its store open and everything in place but its sockets.
pub struct UsersService {
    config: Config,
    parts: Parts,
    _lock: ServingLock,
}

/// The store, the port and what works on them: what a command needs that runs beside a serving process.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: SqliteStore,
    pub(crate) provider: GrpcIdentityProvider,
    pub(crate) commands: Context<Production<SqliteStore>>,
}

impl UsersService {
    /// Opens the store, which no other process may serve, and checks its schema. Must be called within a tokio
    /// runtime.
    pub async fn open(config: Config, clock: SystemClock) -> Result<Self, StartError> {
        let store = open_store(&config, &clock).await?;
        let lock = store.serving_lock()?;
        if config.database.auto_migrate {
            store.migrate().await.map_err(StartError::of_schema(&config))?;
        }
        store.check_schema().await.map_err(StartError::of_schema(&config))?;
        let parts = Parts::new(store, &config, clock)?;
        Ok(Self { config, parts, _lock: lock })
    }

    /// What an operator may do, in this process.
    #[must_use]
    pub fn administration(&self) -> Administration {
        Administration::new(self.parts.clone())
    }
}

impl Parts {
    fn new(store: SqliteStore, config: &Config, clock: SystemClock) -> Result<Self, ConnectionError> {
        let provider = GrpcIdentityProvider::new(&config.identity_provider)?;
        let commands = Context {
            store: Arc::new(store.clone()),
            provider: Arc::new(provider.clone()),
            ids: Arc::new(SystemIds::new(clock)),
        };
        Ok(Self { store, provider, commands })
    }

    /// Opens the store beside whoever serves it; its schema must be the one that this program works on.
    pub(crate) async fn beside_the_service(config: &Config, clock: SystemClock) -> Result<Self, StartError> {
        let store = open_store(config, &clock).await?;
        store.check_schema().await.map_err(StartError::of_schema(config))?;
        Ok(Self::new(store, config, clock)?)
    }
}

async fn open_store(config: &Config, clock: &SystemClock) -> Result<SqliteStore, OpenError> {
    let DatabaseConfig { path, max_connections, .. } = config.database.clone();
    SqliteStore::open(&SqliteOptions { path, max_connections }, clock.clone()).await
}

/// Brings the schema up to date.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let store = open_store(config, &SystemClock::default()).await?;
    store.migrate().await.map_err(StartError::of_schema(config))?;
    store.close().await;
    Ok(())
}
