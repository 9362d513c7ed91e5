//! Histories of migrations, each told as the programs of several versions meeting one database, on each engine.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tempfile::TempDir;

use super::{Bookkeeping as _, Schema, SchemaError, VERSIONS, check, migrate, still_fits};
use crate::testing::{TestDatabase, run_on};
use crate::{Postgres, Sqlite, SqliteOptions};

const FIRST: (i64, &str) = (
    1,
    "create table account (id integer primary key);
     create table schema_compatibility (compatible_from integer not null);
     insert into schema_compatibility values (1);",
);
const ADDS: (i64, &str) = (2, "alter table account add column name text;");
const BREAKS: (i64, &str) = (3, "drop table account; update schema_compatibility set compatible_from = 3;");
const FAILS: (i64, &str) = (3, "create table session (id integer); select nonsense;");

/// A program's migrations; leaked, as a program has them for all of its life.
fn program(migrations: &[(i64, &'static str)]) -> &'static Migrator {
    let migration = |(version, sql): &(i64, &'static str)| {
        Migration::new(*version, "a step".into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Box::leak(Box::new(Migrator::with_migrations(migrations.iter().map(migration).collect())))
}

/// Where a test has a database of its own.
trait Place {
    type Database: Schema;

    async fn new() -> Self;

    /// Opens the database, as each process does for itself.
    async fn open(&self) -> Self::Database;

    /// Runs a statement past everything.
    async fn run(&self, statement: &'static str);

    /// What a process that serves is told.
    async fn versions(&self) -> (Option<i64>, Option<i64>);
}

impl Place for TempDir {
    type Database = Sqlite;

    async fn new() -> Self {
        Self::new().expect("a folder")
    }

    async fn open(&self) -> Sqlite {
        let options = SqliteOptions { path: self.path().join("auth.sqlite"), max_connections: 3 };
        Sqlite::open(&options).await.expect("opens")
    }

    async fn run(&self, statement: &'static str) {
        run_on(&self.open().await, statement).await;
    }

    async fn versions(&self) -> (Option<i64>, Option<i64>) {
        sqlx::query_as(VERSIONS).fetch_one(self.open().await.reader()).await.expect("reads")
    }
}

impl Place for TestDatabase {
    type Database = Postgres;

    async fn new() -> Self {
        Self::create().await
    }

    async fn open(&self) -> Postgres {
        Postgres::open(&self.options(3)).await.expect("opens")
    }

    async fn run(&self, statement: &'static str) {
        Self::run(self, statement).await;
    }

    async fn versions(&self) -> (Option<i64>, Option<i64>) {
        sqlx::query_as(VERSIONS).fetch_one(&mut self.connect().await).await.expect("reads")
    }
}

async fn migrated_by<P: Place>(migrator: &'static Migrator) -> (P, P::Database) {
    let place = P::new().await;
    let database = place.open().await;
    migrate(&database, migrator).await.expect("migrates");
    (place, database)
}

async fn has_table(database: &impl Schema, name: &'static str) -> bool {
    let mut transaction = database.begin_inspection().await.expect("begins");
    transaction.has_table(name).await.expect("reads")
}

/// Every history, on every engine.
macro_rules! histories {
    ($($history:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $history() { super::$history::<tempfile::TempDir>().await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $history() { super::$history::<crate::testing::TestDatabase>().await; })*
        }
    };
}

histories! {
    a_migrated_schema_serves_and_migrating_again_changes_nothing
    an_empty_database_is_older_and_checking_does_not_change_it
    an_older_schema_is_refused_until_it_is_migrated
    a_newer_schema_that_is_compatible_serves_and_is_left_alone
    a_newer_schema_that_is_not_compatible_is_refused
    a_newer_schema_that_says_nothing_is_refused
    a_process_that_serves_finds_out_when_its_schema_fits_no_more
    an_altered_migration_is_refused
    a_migration_that_was_slipped_in_before_others_is_refused
    an_incomplete_migration_is_refused
    a_migration_that_fails_leaves_everything_as_it_was
    many_processes_may_migrate_at_once
}

async fn a_migrated_schema_serves_and_migrating_again_changes_nothing<P: Place>() {
    let program = program(&[FIRST, ADDS]);
    let (_place, database) = migrated_by::<P>(program).await;
    check(&database, program).await.expect("serves");
    migrate(&database, program).await.expect("nothing to do");
}

async fn an_empty_database_is_older_and_checking_does_not_change_it<P: Place>() {
    let place = P::new().await;
    let database = place.open().await;
    let refusal = check(&database, program(&[FIRST, ADDS])).await.expect_err("older");
    assert!(matches!(refusal, SchemaError::Older { found: 0, needed: 2 }), "{refusal:?}");
    assert!(!has_table(&database, "_sqlx_migrations").await);
}

async fn an_older_schema_is_refused_until_it_is_migrated<P: Place>() {
    let (_place, database) = migrated_by::<P>(program(&[FIRST])).await;
    let newer = program(&[FIRST, ADDS, BREAKS]);
    let refusal = check(&database, newer).await.expect_err("older");
    assert!(matches!(refusal, SchemaError::Older { found: 1, needed: 3 }), "{refusal:?}");
    assert_eq!(refusal.to_string(), "the database schema is at version 1 and this program needs version 3");
    migrate(&database, newer).await.expect("migrates");
    check(&database, newer).await.expect("serves");
}

async fn a_newer_schema_that_is_compatible_serves_and_is_left_alone<P: Place>() {
    let (_place, database) = migrated_by::<P>(program(&[FIRST, ADDS])).await;
    let older = program(&[FIRST]);
    check(&database, older).await.expect("serves");
    migrate(&database, older).await.expect("nothing to do");
    check(&database, program(&[FIRST, ADDS])).await.expect("still there");
}

async fn a_newer_schema_that_is_not_compatible_is_refused<P: Place>() {
    let (_place, database) = migrated_by::<P>(program(&[FIRST, ADDS, BREAKS])).await;
    let older = program(&[FIRST, ADDS]);
    for refused in [check(&database, older).await, migrate(&database, older).await] {
        let refusal = refused.expect_err("newer");
        assert!(
            matches!(refusal, SchemaError::Newer { found: 3, known: 2, compatible_from: Some(3) }),
            "{refusal:?}"
        );
        assert!(
            refusal.to_string().contains("needs a program of version 3 or newer; this one knows version 2")
        );
    }
}

async fn a_newer_schema_that_says_nothing_is_refused<P: Place>() {
    let silent = (1, "create table account (id integer primary key);");
    let (_place, database) = migrated_by::<P>(program(&[silent, ADDS])).await;
    let refusal = check(&database, program(&[silent])).await.expect_err("newer");
    assert!(matches!(refusal, SchemaError::Newer { compatible_from: None, .. }), "{refusal:?}");
}

async fn a_process_that_serves_finds_out_when_its_schema_fits_no_more<P: Place>() {
    let (serving, newer) = (program(&[FIRST]), program(&[FIRST, ADDS]));
    let (place, database) = migrated_by::<P>(serving).await;
    still_fits(serving, place.versions().await).expect("nothing has happened");
    migrate(&database, newer).await.expect("migrates");
    still_fits(serving, place.versions().await).expect("it only adds");
    still_fits(newer, place.versions().await).expect("it is its own");

    migrate(&database, program(&[FIRST, ADDS, BREAKS])).await.expect("migrates");
    let refusal = still_fits(newer, place.versions().await).expect_err("it breaks");
    assert!(
        matches!(refusal, SchemaError::Newer { found: 3, known: 2, compatible_from: Some(3) }),
        "{refusal}"
    );
    place.run("delete from schema_compatibility").await;
    let refusal = still_fits(newer, place.versions().await).expect_err("nobody says that it may");
    assert!(matches!(refusal, SchemaError::Newer { compatible_from: None, .. }), "{refusal}");

    place.run("delete from _sqlx_migrations where version > 1").await;
    let refusal = still_fits(newer, place.versions().await).expect_err("an older one was put there");
    assert!(matches!(refusal, SchemaError::Older { found: 1, needed: 2 }), "{refusal}");
}

async fn an_altered_migration_is_refused<P: Place>() {
    let (_place, database) = migrated_by::<P>(program(&[FIRST, ADDS])).await;
    let altered = program(&[FIRST, (2, "alter table account add column other text;")]);
    for refused in [check(&database, altered).await, migrate(&database, altered).await] {
        let refusal = refused.expect_err("altered");
        assert!(matches!(refusal, SchemaError::Altered { version: 2 }), "{refusal:?}");
    }
}

async fn a_migration_that_was_slipped_in_before_others_is_refused<P: Place>() {
    let (_place, database) = migrated_by::<P>(program(&[FIRST, BREAKS])).await;
    let refusal = migrate(&database, program(&[FIRST, ADDS, BREAKS])).await.expect_err("slipped in");
    assert!(matches!(refusal, SchemaError::Altered { version: 2 }), "{refusal:?}");
}

async fn an_incomplete_migration_is_refused<P: Place>() {
    let program = program(&[FIRST]);
    let (place, database) = migrated_by::<P>(program).await;
    place.run("update _sqlx_migrations set success = false").await;
    let refusal = check(&database, program).await.expect_err("incomplete");
    assert!(matches!(refusal, SchemaError::Dirty { version: 1 }), "{refusal:?}");
}

async fn a_migration_that_fails_leaves_everything_as_it_was<P: Place>() {
    let before = program(&[FIRST]);
    let (_place, database) = migrated_by::<P>(before).await;
    let refusal = migrate(&database, program(&[FIRST, ADDS, FAILS])).await.expect_err("fails");
    assert!(matches!(refusal, SchemaError::Migration(_)), "{refusal:?}");
    assert!(!has_table(&database, "session").await);
    let next = check(&database, program(&[FIRST, ADDS])).await.expect_err("undone with the one that failed");
    assert!(matches!(next, SchemaError::Older { found: 1, needed: 2 }), "{next:?}");
    check(&database, before).await.expect("serves");
}

async fn many_processes_may_migrate_at_once<P: Place>() {
    let place = P::new().await;
    let program = program(&[FIRST, ADDS]);
    let migrations = (0..8).map(async |_| migrate(&place.open().await, program).await);
    for migrated in futures::future::join_all(migrations).await {
        migrated.expect("migrates");
    }
    check(&place.open().await, program).await.expect("serves");
}
