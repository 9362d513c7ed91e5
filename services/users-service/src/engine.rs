//! The engine that the service's store is on: chosen once, at start, by the settings.
//!
//! Everything above works on one store type that is known when it is compiled; which one it is, is decided in the few
//! places that match on [`Opened`].

use ::database::{DatabaseSettings, Engine, PoolUsage, SchemaError, ServingLock};
use clock::SystemClock;
use grpc_kit::call;
use users_core::StoreError;
use users_core::ports::Store;

use crate::{Config, Parts, PgStore, SqliteStore, StartError};

/// What a service needs of its store beside the use cases.
pub trait ServedStore: Store + Clone {
    /// Brings the schema up to date.
    fn migrate(&self) -> impl Future<Output = Result<(), SchemaError>> + Send;

    /// Whether this program may work on the schema.
    fn check_schema(&self) -> impl Future<Output = Result<(), SchemaError>> + Send;

    /// The key of this service's page tokens, which the first migration made.
    fn page_token_key(&self) -> impl Future<Output = Result<[u8; 32], StoreError>> + Send;

    /// Whether the store answers, and still has a schema that this program may work on.
    fn probe(&self) -> impl Future<Output = Result<(), SchemaError>> + Send;

    /// How many connections are in use.
    fn connections(&self) -> Vec<PoolUsage>;

    /// Waits for what is under way and closes the store.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A value for whichever engine it is.
#[derive(Clone)]
pub(crate) enum OnEngine<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// The parts of the service over a store of either engine.
pub(crate) type Opened = OnEngine<Parts<SqliteStore>, Parts<PgStore>>;

/// Does the same with whichever it is.
macro_rules! on_engine {
    ($value:expr, $it:pat => $work:expr) => {
        match $value {
            $crate::engine::OnEngine::Sqlite($it) => $work,
            $crate::engine::OnEngine::Postgres($it) => $work,
        }
    };
}
pub(crate) use on_engine;

/// Whether a store may be migrated before it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Migration {
    IfConfigured,
    Never,
}

/// Opens the store to serve it. On SQLite no other process may.
pub(crate) async fn open_to_serve(
    config: &Config,
    clock: SystemClock,
) -> Result<(Opened, Option<ServingLock>), StartError> {
    match stores(&config.database, &clock).await? {
        OnEngine::Sqlite(store) => {
            let lock = store.serving_lock()?;
            let parts = parts(store, config, clock, Migration::IfConfigured).await?;
            Ok((OnEngine::Sqlite(parts), Some(lock)))
        }
        OnEngine::Postgres(store) => {
            let parts = parts(store, config, clock, Migration::IfConfigured).await?;
            Ok((OnEngine::Postgres(parts), None))
        }
    }
}

/// Opens the store beside whoever serves it.
pub(crate) async fn open_beside(config: &Config, clock: SystemClock) -> Result<Opened, StartError> {
    Ok(match stores(&config.database, &clock).await? {
        OnEngine::Sqlite(store) => OnEngine::Sqlite(parts(store, config, clock, Migration::Never).await?),
        OnEngine::Postgres(store) => OnEngine::Postgres(parts(store, config, clock, Migration::Never).await?),
    })
}

/// Brings the schema up to date.
pub async fn migrate(settings: &DatabaseSettings) -> Result<(), StartError> {
    on_engine!(stores(settings, &SystemClock::default()).await?, store => {
        store.migrate().await.map_err(StartError::of_schema(settings))?;
        store.close().await;
    });
    Ok(())
}

async fn stores(
    settings: &DatabaseSettings,
    clock: &SystemClock,
) -> Result<OnEngine<SqliteStore, PgStore>, StartError> {
    Ok(match &settings.engine {
        Engine::Sqlite(options) => OnEngine::Sqlite(SqliteStore::open(options, clock.clone()).await?),
        Engine::Postgres { primary, replica } => {
            OnEngine::Postgres(PgStore::open(primary, replica.as_ref(), clock.clone(), call::deadline).await?)
        }
    })
}

/// The schema must be the one that this program works on.
async fn parts<S: ServedStore>(
    store: S,
    config: &Config,
    clock: SystemClock,
    migration: Migration,
) -> Result<Parts<S>, StartError> {
    if migration == Migration::IfConfigured && config.database.auto_migrate {
        store.migrate().await.map_err(StartError::of_schema(&config.database))?;
    }
    store.check_schema().await.map_err(StartError::of_schema(&config.database))?;
    Ok(Parts::new(store, config, clock).await?)
}
