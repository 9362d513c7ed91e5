//! What an error of the engine means to a store. Knows no tables: which constraint means which conflict is
//! the store's to say.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// What precedes the columns in SQLite's message about a unique index or primary key.
const SQLITE_UNIQUE: &str = "UNIQUE constraint failed: ";

/// What was to be unique and is not, if that is what the error says: on PostgreSQL the name of the constraint; on SQLite
/// the columns, as `accounts.canonical_username` or `members.group_id, members.user_id`, because it does not name the
/// index.
#[must_use]
pub fn is_unique_violation(error: &Error) -> Option<String> {
    let error = error.as_database_error().filter(|error| error.is_unique_violation())?;
    if let Some(constraint) = error.constraint() {
        return Some(constraint.to_owned());
    }
    let columns = error.message().strip_prefix(SQLITE_UNIQUE);
    Some(columns.unwrap_or(error.message()).to_owned())
}

/// Whether the database could not be reached or could not work at the moment, so that the same statement
/// may well succeed later. A statement that is wrong, a broken constraint and a corrupt file are not that.
#[must_use]
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        // The last two are what is left of a server that is gone in the middle of a sentence.
        Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::BeginFailed => true,
        _ => {
            sqlite_result(error).is_some_and(|result| PASSING.contains(&result))
                || postgres_state(error).is_some_and(|state| {
                    PASSING_CLASSES.contains(&&state[..2]) || PASSING_STATES.contains(&state.as_str())
                })
        }
    }
}

/// Whether it is the caller that had no time left, and not the database that was in trouble. Nothing was changed.
#[must_use]
pub fn is_past_deadline(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<PastDeadline>))
}

/// What becomes of a statement whose caller has no time left.
#[derive(Debug, thiserror::Error)]
#[error("the caller's deadline has passed")]
struct PastDeadline;

pub(crate) fn past_deadline() -> Error {
    Error::Io(io::Error::new(ErrorKind::TimedOut, PastDeadline))
}

/// A server that has said nothing for so long.
pub(crate) fn silence(since: Duration) -> Error {
    let message = format!("the server has said nothing for {:.1} s", since.as_secs_f64());
    Error::Io(io::Error::new(ErrorKind::TimedOut, message))
}

/// Whether PostgreSQL stopped the statement: it took too long, or waited for too long for a lock, or somebody asked for it.
pub(crate) fn was_stopped(error: &Error) -> bool {
    postgres_state(error).is_some_and(|state| ["57014", "55P03"].contains(&state.as_str()))
}

/// PostgreSQL's SQLSTATE, if the error is PostgreSQL's.
fn postgres_state(error: &Error) -> Option<String> {
    let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(error.code().to_owned()).filter(|state| state.len() == 5)
}

/// PostgreSQL's classes of trouble that is not the statement's: lost connections, a role or a password that is not let in,
/// a database that is not there while it is restored, transactions that were in each other's way, exhausted resources, an
/// operator at work, the system's own errors.
const PASSING_CLASSES: [&str; 7] = ["08", "28", "3D", "40", "53", "57", "58"];

/// The same, of classes that are about statements too: a lock that was not to be had, a transaction that idled or ran for
/// too long, a server that only reads (a primary that was demoted).
const PASSING_STATES: [&str; 4] = ["55P03", "25P03", "25P04", "25006"];

/// SQLite's primary result code, if the error is SQLite's.
pub(crate) fn sqlite_result(error: &Error) -> Option<i32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    let extended: i32 = error.code()?.parse().ok()?;
    // The low byte says what happened, the rest where.
    Some(extended & 0xff)
}

/// SQLite's result codes for trouble that is not the statement's: busy, locked, out of memory, read-only
/// file, input and output, disk full, file cannot be opened, locking protocol.
const PASSING: [i32; 8] = [5, 6, 7, 8, 10, 13, 14, 15];

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Error, SqliteConnection};

    use super::{is_unavailable, is_unique_violation};
    use crate::testing::TestDatabase;

    async fn error_of(statement: &'static str) -> Error {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.expect("opens");
        let tables =
            "create table account (id integer primary key, name text unique, age int check (age > 0));
            create table member (a int, b int, primary key (a, b)) without rowid;
            insert into account values (1, 'ann', 1); insert into member values (1, 1)";
        sqlx::raw_sql(tables).execute(&mut connection).await.expect("tables");
        sqlx::raw_sql(statement).execute(&mut connection).await.expect_err("the statement fails")
    }

    #[tokio::test]
    async fn a_unique_violation_names_the_columns() {
        for (statement, columns) in [
            ("insert into account values (2, 'ann', 1)", "account.name"),
            ("insert into account values (1, 'bob', 1)", "account.id"),
            ("insert into member values (1, 1)", "member.a, member.b"),
        ] {
            let error = error_of(statement).await;
            assert_eq!(is_unique_violation(&error).as_deref(), Some(columns));
            assert!(!is_unavailable(&error));
        }
    }

    #[tokio::test]
    async fn other_errors_are_neither_a_conflict_nor_an_outage() {
        for statement in
            ["insert into account values (2, 'bob', 0)", "select nonsense", "select * from nowhere"]
        {
            let error = error_of(statement).await;
            assert_eq!(is_unique_violation(&error), None);
            assert!(!is_unavailable(&error), "{error}");
        }
        assert!(!is_unavailable(&Error::RowNotFound));
    }

    #[tokio::test]
    async fn trouble_of_the_database_itself_is_an_outage() {
        assert!(is_unavailable(&Error::PoolTimedOut));
        assert!(is_unavailable(&Error::PoolClosed));
        assert!(is_unavailable(&Error::Io(std::io::Error::other("gone"))));
        let full =
            error_of("pragma max_page_count = 1; insert into account select 5, zeroblob(100000), 1").await;
        assert!(is_unavailable(&full), "{full}");
        let read_only = error_of("pragma query_only = on; delete from account").await;
        assert!(is_unavailable(&read_only), "{read_only}");
    }

    /// What PostgreSQL says when a statement raises this state.
    async fn raised(database: &TestDatabase, state: &str) -> Error {
        let raise = format!("do $$ begin raise exception 'no' using errcode = '{state}'; end $$");
        let mut connection = database.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(raise)).execute(&mut connection).await.expect_err("raised")
    }

    #[tokio::test]
    async fn what_postgres_says_of_its_own_trouble_is_an_outage_and_nothing_else_is() {
        let database = TestDatabase::create().await;
        for state in [
            "08006", "28P01", "3D000", "40001", "40P01", "53300", "55P03", "57014", "57P01", "57P03",
            "58030", "25006",
        ] {
            assert!(is_unavailable(&raised(&database, state).await), "{state}");
        }
        for state in ["23505", "23503", "42601", "42P01", "22012", "42501"] {
            assert!(!is_unavailable(&raised(&database, state).await), "{state}");
        }
    }

    #[tokio::test]
    async fn postgres_names_the_constraint_that_is_violated() {
        let database = TestDatabase::create().await;
        let mut connection = database.connect().await;
        let statement = "create table account (id int constraint accounts_id primary key); insert into account values (1), (1)";
        let error = sqlx::raw_sql(statement).execute(&mut connection).await.expect_err("taken");
        assert_eq!(is_unique_violation(&error).as_deref(), Some("accounts_id"));
    }
}
