//! What the stores rely on: writers that wait instead of failing, readers that cannot write, cancellation
//! that leaves nothing behind, and messages that name the file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use futures::future::{join_all, poll_immediate};
use tempfile::TempDir;

use super::{NotAtOnce, OpenError, Parameter, Sqlite, SqliteOptions};
use crate::error::is_unavailable;

async fn open(folder: &TempDir) -> Result<Sqlite, OpenError> {
    Sqlite::open(&SqliteOptions { path: folder.path().join("auth.sqlite"), max_connections: 4 }).await
}

/// A database with an empty table `entry`.
async fn database() -> (TempDir, Sqlite) {
    let folder = TempDir::new().expect("a folder");
    let database = open(&folder).await.expect("opens");
    let mut transaction = database.write().await.expect("begins");
    sqlx::query("create table entry (n integer not null)").execute(&mut *transaction).await.expect("creates");
    transaction.commit().await.expect("commits");
    (folder, database)
}

async fn add_entry(database: &Sqlite) -> Result<(), sqlx::Error> {
    let mut transaction = database.write().await?;
    let count: i64 = sqlx::query_scalar("select count(*) from entry").fetch_one(&mut *transaction).await?;
    sqlx::query("insert into entry values ($1)").bind(count).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn entries(database: &Sqlite) -> Vec<i64> {
    sqlx::query_scalar("select n from entry order by n").fetch_all(database.reader()).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_parallel_writers_never_find_the_file_locked_and_each_succeeds_in_its_turn() {
    let (_folder, database) = database().await;
    let writers: Vec<_> = (0..100)
        .map(|_| {
            let database = database.clone();
            // On a slow disk the turn of the last may take longer than anybody waits.
            tokio::spawn(async move {
                loop {
                    match add_entry(&database).await {
                        Err(sqlx::Error::PoolTimedOut) => {}
                        outcome => break outcome,
                    }
                }
            })
        })
        .collect();
    for writer in join_all(writers).await {
        writer.expect("no panic").expect("no writer fails");
    }
    assert_eq!(entries(&database).await, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn once_a_full_disk_has_room_again_writers_come_through() {
    let (_folder, database) = database().await;
    let mut transaction = database.write().await.expect("begins");
    // As full as a disk can be: not a page more. It is this connection's to know.
    sqlx::query("pragma max_page_count = 1").execute(&mut *transaction).await.expect("is set");
    let insert = sqlx::query("insert into entry values (zeroblob(100000))");
    let full = insert.execute(&mut *transaction).await.expect_err("no room");
    assert!(is_unavailable(&full), "{full}");
    drop(transaction);
    add_entry(&database).await.expect("there is room on another connection");
    assert_eq!(entries(&database).await, [0]);
}

/// They begin on a connection of which the one before has just made nothing of use, one after the other.
#[tokio::test]
async fn of_many_writers_on_a_full_disk_each_hears_that_it_is_full() {
    let (_folder, database) = database().await;
    let writer = async || {
        let mut transaction = database.write().await.expect("begins");
        sqlx::query("pragma max_page_count = 1").execute(&mut *transaction).await.expect("is set");
        let insert = sqlx::query("insert into entry values (zeroblob(100000))");
        insert.execute(&mut *transaction).await.expect_err("no room")
    };
    for full in join_all((0..100).map(|_| writer())).await {
        assert!(is_unavailable(&full), "{full}");
    }
    add_entry(&database).await.expect("there is room on another connection");
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer_and_do_not_see_what_is_not_committed() {
    let (_folder, database) = database().await;
    let mut transaction = database.write().await.expect("begins");
    sqlx::query("insert into entry values (7)").execute(&mut *transaction).await.expect("inserts");
    assert!(entries(&database).await.is_empty());
    transaction.commit().await.expect("commits");
    assert_eq!(entries(&database).await, [7]);
}

#[tokio::test]
async fn readers_refuse_to_write() {
    let (_folder, database) = database().await;
    let refusal = sqlx::query("insert into entry values (1)").execute(database.reader()).await;
    let refusal = refusal.expect_err("read-only");
    assert!(refusal.to_string().contains("readonly"), "{refusal}");
    assert!(entries(&database).await.is_empty());
}

#[tokio::test]
async fn a_dropped_transaction_is_undone_before_the_next_writer_begins() {
    let (_folder, database) = database().await;
    for _ in 0..50 {
        let mut transaction = database.write().await.expect("begins");
        sqlx::query("insert into entry values (-1)").execute(&mut *transaction).await.expect("inserts");
        drop(transaction);
        add_entry(&database).await.expect("writes");
    }
    assert_eq!(entries(&database).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_are_cancelled_anywhere_leave_the_writer_usable_and_nothing_by_halves() {
    let (_folder, database) = database().await;
    let mut acknowledged = 0;
    for round in 0..400_u64 {
        // From "at once" to "surely done", in steps finer than a statement takes.
        let patience = Duration::from_micros(round * 5);
        let outcome = tokio::time::timeout(patience, add_entry(&database)).await;
        acknowledged += usize::from(outcome.is_ok_and(|written| written.is_ok()));
        add_entry(&database).await.expect("the next writer is not disturbed");
        acknowledged += 1;
    }
    // Each entry holds the number of those before it: none was lost, none is there twice. A commit whose
    // caller went away may be there too.
    let entries = entries(&database).await;
    assert!(entries.len() >= acknowledged, "{} of {acknowledged} acknowledged", entries.len());
    assert!(entries.iter().copied().eq(0..i64::try_from(entries.len()).expect("fits")));
}

#[tokio::test]
async fn a_begin_that_is_dropped_after_its_first_step_leaves_no_transaction_open() {
    let (_folder, database) = database().await;
    for _ in 0..50 {
        drop(poll_immediate(database.write()).await);
        add_entry(&database).await.expect("writes");
    }
    // What is committed is seen by another connection: no transaction of an earlier caller is around it.
    assert_eq!(entries(&database).await.len(), 50);
}

#[tokio::test]
async fn the_file_and_its_log_are_for_their_owner_alone() {
    let (folder, _database) = database().await;
    for name in ["auth.sqlite", "auth.sqlite-wal"] {
        let mode = fs::metadata(folder.path().join(name)).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn commits_are_durable_and_foreign_keys_hold() {
    let (_folder, database) = database().await;
    let mut writer = database.write().await.expect("begins");
    for (pragma, value) in [("select * from pragma_synchronous", 2), ("select * from pragma_foreign_keys", 1)]
    {
        let found: i64 = sqlx::query_scalar(pragma).fetch_one(&mut *writer).await.expect("reads");
        assert_eq!(found, value, "{pragma}");
    }
    let mode: String =
        sqlx::query_scalar("select * from pragma_journal_mode").fetch_one(&mut *writer).await.expect("reads");
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_closed_database_is_whole_in_its_one_file_and_unavailable() {
    let (folder, database) = database().await;
    add_entry(&database).await.expect("writes");
    database.close().await;
    assert!(!folder.path().join("auth.sqlite-wal").exists());
    assert!(is_unavailable(&add_entry(&database).await.expect_err("closed")));
    assert_eq!(entries(&open(&folder).await.expect("opens again")).await, [0]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_by_name() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("auth.sqlite");
    fs::write(&path, "this is a shopping list, not a database".repeat(50)).expect("write");
    let refusal = open(&folder).await.expect_err("not a database");
    assert!(matches!(refusal, OpenError::NotADatabase { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains(&path.display().to_string()), "{refusal}");
    assert!(refusal.to_string().contains("file is not a database"), "{refusal}");
}

#[tokio::test]
async fn a_missing_folder_is_refused_and_not_made() {
    let options = SqliteOptions { path: "/nowhere/auth.sqlite".into(), max_connections: 2 };
    let refusal = Sqlite::open(&options).await.expect_err("no folder");
    assert_eq!(refusal.to_string(), "the folder of /nowhere/auth.sqlite does not exist");
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_refused_by_name() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("auth.sqlite");
    fs::create_dir(&path).expect("makes a folder");
    let refusal = open(&folder).await.expect_err("a folder").to_string();
    assert!(refusal.starts_with(&format!("{} cannot be opened: ", path.display())), "{refusal}");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_refused_when_it_is_opened() {
    let (folder, database) = database().await;
    database.close().await;
    let path = folder.path().join("auth.sqlite");
    fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("chmod");
    // Root may write whatever the mode says: then there is nothing to refuse.
    let may_write = fs::OpenOptions::new().write(true).open(&path).is_ok();
    assert_eq!(open(&folder).await.is_ok(), may_write);
}

#[tokio::test]
async fn a_second_serving_process_is_refused() {
    let (_folder, database) = database().await;
    let lock = database.serving_lock().expect("free");
    let refusal = database.serving_lock().expect_err("taken");
    assert!(matches!(refusal, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    drop(lock);
    assert!(database.serving_lock().is_ok());
}

const COUNT: &str = "select count(*), max(n), 'text', null, x'01' from entry where n >= $1";

fn count_at_once(database: &Sqlite) -> Result<Option<i64>, NotAtOnce> {
    database.read_at_once(COUNT, &[Parameter::Integer(0)], |row| row.integer(0))
}

#[tokio::test]
async fn what_is_read_at_once_is_what_was_committed_just_before() {
    let (_folder, database) = database().await;
    for count in 0..100 {
        assert_eq!(count_at_once(&database), Ok(Some(count)));
        add_entry(&database).await.expect("writes");
    }
    let mut transaction = database.write().await.expect("begins");
    sqlx::query("insert into entry values (7)").execute(&mut *transaction).await.expect("inserts");
    assert_eq!(count_at_once(&database), Ok(Some(100)), "and nothing else");
}

#[tokio::test]
async fn columns_are_read_as_what_they_are() {
    let (_folder, database) = database().await;
    add_entry(&database).await.expect("writes");
    let read = database.read_at_once(COUNT, &[Parameter::Integer(0)], |row| {
        assert_eq!(row.text(0), Err(NotAtOnce));
        assert_eq!(row.integer(2), Err(NotAtOnce));
        assert_eq!(row.text(3), Err(NotAtOnce));
        assert_eq!(row.integer(9), Err(NotAtOnce));
        Ok((
            row.integer(1)?,
            row.text(2)?.to_owned(),
            row.optional_text(3)?.is_none(),
            row.blob(4)?.to_owned(),
        ))
    });
    assert_eq!(read, Ok(Some((0, "text".to_owned(), true, vec![1]))));
    let nothing = database
        .read_at_once("select n from entry where n = $1", &[Parameter::Text("x")], |row| row.integer(0));
    assert_eq!(nothing, Ok(None));
}

#[tokio::test]
async fn what_cannot_be_read_at_once_is_left_to_the_pool() {
    let (folder, database) = database().await;
    let wrong = database.read_at_once("select nonsense", &[], |row| row.integer(0));
    assert_eq!(wrong, Err(NotAtOnce));
    let write = database.read_at_once("insert into entry values (1) returning n", &[], |row| row.integer(0));
    assert_eq!(write, Err(NotAtOnce), "it only reads");
    assert_eq!(count_at_once(&database), Ok(Some(0)), "and it goes on");

    // Of three that read, one reads at once: while it is lent, there is no other.
    let nested = database.read_at_once(COUNT, &[Parameter::Integer(0)], |_| count_at_once(&database));
    assert_eq!(nested, Err(NotAtOnce));

    database.close().await;
    assert_eq!(count_at_once(&database), Err(NotAtOnce), "closed is closed");
    let wal = folder.path().join("auth.sqlite-wal");
    assert!(!wal.exists(), "whoever closes last folds the log back");
}

#[tokio::test]
async fn who_may_have_one_connection_to_read_reads_none_at_once() {
    let folder = TempDir::new().expect("a folder");
    let options = SqliteOptions { path: folder.path().join("auth.sqlite"), max_connections: 2 };
    let database = Sqlite::open(&options).await.expect("opens");
    assert_eq!(database.read_at_once("select 1", &[], |row| row.integer(0)), Err(NotAtOnce));
    let one: i64 = sqlx::query_scalar("select 1").fetch_one(database.reader()).await.expect("reads");
    assert_eq!(one, 1);
}
