//! What an error of the engine means to a store. Knows no tables: which constraint means which conflict is
//! the store's to say.

use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::sqlite::SqliteError;

/// What precedes the columns in SQLite's message about a unique index or primary key.
const SQLITE_UNIQUE: &str = "UNIQUE constraint failed: ";

/// What was to be unique and is not, if that is what the error says: on SQLite the columns, as
/// `accounts.canonical_username` or `members.group_id, members.user_id`, because it does not name the index.
#[must_use]
pub fn is_unique_violation(error: &Error) -> Option<String> {
    let error = error.as_database_error().filter(|error| error.is_unique_violation())?;
    let columns = error.message().strip_prefix(SQLITE_UNIQUE);
    Some(columns.unwrap_or(error.message()).to_owned())
}

/// Whether the database could not be reached or could not work at the moment, so that the same statement
/// may well succeed later. A statement that is wrong, a broken constraint and a corrupt file are not that.
#[must_use]
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed | Error::Io(_) => true,
        _ => sqlite_result(error).is_some_and(|result| PASSING.contains(&result)),
    }
}

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
}
