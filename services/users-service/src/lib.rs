//! users-service: users, roles and their administration as a gRPC service. The one place that sees every adapter.

#[cfg(test)]
use overheard as _;

mod administration;
pub mod cli;
mod config;
mod engine;
mod grpc;
mod identity_provider;
mod ids;
mod listeners;
mod measurements;
mod postgres;
mod projector;
mod security;
mod serve;
mod sqlite;
mod stored;
mod sweeper;

use std::marker::PhantomData;
use std::sync::Arc;

use ::database::{DatabaseSettings, SchemaError, ServingLock};
use clock::SystemClock;
use engine::Opened;
use identity_provider::GrpcIdentityProvider;
use ids::SystemIds;
use users_core::StoreError;
use users_core::commands::Context;
use users_core::ports::{Ports, Store};

pub use administration::{Administration, Prepared};
pub use config::{Config, ServerConfig};
pub use engine::{ServedStore, migrate};
#[cfg(feature = "fuzzing")]
pub use grpc::fuzzing;
pub use identity_provider::{Connection, ConnectionError, Token};
pub use listeners::Listeners;
pub use postgres::{PgReader, PgStore, PgTransaction};
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
    /// The file cannot be opened, or another process serves it.
    #[error(transparent)]
    Sqlite(#[from] ::database::sqlite::OpenError),
    /// The server cannot be reached, or is too old.
    #[error(transparent)]
    Postgres(#[from] ::database::postgres::OpenError),
    /// The schema is not the one that this program works on.
    #[error("{place}: {cause}; `users-service migrate` brings it up to date")]
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
    /// The owner of accounts cannot be addressed.
    #[error("auth-service cannot be called as the settings say: {0}")]
    Connection(#[from] ConnectionError),
    /// The certificate of the listener is not what it was when the configuration was read.
    #[error(transparent)]
    Certificate(#[from] credentials::UnfitPem),
    /// Reflection cannot be built from the descriptors.
    #[error("reflection cannot be set up: {0}")]
    Reflection(#[from] grpc_kit::reflection::Error),
}

impl StartError {
    fn of_schema(settings: &DatabaseSettings) -> impl Fn(SchemaError) -> Self {
        let place = settings.engine.place();
        move |cause| match cause {
            SchemaError::Older { .. } => Self::OlderSchema { place: place.clone(), cause },
            _ => Self::Schema { place: place.clone(), cause },
        }
    }
}

/// users-service, its store open and everything in place but its sockets.
pub struct UsersService {
    config: Config,
    opened: Opened,
    _lock: Option<ServingLock>,
}

/// The store, the port and what works on them: what a command needs that runs beside a serving process.
#[derive(Clone)]
pub(crate) struct Parts<S: Store> {
    pub(crate) store: S,
    pub(crate) provider: GrpcIdentityProvider,
    pub(crate) commands: Context<Production<S>>,
}

impl UsersService {
    /// Opens the store, which on SQLite no other process may serve, and checks its schema. Must be called within a tokio
    /// runtime.
    pub async fn open(config: Config, clock: SystemClock) -> Result<Self, StartError> {
        let (opened, lock) = engine::open_to_serve(&config, clock).await?;
        Ok(Self { config, opened, _lock: lock })
    }

    /// What an operator may do, in this process.
    #[must_use]
    pub fn administration(&self) -> Administration {
        Administration::new(self.opened.clone())
    }
}

impl<S: Store + Clone> Parts<S> {
    pub(crate) async fn new(store: S, config: &Config, clock: SystemClock) -> Result<Self, ConnectionError> {
        let provider = GrpcIdentityProvider::new(&config.identity_provider).await?;
        let commands = Context {
            store: Arc::new(store.clone()),
            provider: Arc::new(provider.clone()),
            ids: Arc::new(SystemIds::new(clock)),
        };
        Ok(Self { store, provider, commands })
    }
}
