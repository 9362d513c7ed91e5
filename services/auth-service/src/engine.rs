//! The engines: opening the database that the settings name, and what the service asks of a store besides the port.
//!
//! The engine is chosen once, at start. Knows no statements.

use auth_core::StoreError;
use auth_core::ports::Store;
use clock::SystemClock;
use database::schema::{self, Migrator, Schema};
use database::{DatabaseSettings, Engine, PoolUsage, Postgres, SchemaError, ServingLock, Sqlite};
use grpc_kit::call;

use crate::{PgStore, SqliteStore, StartError, postgres, sqlite};

/// A store as the service serves it.
pub(crate) trait ServedStore: Store + Clone {
    /// The key that page tokens are sealed with, made by the first migration.
    fn page_token_key(&self) -> impl Future<Output = Result<[u8; 32], StoreError>> + Send;

    /// Whether the database answers, and still has a schema that this program may work on.
    fn probe(&self) -> impl Future<Output = Result<(), SchemaError>> + Send;

    /// How many connections are in use.
    fn connections(&self) -> Vec<PoolUsage>;
}

/// A store on one engine, with what has to be held while it is served.
pub(crate) enum Opened {
    /// A file, which one process serves.
    Sqlite(SqliteStore, ServingLock),
    /// A server, which any number of processes may share.
    Postgres(PgStore),
}

/// Opens the store and checks its schema, which it brings up to date first if the settings say so.
pub(crate) async fn open(settings: &DatabaseSettings, clock: &SystemClock) -> Result<Opened, StartError> {
    match &settings.engine {
        Engine::Sqlite(options) => {
            let database = Sqlite::open(options).await?;
            let lock = database.serving_lock()?;
            prepare(&database, &sqlite::MIGRATIONS, settings).await?;
            Ok(Opened::Sqlite(SqliteStore::new(database, clock.clone()), lock))
        }
        Engine::Postgres { primary, .. } => {
            let database = Postgres::open(primary).await?.until(call::deadline);
            prepare(&database, &postgres::MIGRATIONS, settings).await?;
            Ok(Opened::Postgres(PgStore::new(database, clock.clone())))
        }
    }
}

/// Brings the schema up to date.
pub(crate) async fn migrate(settings: &DatabaseSettings) -> Result<(), StartError> {
    match &settings.engine {
        Engine::Sqlite(options) => {
            let database = Sqlite::open(options).await?;
            let migrated = schema::migrate(&database, &sqlite::MIGRATIONS).await;
            database.close().await;
            migrated
        }
        Engine::Postgres { primary, .. } => {
            let database = Postgres::open(primary).await?;
            let migrated = schema::migrate(&database, &postgres::MIGRATIONS).await;
            database.close().await;
            migrated
        }
    }
    .map_err(at(&settings.engine))
}

async fn prepare<S: Schema>(
    database: &S,
    migrations: &'static Migrator,
    settings: &DatabaseSettings,
) -> Result<(), StartError> {
    if settings.auto_migrate {
        schema::migrate(database, migrations).await.map_err(at(&settings.engine))?;
    }
    schema::check(database, migrations).await.map_err(at(&settings.engine))
}

fn at(engine: &Engine) -> impl Fn(SchemaError) -> StartError {
    let place = engine.place();
    move |cause| match cause {
        SchemaError::Older { .. } => StartError::OlderSchema { place: place.clone(), cause },
        _ => StartError::Schema { place: place.clone(), cause },
    }
}
