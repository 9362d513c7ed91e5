//! Request ids of sign-ups.

use auth_core::ports::{Claim, Reader as _, SignUpRecord, Store, Transaction as _};
use chrono::TimeDelta;
use identity::RequestId;

use super::engines::Engine;
use super::{id, in_tx, name, new_account};

const REQUEST_ID: &str = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c";

fn record(number: u64, username: &str) -> SignUpRecord {
    let request_id = RequestId::parse(REQUEST_ID).unwrap();
    SignUpRecord { request_id, username: name(username), account_id: id(number) }
}

async fn sign_up<S: Store>(engine: &Engine<S>, number: u64, username: &str) -> Claim {
    in_tx!(engine, tx => {
        let claim = tx.claim_request(&record(number, username)).await.unwrap();
        if claim == Claim::Claimed {
            let now = tx.now().await.unwrap();
            tx.insert_account(&new_account(number, username), now).await.unwrap();
        }
        claim
    })
}

pub(super) async fn a_request_id_is_taken_once_a_day<S: Store>(engine: &Engine<S>) {
    let known =
        async || engine.store.reader().sign_up_request(RequestId::parse(REQUEST_ID).unwrap()).await.unwrap();
    assert_eq!(known().await, None);
    assert_eq!(sign_up(engine, 1, "Alice").await, Claim::Claimed);
    assert_eq!(known().await, Some(record(1, "Alice")));
    assert_eq!(sign_up(engine, 2, "bobby").await, Claim::Known(record(1, "Alice")));
    engine.advance(TimeDelta::hours(24));
    assert_eq!(known().await, None);
    assert_eq!(sign_up(engine, 3, "carol").await, Claim::Claimed);
    assert_eq!(known().await, Some(record(3, "carol")));
}

pub(super) async fn a_request_id_is_free_when_its_account_was_not_added<S: Store>(engine: &Engine<S>) {
    let mut tx = engine.store.begin().await.unwrap();
    assert_eq!(tx.claim_request(&record(1, "alice")).await.unwrap(), Claim::Claimed);
    drop(tx);
    assert_eq!(sign_up(engine, 2, "bobby").await, Claim::Claimed);
}
