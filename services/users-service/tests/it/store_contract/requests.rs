//! Requests that may be repeated.

use chrono::TimeDelta;
use identity::RequestId;
use users_core::domain::Role;
use users_core::ports::{Claim, Requests as _, Store, StoredRequest, Transaction as _};

use super::{id, in_tx};

const DAY: TimeDelta = TimeDelta::hours(24);

fn mark(number: u64) -> RequestId {
    RequestId::parse(&id(number).to_string()).unwrap()
}

fn request(caller: u64, user: u64) -> StoredRequest {
    StoredRequest {
        caller: id(caller),
        request_id: mark(1),
        username: "Alice".into(),
        role: Role::Admin,
        user_id: id(user),
    }
}

fn of_other_content(request: StoredRequest) -> StoredRequest {
    StoredRequest { username: "Bobby".into(), ..request }
}

async fn claim<S: Store>(store: &S, request: &StoredRequest, lifetime: TimeDelta) -> Claim {
    in_tx!(store, tx => tx.claim_request(request, lifetime).await.unwrap())
}

/// What is remembered, and whether it is so since this claim.
async fn claimed<S: Store>(store: &S, request: &StoredRequest, lifetime: TimeDelta) -> (StoredRequest, bool) {
    let Claim { remembered, is_new, .. } = claim(store, request, lifetime).await;
    (remembered, is_new)
}

fn new(remembered: StoredRequest) -> (StoredRequest, bool) {
    (remembered, true)
}

fn known(remembered: StoredRequest) -> (StoredRequest, bool) {
    (remembered, false)
}

async fn release<S: Store>(store: &S, request: &StoredRequest, claim: &Claim) {
    in_tx!(store, tx => tx.release_request(request, claim.time).await.unwrap());
}

async fn confirm<S: Store>(store: &S, request: &StoredRequest) {
    in_tx!(store, tx => tx.confirm_request(request).await.unwrap());
}

pub(super) async fn a_mark_stands_for_one_request_of_one_caller<S: Store>(store: &S) {
    assert_eq!(claimed(store, &request(1, 7), DAY).await, new(request(1, 7)));
    assert_eq!(claimed(store, &request(1, 8), DAY).await, known(request(1, 7)));
    assert_eq!(claimed(store, &of_other_content(request(1, 8)), DAY).await, known(request(1, 7)));
    assert_eq!(claimed(store, &request(2, 8), DAY).await, new(request(2, 8)));
    let other_mark = StoredRequest { request_id: mark(2), ..request(1, 9) };
    assert_eq!(claimed(store, &other_mark, DAY).await, new(other_mark));
}

pub(super) async fn a_released_mark_is_free_for_other_content_and_known_to_a_repeat<S: Store>(store: &S) {
    let first = claim(store, &request(1, 7), DAY).await;
    release(store, &request(1, 8), &first).await;
    assert_eq!(claimed(store, &request(1, 8), DAY).await, known(request(1, 7)), "it is not this user's");
    release(store, &request(1, 7), &first).await;
    let again = claim(store, &request(1, 8), DAY).await;
    assert_eq!((again.remembered.clone(), again.is_new), new(request(1, 7)), "the same id once more");
    release(store, &request(1, 7), &again).await;
    let other = of_other_content(request(1, 8));
    assert_eq!(claimed(store, &other, DAY).await, new(other.clone()));
    assert_eq!(claimed(store, &request(1, 9), DAY).await, known(other));
}

pub(super) async fn a_request_that_was_done_is_remembered_whoever_released_its_mark_and_when<S: Store>(
    store: &S,
) {
    // The repeat was done before the first one was refused for the moment.
    let first = claim(store, &request(1, 7), DAY).await;
    assert_eq!(claim(store, &request(1, 8), DAY).await.time, first.time);
    confirm(store, &request(1, 7)).await;
    release(store, &request(1, 7), &first).await;
    let other = of_other_content(request(1, 9));
    assert_eq!(claimed(store, &other, DAY).await, known(request(1, 7)));
    // And after that.
    let first = claim(store, &request(2, 7), DAY).await;
    release(store, &request(2, 7), &first).await;
    confirm(store, &request(2, 7)).await;
    let other = of_other_content(request(2, 9));
    assert_eq!(claimed(store, &other, DAY).await, known(request(2, 7)));
    in_tx!(store, tx => {
        let yesterday = tx.now().await.unwrap() - DAY;
        assert_eq!(tx.delete_requests_before(yesterday, 10).await.unwrap(), 0, "for its whole time");
    });
    // Also when it was swept meanwhile, but not when the mark stands for something else by now.
    confirm(store, &request(3, 7)).await;
    assert_eq!(claimed(store, &request(3, 8), DAY).await, known(request(3, 7)));
    confirm(store, &of_other_content(request(3, 9))).await;
    assert_eq!(claimed(store, &request(3, 8), DAY).await, known(request(3, 7)));
}

pub(super) async fn an_old_request_gives_way_to_another<S: Store>(store: &S) {
    claim(store, &request(1, 6), DAY).await;
    assert_eq!(claimed(store, &request(1, 7), -DAY).await, new(request(1, 7)), "of the same content too");
    let other = of_other_content(request(1, 8));
    assert_eq!(claimed(store, &other, -DAY).await, new(other.clone()));
    assert_eq!(claimed(store, &request(1, 9), DAY).await, known(other));
}

pub(super) async fn old_requests_are_forgotten_so_many_at_a_time<S: Store>(store: &S) {
    for caller in 1..=3 {
        claim(store, &request(caller, caller), DAY).await;
    }
    in_tx!(store, tx => {
        let now = tx.now().await.unwrap();
        assert_eq!(tx.delete_requests_before(now - DAY, 10).await.unwrap(), 0);
        assert_eq!(tx.delete_requests_before(now + DAY, 2).await.unwrap(), 2);
        assert_eq!(tx.delete_requests_before(now + DAY, 2).await.unwrap(), 1);
    });
    assert_eq!(claimed(store, &request(1, 9), DAY).await, new(request(1, 9)));
}
