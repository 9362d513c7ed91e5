//! Histories of migrations, each told as the programs of several versions meeting one database.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tempfile::TempDir;

use super::{SchemaError, check, migrate};
use crate::{Sqlite, SqliteOptions};

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

async fn database(folder: &TempDir) -> Sqlite {
    let options = SqliteOptions { path: folder.path().join("auth.sqlite"), max_connections: 3 };
    Sqlite::open(&options).await.expect("opens")
}

async fn migrated_by(migrator: &'static Migrator) -> (TempDir, Sqlite) {
    let folder = TempDir::new().expect("a folder");
    let database = database(&folder).await;
    migrate(&database, migrator).await.expect("migrates");
    (folder, database)
}

async fn has_table(database: &Sqlite, name: &'static str) -> bool {
    let mut connection = database.reader().acquire().await.expect("a connection");
    super::has_table(&mut connection, name).await.expect("reads")
}

#[tokio::test]
async fn a_migrated_schema_serves_and_migrating_again_changes_nothing() {
    let program = program(&[FIRST, ADDS]);
    let (_folder, database) = migrated_by(program).await;
    check(&database, program).await.expect("serves");
    migrate(&database, program).await.expect("nothing to do");
}

#[tokio::test]
async fn an_empty_database_is_older_and_checking_does_not_change_it() {
    let folder = TempDir::new().expect("a folder");
    let database = database(&folder).await;
    let refusal = check(&database, program(&[FIRST, ADDS])).await.expect_err("older");
    assert!(matches!(refusal, SchemaError::Older { found: 0, needed: 2 }), "{refusal:?}");
    assert!(!has_table(&database, "_sqlx_migrations").await);
}

#[tokio::test]
async fn an_older_schema_is_refused_until_it_is_migrated() {
    let (_folder, database) = migrated_by(program(&[FIRST])).await;
    let newer = program(&[FIRST, ADDS, BREAKS]);
    let refusal = check(&database, newer).await.expect_err("older");
    assert!(matches!(refusal, SchemaError::Older { found: 1, needed: 3 }), "{refusal:?}");
    assert_eq!(refusal.to_string(), "the database schema is at version 1 and this program needs version 3");
    migrate(&database, newer).await.expect("migrates");
    check(&database, newer).await.expect("serves");
}

#[tokio::test]
async fn a_newer_schema_that_is_compatible_serves_and_is_left_alone() {
    let (_folder, database) = migrated_by(program(&[FIRST, ADDS])).await;
    let older = program(&[FIRST]);
    check(&database, older).await.expect("serves");
    migrate(&database, older).await.expect("nothing to do");
    check(&database, program(&[FIRST, ADDS])).await.expect("still there");
}

#[tokio::test]
async fn a_newer_schema_that_is_not_compatible_is_refused() {
    let (_folder, database) = migrated_by(program(&[FIRST, ADDS, BREAKS])).await;
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

#[tokio::test]
async fn a_newer_schema_that_says_nothing_is_refused() {
    let silent = (1, "create table account (id integer primary key);");
    let (_folder, database) = migrated_by(program(&[silent, ADDS])).await;
    let refusal = check(&database, program(&[silent])).await.expect_err("newer");
    assert!(matches!(refusal, SchemaError::Newer { compatible_from: None, .. }), "{refusal:?}");
}

#[tokio::test]
async fn an_altered_migration_is_refused() {
    let (_folder, database) = migrated_by(program(&[FIRST, ADDS])).await;
    let altered = program(&[FIRST, (2, "alter table account add column other text;")]);
    for refused in [check(&database, altered).await, migrate(&database, altered).await] {
        let refusal = refused.expect_err("altered");
        assert!(matches!(refusal, SchemaError::Altered { version: 2 }), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_migration_that_was_slipped_in_before_others_is_refused() {
    let (_folder, database) = migrated_by(program(&[FIRST, BREAKS])).await;
    let refusal = migrate(&database, program(&[FIRST, ADDS, BREAKS])).await.expect_err("slipped in");
    assert!(matches!(refusal, SchemaError::Altered { version: 2 }), "{refusal:?}");
}

#[tokio::test]
async fn an_incomplete_migration_is_refused() {
    let program = program(&[FIRST]);
    let (_folder, database) = migrated_by(program).await;
    let mut transaction = database.write().await.expect("begins");
    sqlx::query("update _sqlx_migrations set success = false")
        .execute(&mut *transaction)
        .await
        .expect("updates");
    transaction.commit().await.expect("commits");
    let refusal = check(&database, program).await.expect_err("incomplete");
    assert!(matches!(refusal, SchemaError::Dirty { version: 1 }), "{refusal:?}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_everything_as_it_was() {
    let before = program(&[FIRST]);
    let (_folder, database) = migrated_by(before).await;
    let refusal = migrate(&database, program(&[FIRST, ADDS, FAILS])).await.expect_err("fails");
    assert!(matches!(refusal, SchemaError::Migration(_)), "{refusal:?}");
    assert!(!has_table(&database, "session").await);
    let version: i64 = sqlx::query_scalar("select max(version) from _sqlx_migrations")
        .fetch_one(database.reader())
        .await
        .expect("reads");
    assert_eq!(version, 1, "the migration before the one that failed was undone with it");
    check(&database, before).await.expect("serves");
}

#[tokio::test]
async fn many_processes_may_migrate_at_once() {
    let folder = TempDir::new().expect("a folder");
    let program = program(&[FIRST, ADDS]);
    // Each opens the file for itself, as processes do.
    let migrations = (0..8).map(async |_| {
        let database = database(&folder).await;
        migrate(&database, program).await
    });
    for migrated in futures::future::join_all(migrations).await {
        migrated.expect("migrates");
    }
    check(&database(&folder).await, program).await.expect("serves");
}
