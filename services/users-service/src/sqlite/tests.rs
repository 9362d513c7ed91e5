use tempfile::TempDir;
use users_core::ports::UserRows as _;
use users_core::testing::{an_account, an_id};

use super::*;

async fn open(folder: &TempDir) -> SqliteStore {
    let options = SqliteOptions { path: folder.path().join("users.sqlite"), max_connections: 2 };
    let store = SqliteStore::open(&options, SystemClock::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn a_row_that_cannot_be_read_back_is_named_and_not_skipped() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut tx = store.begin().await.unwrap();
    tx.apply_account(&an_account(an_id(1), "alice")).await.unwrap();
    sqlx::query("update users set username = 'a'").execute(&mut *tx.tx).await.unwrap();
    tx.commit().await.unwrap();
    let error = store.find_user(&UserKey::Id(an_id(1))).await.unwrap_err();
    let expected = format!("table users, column username: row {} cannot be read back", an_id(1));
    assert!(matches!(error, StoreError::Broken(cause) if cause.to_string() == expected));
}

#[tokio::test]
async fn the_key_of_page_tokens_is_random_and_lasts() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let key = open(&one).await.page_token_key().await.unwrap();
    assert_ne!(open(&other).await.page_token_key().await.unwrap(), key);
    assert_eq!(open(&one).await.page_token_key().await.unwrap(), key);
}

#[tokio::test]
async fn a_store_that_answers_is_ready() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    store.probe().await.unwrap();
    store.close().await;
    assert!(matches!(store.probe().await, Err(SchemaError::Storage(_))));
}

#[tokio::test]
async fn every_order_has_an_index_that_begins_with_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    for (column, direction) in [
        ("canonical_username", "asc"),
        ("role", "asc"),
        ("role", "desc"),
        ("state", "asc"),
        ("state", "desc"),
        ("create_time", "asc"),
        ("update_time", "desc"),
    ] {
        let plan =
            format!("explain query plan select id from users order by {column} {direction}, id limit 20");
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(plan)).fetch_all(store.reader.0.reader()).await.unwrap();
        assert!(plan.iter().any(|(.., step)| step.contains("USING COVERING INDEX")), "{column}: {plan:?}");
    }
}
