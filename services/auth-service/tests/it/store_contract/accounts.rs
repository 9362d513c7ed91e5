//! Accounts and their credentials.

use auth_core::domain::{AccountKey, AccountState, PasswordHash};
use auth_core::ports::{Insertion, LockedAccount, Reader as _, Store, Transaction as _};
use chrono::TimeDelta;

use super::engines::Engine;
use super::{add, id, in_tx, name, new_account, stored};

pub(super) async fn an_account_is_found_by_id_and_by_name_in_any_case<S: Store>(engine: &Engine<S>) {
    let added = add(engine, 1, "Ann.Other").await;
    assert_eq!((added.state, added.version.number), (AccountState::Active, 1));
    assert_eq!(added.create_time, added.update_time);
    let reader = engine.store.reader();
    for key in [AccountKey::Id(id(1)), AccountKey::Username(name("aNN.oTHER"))] {
        let found = reader.account(&key).await.unwrap().unwrap();
        assert_eq!(found.account, added);
        assert_eq!((found.password_hash.as_str(), found.credential_version), ("hash 1", 1));
    }
    assert!(reader.account(&AccountKey::Id(id(2))).await.unwrap().is_none());
    assert!(reader.account(&AccountKey::Username(name("nobody"))).await.unwrap().is_none());
}

pub(super) async fn a_name_is_taken_ignoring_case_and_an_id_once<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    for (new, expected) in
        [(new_account(2, "ALICE"), Insertion::UsernameTaken), (new_account(1, "bobby"), Insertion::IdTaken)]
    {
        let mut tx = engine.store.begin().await.unwrap();
        let now = tx.now().await.unwrap();
        assert_eq!(tx.insert_account(&new, now).await.unwrap(), expected);
    }
    assert_eq!(add(engine, 2, "bobby").await.version.number, 2, "what was refused left no gap");
}

pub(super) async fn a_change_is_written_whole_and_moves_to_the_end_of_the_feed<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    engine.advance(TimeDelta::minutes(1));
    let changed = in_tx!(engine, tx => {
        let LockedAccount { stored: account, now } = tx.lock_account(id(1)).await.unwrap().unwrap();
        let disabled = account.with_state(AccountState::Disabled, now).unwrap();
        tx.update_account(&disabled.with_password(PasswordHash::new("new".to_owned()), now)).await.unwrap()
    });
    assert_eq!((changed.state, changed.version.number), (AccountState::Disabled, 3));
    assert!(changed.update_time > changed.create_time);
    let found = stored(engine, id(1)).await;
    assert_eq!(found.account, changed);
    assert_eq!((found.password_hash.as_str(), found.credential_version), ("new", 2));
}

pub(super) async fn a_rehash_is_no_change<S: Store>(engine: &Engine<S>) {
    let added = add(engine, 1, "alice").await;
    in_tx!(engine, tx => tx.rehash(id(1), &PasswordHash::new("stronger".to_owned())).await.unwrap());
    let found = stored(engine, id(1)).await;
    assert_eq!((found.password_hash.as_str(), found.credential_version), ("stronger", 1));
    assert_eq!(found.account, added);
}

pub(super) async fn what_is_not_committed_did_not_happen<S: Store>(engine: &Engine<S>) {
    let mut tx = engine.store.begin().await.unwrap();
    let now = tx.now().await.unwrap();
    tx.insert_account(&new_account(1, "alice"), now).await.unwrap();
    drop(tx);
    assert!(engine.store.reader().account(&AccountKey::Id(id(1))).await.unwrap().is_none());
    assert_eq!(add(engine, 2, "alice").await.version.number, 1);
}

pub(super) async fn a_hundred_parallel_writers_all_succeed<S: Store>(engine: &Engine<S>) {
    let names: Vec<_> = (0..100).map(|number| format!("writer{number}")).collect();
    let writers = names.iter().zip(1..).map(|(name, number)| add(engine, number, name));
    let mut numbers: Vec<_> =
        futures::future::join_all(writers).await.into_iter().map(|account| account.version.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
}
