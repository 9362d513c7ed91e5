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

fn new(remembered: StoredRequest) -> Claim {
    Claim { remembered, is_new: true }
}

fn known(remembered: StoredRequest) -> Claim {
    Claim { remembered, is_new: false }
}

pub(super) async fn a_mark_stands_for_one_request_of_one_caller<S: Store>(store: &S) {
    assert_eq!(claim(store, &request(1, 7), DAY).await, new(request(1, 7)));
    assert_eq!(claim(store, &request(1, 8), DAY).await, known(request(1, 7)));
    assert_eq!(claim(store, &of_other_content(request(1, 8)), DAY).await, known(request(1, 7)));
    assert_eq!(claim(store, &request(2, 8), DAY).await, new(request(2, 8)));
    let other_mark = StoredRequest { request_id: mark(2), ..request(1, 9) };
    assert_eq!(claim(store, &other_mark, DAY).await, new(other_mark));
}

pub(super) async fn a_released_mark_is_free_for_other_content_and_known_to_a_repeat<S: Store>(store: &S) {
    claim(store, &request(1, 7), DAY).await;
    in_tx!(store, tx => tx.release_request(&request(1, 8)).await.unwrap());
    assert_eq!(claim(store, &request(1, 8), DAY).await, known(request(1, 7)), "it is not this user's");
    in_tx!(store, tx => tx.release_request(&request(1, 7)).await.unwrap());
    assert_eq!(claim(store, &request(1, 8), DAY).await, new(request(1, 7)), "the same id once more");
    in_tx!(store, tx => tx.release_request(&request(1, 7)).await.unwrap());
    let other = of_other_content(request(1, 8));
    assert_eq!(claim(store, &other, DAY).await, new(other.clone()));
    assert_eq!(claim(store, &request(1, 9), DAY).await, known(other));
}

pub(super) async fn an_old_request_gives_way_to_another<S: Store>(store: &S) {
    claim(store, &request(1, 6), DAY).await;
    assert_eq!(claim(store, &request(1, 7), -DAY).await, new(request(1, 7)), "of the same content too");
    let other = of_other_content(request(1, 8));
    assert_eq!(claim(store, &other, -DAY).await, new(other.clone()));
    assert_eq!(claim(store, &request(1, 9), DAY).await, known(other));
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
    assert_eq!(claim(store, &request(1, 9), DAY).await, new(request(1, 9)));
}
