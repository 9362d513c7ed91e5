//! The version of a database's schema: bringing it up to date, and refusing to serve one that does not fit.
//!
//! A schema may be newer than the program: during a rollout the old version still serves while the new one
//! has migrated already. Whether that is safe only the newer version can know, so its migrations keep it in
//! the database: `schema_compatibility (compatible_from integer not null)` holds one row, the version of
//! the oldest schema whose programs may work on this one.
//!
//! Knows no migrations: they are each service's own and come as an argument. Uses sqlx's bookkeeping table
//! and its way to apply one, but not its runner, which has no lock on SQLite, commits half of the way, and
//! knows of newer schemas only how to ignore or refuse all of them.

use std::time::Duration;

pub use sqlx::migrate::Migrator;
use sqlx::migrate::{Migrate, MigrateError, Migration};
use sqlx::{AssertSqlSafe, Database, PgConnection, SqliteConnection, Transaction};

use tokio::time::timeout;

use crate::error::silence;
use crate::postgres::OpenError;
use crate::{Postgres, Sqlite};

mod books;

/// sqlx's table of what was applied.
const APPLIED: &str = "_sqlx_migrations";

/// How long a migration waits for a table that serving processes use.
const GIVE_UP: &str = "set local lock_timeout = '10s'";

/// How long a look at the books may take.
const LOOK_WAIT: Duration = Duration::from_secs(30);

/// Why a schema cannot be used or brought up to date. Each message is complete; to [`SchemaError::Older`] the
/// caller adds the name of its command that migrates.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Migrations are missing: they have to run first.
    #[error("the database schema is at version {found} and this program needs version {needed}")]
    Older {
        /// The newest version that was applied, 0 for an empty database.
        found: i64,
        /// The newest version that this program knows.
        needed: i64,
    },
    /// A newer program migrated, and declared this one too old.
    #[error(
        "the database schema is at version {found}, which needs a program of version {} or newer; this one \
         knows version {known}", .compatible_from.unwrap_or(*.found)
    )]
    Newer {
        /// The newest version that was applied.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
        /// What the database says about older programs; nothing is as good as no.
        compatible_from: Option<i64>,
    },
    /// A migration was applied that differs from the one of the same version here, or is not here at all:
    /// the database belongs to another program or to an unreleased version of this one.
    #[error("migration {version} of the database is not the one that this program knows")]
    Altered {
        /// The version of the first that differs.
        version: i64,
    },
    /// A migration broke off. Ours are transactions and cannot, so somebody else was at work.
    #[error("migration {version} of the database is incomplete")]
    Dirty {
        /// Its version.
        version: i64,
    },
    /// A migration failed. Nothing was changed.
    #[error("the database schema cannot be migrated: {0}")]
    Migration(MigrateError),
    /// The server cannot be reached past the pooler, by which nobody can look at a schema.
    #[error("past the pooler, {0}")]
    PastThePooler(OpenError),
    /// The database itself failed.
    #[error("the database schema cannot be read or written: {0}")]
    Storage(sqlx::Error),
}

impl From<sqlx::Error> for SchemaError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<MigrateError> for SchemaError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Storage(error),
            MigrateError::Dirty(version) => Self::Dirty { version },
            other => Self::Migration(other),
        }
    }
}

/// A database that has a schema.
pub trait Schema {
    /// Its engine.
    type Engine: Database<Connection: Bookkeeping>;

    /// Begins a transaction that makes every other one of these wait until it is over.
    fn begin_migration(
        &self,
    ) -> impl Future<Output = Result<Transaction<'static, Self::Engine>, SchemaError>> + Send;

    /// Begins a transaction that only reads.
    fn begin_inspection(
        &self,
    ) -> impl Future<Output = Result<Transaction<'static, Self::Engine>, SchemaError>> + Send;
}

/// What a connection can tell of its schema, and do for its books.
pub trait Bookkeeping: Migrate + Send {
    /// Whether there is a table of this name.
    fn has_table(&mut self, name: &str) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// What the table `schema_compatibility` says.
    fn compatible_from(&mut self) -> impl Future<Output = Result<Option<i64>, sqlx::Error>> + Send;

