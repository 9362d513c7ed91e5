//! `WatchAccounts` as its reader sees it.

use std::collections::BTreeMap;

use api::auth::ChangePasswordRequest;
use api::identity::watch_accounts_response::Event;
use api::identity::{
    Account, AccountState, DisableAccountRequest, EnableAccountRequest, GetAccountRequest,
    SetPasswordRequest, WatchAccountsResponse,
};
use e2e::{Caller, Failure, IDENTITY, PASSWORD, Pair, by_id};
use futures::future::join_all;
use tonic::Streaming;

/// What a reader saw, up to a checkpoint and the cursor there.
struct Seen {
    accounts: Vec<Account>,
    cursor: String,
}

async fn next(feed: &mut Streaming<WatchAccountsResponse>) -> (Event, String) {
    let message = feed.message().await.expect("the feed goes on").expect("the feed stays open");
    (message.event.expect("an event"), message.cursor)
}

async fn up_to_checkpoint(feed: &mut Streaming<WatchAccountsResponse>) -> Seen {
    let mut accounts = Vec::new();
    loop {
        match next(feed).await {
            (Event::Account(account), _) => accounts.push(account),
            (Event::Checkpoint(_), cursor) => return Seen { accounts, cursor },
        }
    }
}

async fn snapshot(full: &Caller) -> Seen {
    up_to_checkpoint(&mut full.watch("").await.expect("a feed")).await
}

fn disable(account_id: &str) -> DisableAccountRequest {
    DisableAccountRequest { account_id: account_id.into(), ..Default::default() }
}

#[tokio::test]
async fn an_empty_cursor_is_every_account_once_in_the_order_of_its_last_change() {
    let app = Pair::start().await;
    let seen = snapshot(&app.full).await;
    let names: Vec<_> = seen.accounts.iter().map(|account| account.username.as_str()).collect();
    assert_eq!(names, ["superadmin", "admin", "alice"]);
    assert!(seen.accounts.is_sorted_by_key(|account| account.version));
    app.full.ok(disable(&app.admin.id)).await;
    let again = snapshot(&app.full).await;
    let names: Vec<_> = again.accounts.iter().map(|account| account.username.as_str()).collect();
    assert_eq!(names, ["superadmin", "alice", "admin"], "who changed moved to the end");
    assert_eq!(again.accounts[2].state(), AccountState::Disabled);
    assert!(again.accounts.iter().all(|account| account.epoch == seen.accounts[0].epoch));
}

#[tokio::test]
async fn a_reader_goes_on_from_its_cursor_and_hears_of_changes_as_they_commit() {
    let app = Pair::start().await;
    let place = snapshot(&app.full).await.cursor;
    let mut feed = app.full.watch(&place).await.expect("a feed");
    assert!(up_to_checkpoint(&mut feed).await.accounts.is_empty(), "nothing has changed");
    for number in 0..20 {
        let name = format!("newcomer{number}");
        let id = app.signed_up(&name).await.user_id;
        let heard = up_to_checkpoint(&mut feed).await;
        assert_eq!(heard.accounts.len(), 1);
        assert_eq!((&heard.accounts[0].account_id, heard.accounts[0].username.as_str()), (&id, &*name));
        let resumed = up_to_checkpoint(&mut app.full.watch(&heard.cursor).await.expect("a feed")).await;
        assert!(resumed.accounts.is_empty());
    }
    let since = up_to_checkpoint(&mut app.full.watch(&place).await.expect("a feed")).await;
    assert_eq!(since.accounts.len(), 20);
}

#[tokio::test]
async fn log_ins_and_sessions_are_no_news() {
    let app = Pair::start().await;
    let place = snapshot(&app.full).await.cursor;
    app.log_in("alice").await.ok(api::auth::LogOutRequest {}).await;
    app.user.ok(api::auth::RefreshSessionRequest {}).await;
    app.user.ok(api::auth::RevokeAllSessionsRequest { keep_current: false }).await;
    app.full.ok(EnableAccountRequest { account_id: app.user.id.clone(), ..Default::default() }).await;
    let since = up_to_checkpoint(&mut app.full.watch(&place).await.expect("a feed")).await;
    assert!(since.accounts.is_empty(), "{:?}", since.accounts);
}

#[tokio::test]
async fn a_cursor_that_was_never_given_is_unknown() {
    let app = Pair::start().await;
    let cursor = snapshot(&app.full).await.cursor;
    app.full.watch(&cursor).await.expect("it was given");
    for unknown in ["garbage".to_owned(), format!("{cursor}9"), cursor[1..].to_owned(), format!("x{cursor}")]
    {
        let failure = app.full.watch(&unknown).await.expect_err("it never was");
        assert_eq!(failure.reason, "CURSOR_UNKNOWN", "{unknown}");
    }
}

