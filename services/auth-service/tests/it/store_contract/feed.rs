//! The account feed.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::domain::AccountState;
use auth_core::ports::{LockedAccount, Reader as _, Store, Transaction as _};
use futures::future::join_all;
use identity::{Epoch, UserId};
use tokio::time::timeout;

use super::engines::Engine;
use super::{add, id, in_tx, lives, open};

pub(super) async fn changes_come_in_the_order_of_their_numbers<S: Store>(engine: &Engine<S>) {
    for number in 1..=5 {
        add(engine, number, &format!("user{number}")).await;
    }
    let changes = engine.store.reader().changes_after(1, 3).await.unwrap();
    let numbers: Vec<_> = changes.accounts.iter().map(|account| account.version.number).collect();
    assert_eq!((numbers, changes.newest), (vec![2, 3, 4], 5));
    let none = engine.store.reader().changes_after(5, 3).await.unwrap();
    assert_eq!((none.accounts.len(), none.newest, none.epoch), (0, 5, changes.epoch));
}

async fn toggle<S: Store>(engine: &Engine<S>, account: UserId) -> i64 {
    in_tx!(engine, tx => {
        let LockedAccount { stored, now } = tx.lock_account(account).await.unwrap().unwrap();
        let other = stored.with_state(AccountState::Disabled, now);
        let other = other.or_else(|| stored.with_state(AccountState::Active, now)).unwrap();
        tx.update_account(&other).await.unwrap().version.number
    })
}

pub(super) async fn an_account_stands_in_the_feed_once_at_its_last_change<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    assert_eq!(toggle(engine, id(1)).await, 3);
    assert_eq!(toggle(engine, id(1)).await, 4);
    let changes = engine.store.reader().changes_after(0, 10).await.unwrap();
    let seen: Vec<_> = changes.accounts.iter().map(|account| (account.id, account.version.number)).collect();
    assert_eq!(seen, [(id(2), 2), (id(1), 4)]);
}

pub(super) async fn another_epoch_keeps_the_accounts_and_ends_every_session<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    open(engine, 1, id(1)).await;
    let epoch = Epoch::parse("another").unwrap();
    assert_eq!(in_tx!(engine, tx => tx.begin_epoch(&epoch).await.unwrap()), 1);
    let changes = engine.store.reader().changes_after(0, 10).await.unwrap();
    assert_eq!(changes.epoch, epoch);
    assert_eq!(changes.accounts.len(), 1);
    assert_eq!(changes.accounts[0].version.epoch, epoch);
    assert!(!lives(engine, 1).await);
}

pub(super) async fn a_reader_beside_a_crowd_of_writers_misses_nothing<S: Store>(engine: &Engine<S>) {
    const ACCOUNTS: u64 = 8;
    const CHANGES: u64 = 25;
    for number in 1..=ACCOUNTS {
        add(engine, number, &format!("user{number}")).await;
    }
    let last = i64::try_from(ACCOUNTS * (CHANGES + 1)).unwrap();
    let writers = join_all((1..=ACCOUNTS).map(async |number| {
        for _ in 0..CHANGES {
            toggle(engine, id(number)).await;
        }
    }));
    let reader = async {
        let (mut position, mut seen) = (0, BTreeMap::new());
        while position < last {
            engine.store.reader().wait_for_change(position).await;
            for account in engine.store.reader().changes_after(position, 3).await.unwrap().accounts {
                assert!(account.version.number > position);
                position = account.version.number;
                seen.insert(account.id, account);
            }
        }
        seen
    };
    let (_, seen) = tokio::join!(writers, reader);
    let stored = engine.store.reader().changes_after(0, 100).await.unwrap().accounts;
    assert_eq!(seen, stored.into_iter().map(|account| (account.id, account)).collect());
}

pub(super) async fn who_waits_is_woken_by_a_change<S: Store>(engine: &Engine<S>) {
    let waiting = timeout(Duration::from_secs(3), engine.store.reader().wait_for_change(0));
    let (woken, _) = tokio::join!(waiting, add(engine, 1, "alice"));
    assert!(woken.is_ok(), "the poll is only the fallback");
}