    /// Leaves the books to whoever migrates: all others may read them at most, also those who may write every table that
    /// is made here by default.
    fn close_books(&mut self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Brings the schema up to date: all missing migrations or none, in one transaction that makes every other
/// process wait, so that many may try at once. Does nothing to a newer schema that this program may use.
///
/// Because of that transaction a migration cannot be one that sqlx runs outside of any (`-- no-transaction`).
pub async fn migrate<S: Schema>(database: &S, migrator: &'static Migrator) -> Result<(), SchemaError> {
    let mut transaction = database.begin_migration().await?;
    transaction.ensure_migrations_table(APPLIED).await?;
    for migration in missing(&mut *transaction, migrator).await? {
        transaction.apply(APPLIED, migration).await?;
    }
    transaction.close_books().await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether this program may work on the schema as it is. Changes nothing.
pub async fn check<S: Schema>(database: &S, migrator: &Migrator) -> Result<(), SchemaError> {
    let looked = timeout(LOOK_WAIT, look(database, migrator)).await;
    looked.unwrap_or_else(|_| Err(SchemaError::Storage(silence(LOOK_WAIT))))
}

async fn look<S: Schema>(database: &S, migrator: &Migrator) -> Result<(), SchemaError> {
    let mut connection = database.begin_inspection().await?;
    let missing = if connection.has_table(APPLIED).await? {
        missing(&mut *connection, migrator).await?
    } else {
        known(migrator)
    };
    match (missing.first(), missing.last()) {
        (Some(first), Some(last)) => {
            let found =
                known(migrator).iter().map(|known| known.version).rfind(|version| *version < first.version);
            Err(SchemaError::Older { found: found.unwrap_or(0), needed: last.version })
        }
        _ => Ok(()),
    }
}

/// The migrations that were not applied yet. Refuses a history that does not begin like ours, and a newer
/// one that does not want us.
async fn missing<'m>(
    connection: &mut impl Bookkeeping,
    migrator: &'m Migrator,
) -> Result<Vec<&'m Migration>, SchemaError> {
    if let Some(version) = connection.dirty_version(APPLIED).await? {
        return Err(SchemaError::Dirty { version });
    }
    let applied = connection.list_applied_migrations(APPLIED).await?;
    let mut known = known(migrator);
    for (applied, known) in applied.iter().zip(&known) {
        if applied.version != known.version || applied.checksum != known.checksum {
            return Err(SchemaError::Altered { version: applied.version.min(known.version) });
        }
    }
    if applied.len() <= known.len() {
        return Ok(known.split_off(applied.len()));
    }
    let found = applied.last().map_or(0, |migration| migration.version);
    let known = known.last().map_or(0, |migration| migration.version);
    let compatible_from = if connection.has_table("schema_compatibility").await? {
        connection.compatible_from().await?
    } else {
        None
    };
    match compatible_from {
        Some(compatible_from) if compatible_from <= known => Ok(Vec::new()),
        compatible_from => Err(SchemaError::Newer { found, known, compatible_from }),
    }
}

/// What a process that serves asks of its database again and again, for [`still_fits`]: one statement, on either engine.
pub const VERSIONS: &str = "select (select max(version) from _sqlx_migrations where success), \
                            (select cast(compatible_from as bigint) from schema_compatibility)";

/// Whether this program may go on working on a schema that [`check`] let it begin with, by what [`VERSIONS`] gave: somebody
/// may have migrated it since, or put an older one in its place.
///
/// # Errors
/// [`SchemaError::Older`] or [`SchemaError::Newer`].
pub fn still_fits(
    migrator: &Migrator,
    (found, compatible_from): (Option<i64>, Option<i64>),
) -> Result<(), SchemaError> {
    let known = known(migrator).last().map_or(0, |migration| migration.version);
    let found = found.unwrap_or(0);
    if found < known {
        return Err(SchemaError::Older { found, needed: known });
    }
    let is_welcome = found == known || compatible_from.is_some_and(|from| from <= known);
    if is_welcome { Ok(()) } else { Err(SchemaError::Newer { found, known, compatible_from }) }
}

/// The migrations of this program, oldest first, without the ways back.
fn known(migrator: &Migrator) -> Vec<&Migration> {
    migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).collect()
}

impl Schema for Sqlite {
    type Engine = sqlx::Sqlite;

    async fn begin_migration(&self) -> Result<Transaction<'static, sqlx::Sqlite>, SchemaError> {
        Ok(self.write().await?)
    }

    async fn begin_inspection(&self) -> Result<Transaction<'static, sqlx::Sqlite>, SchemaError> {
        Ok(self.reader().begin().await?)
    }
}

impl Bookkeeping for SqliteConnection {
    async fn has_table(&mut self, name: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select exists (select 1 from sqlite_schema where type = 'table' and name = $1)")
            .bind(name)
            .fetch_one(self)
            .await
    }

    async fn compatible_from(&mut self) -> Result<Option<i64>, sqlx::Error> {
        sqlx::query_scalar("select compatible_from from schema_compatibility").fetch_optional(self).await
    }

    /// A file has no roles.
    async fn close_books(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Schema for Postgres {
    type Engine = sqlx::Postgres;

    /// The lock is one for each schema of a database: two services may share the database.
    async fn begin_migration(&self) -> Result<Transaction<'static, sqlx::Postgres>, SchemaError> {
        let mut transaction = named(self, self.begin_directly().await).await?;
        sqlx::query(
            "select pg_advisory_xact_lock(hashtextextended('schema migrations of ' || current_schema(), 0))",
        )
        .execute(&mut *transaction)
        .await?;
        // A statement that waits for a table makes everybody wait who comes after it: rather give up and come again.
        sqlx::raw_sql(GIVE_UP).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    async fn begin_inspection(&self) -> Result<Transaction<'static, sqlx::Postgres>, SchemaError> {
        named(self, self.begin_inspection().await).await
    }
}

/// A pool knows of no cause but that its time is up, and the place that is said otherwise is the pooler's.
async fn named<T>(database: &Postgres, begun: Result<T, sqlx::Error>) -> Result<T, SchemaError> {
    match begun {
        Ok(begun) => Ok(begun),
        Err(cause) => {
            database.look_past_the_pooler().await.map_err(SchemaError::PastThePooler)?;
            Err(SchemaError::Storage(cause))
        }
    }
}

impl Bookkeeping for PgConnection {
    async fn has_table(&mut self, name: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select to_regclass(quote_ident($1)) is not null").bind(name).fetch_one(self).await
    }

    async fn compatible_from(&mut self) -> Result<Option<i64>, sqlx::Error> {
        // Whatever width the migration gave it.
        sqlx::query_scalar("select compatible_from::bigint from schema_compatibility")
            .fetch_optional(self)
            .await
    }

    async fn close_books(&mut self) -> Result<(), sqlx::Error> {
        let statement = books::close(self.server_version_num().unwrap_or_default());
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(self).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