#[tokio::test]
async fn a_drain_ends_the_feed_and_says_so() {
    let mut app = Pair::start().await;
    let mut feed = app.full.watch("").await.expect("a feed");
    up_to_checkpoint(&mut feed).await;
    let (ended, ()) = tokio::join!(
        async {
            loop {
                match feed.message().await {
                    Ok(message) => assert!(message.is_some(), "it does not just stop"),
                    Err(status) => return Failure::of_stream(&status, IDENTITY),
                }
            }
        },
        app.stop_auth(),
    );
    assert_eq!(ended.reason, "DRAINING");
}

#[tokio::test]
async fn a_checkpoint_comes_on_a_quiet_feed_too() {
    let app = Pair::start().await;
    let mut feed = app.full.watch("").await.expect("a feed");
    let first = up_to_checkpoint(&mut feed).await;
    let second = up_to_checkpoint(&mut feed).await;
    assert!(second.accounts.is_empty());
    assert_eq!(second.cursor, first.cursor);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_writers_never_shows_a_reader_a_gap() {
    let app = Pair::start().await;
    let place = snapshot(&app.full).await.cursor;
    let mut readers = Vec::new();
    let (over, _) = tokio::sync::watch::channel(None::<i64>);
    for _ in 0..4 {
        let feed = app.full.watch(&place).await.expect("a feed");
        readers.push(tokio::spawn(read_until(feed, over.subscribe())));
    }
    // Some come in the middle, and start over from the cursor that they have every now and then.
    let restless = tokio::spawn(read_in_pieces(app.full.clone(), place, over.subscribe()));
    let writers = (0..24).map(async |writer| write(&app, writer).await);
    let changed: Vec<Account> = join_all(writers).await.concat();
    let mut last: BTreeMap<String, Account> = BTreeMap::new();
    for account in changed {
        let newest = last.entry(account.account_id.clone()).or_insert_with(|| account.clone());
        if account.version > newest.version {
            *newest = account;
        }
    }
    let end = last.values().map(|account| account.version).max().expect("something was written");
    over.send_replace(Some(end));
    readers.push(restless);
    for reader in readers {
        let seen = reader.await.expect("a reader ends");
        assert!(
            seen.is_sorted_by(|a, b| a.version < b.version),
            "numbers only rise, so none was missed behind"
        );
        let mut latest: BTreeMap<String, Account> = BTreeMap::new();
        for account in seen {
            latest.insert(account.account_id.clone(), account);
        }
        assert_eq!(latest, last);
    }
}

/// Makes an account and changes it; returns every state that was answered.
async fn write(app: &Pair, writer: usize) -> Vec<Account> {
    let mut states = Vec::new();
    for number in 0..6 {
        let signed_up = app.signed_up(&format!("w{writer}-{number}x")).await;
        let account_id = signed_up.user_id;
        let found = app.full.ok(GetAccountRequest { key: by_id(&account_id) }).await.message.account;
        states.extend(found);
        states.extend(app.full.ok(disable(&account_id)).await.message.account);
        let request = EnableAccountRequest { account_id: account_id.clone(), ..Default::default() };
        states.extend(app.full.ok(request).await.message.account);
        let password = "another long secret".to_owned();
        let request = SetPasswordRequest { account_id: account_id.clone(), password, ..Default::default() };
        states.extend(app.full.ok(request).await.message.account);
        if number % 2 == 0 {
            let log_in = api::auth::LogInRequest {
                username: format!("w{writer}-{number}x"),
                password: "another long secret".into(),
            };
            let opened = app.anonymous.ok(log_in).await.message;
            let change = ChangePasswordRequest {
                current_password: "another long secret".into(),
                new_password: PASSWORD.into(),
            };
            app.anonymous.bearer(&opened.access_token).ok(change).await;
            let found = app.full.ok(GetAccountRequest { key: by_id(&account_id) }).await.message.account;
            states.extend(found);
        }
    }
    states
}

type Over = tokio::sync::watch::Receiver<Option<i64>>;

/// Reads until it has the last change, whatever number that will turn out to have.
async fn read_until(mut feed: Streaming<WatchAccountsResponse>, over: Over) -> Vec<Account> {
    let mut seen: Vec<Account> = Vec::new();
    loop {
        let newest = seen.last().map_or(0, |account| account.version);
        if over.borrow().is_some_and(|end| newest >= end) {
            return seen;
        }
        if let (Event::Account(account), _) = next(&mut feed).await {
            seen.push(account);
        }
    }
}

async fn read_in_pieces(full: Caller, mut cursor: String, over: Over) -> Vec<Account> {
    let mut seen: Vec<Account> = Vec::new();
    loop {
        let mut feed = full.watch(&cursor).await.expect("a feed");
        for _ in 0..7 {
            let newest = seen.last().map_or(0, |account| account.version);
            if over.borrow().is_some_and(|end| newest >= end) {
                return seen;
            }
            let (event, next_cursor) = next(&mut feed).await;
            cursor = next_cursor;
            if let Event::Account(account) = event {
                seen.push(account);
            }
        }
    }
}
