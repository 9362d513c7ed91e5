//! Requests that may be repeated.

use chrono::TimeDelta;
use identity::RequestId;
use users_core::domain::Role;
use users_core::ports::{Requests as _, Store, StoredRequest, Transaction as _};

use super::{id, in_tx};

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

pub(super) async fn a_request_is_found_by_its_caller_and_mark_only<S: Store>(store: &S) {
    in_tx!(store, tx => tx.insert_request(&request(1, 7)).await.unwrap());
    in_tx!(store, tx => {
        let past = tx.now().await.unwrap() - TimeDelta::hours(1);
        assert_eq!(tx.find_request(id(1), mark(1), past).await.unwrap(), Some(request(1, 7)));
        assert_eq!(tx.find_request(id(2), mark(1), past).await.unwrap(), None);
        assert_eq!(tx.find_request(id(1), mark(2), past).await.unwrap(), None);
    });
}

pub(super) async fn a_request_is_forgotten_for_its_own_user_only<S: Store>(store: &S) {
    in_tx!(store, tx => tx.insert_request(&request(1, 7)).await.unwrap());
    in_tx!(store, tx => {
        let past = tx.now().await.unwrap() - TimeDelta::hours(1);
        tx.forget_request(&request(1, 8)).await.unwrap();
        assert_eq!(tx.find_request(id(1), mark(1), past).await.unwrap(), Some(request(1, 7)));
        tx.forget_request(&request(1, 7)).await.unwrap();
        assert_eq!(tx.find_request(id(1), mark(1), past).await.unwrap(), None);
    });
}

pub(super) async fn old_requests_are_neither_found_nor_kept<S: Store>(store: &S) {
    in_tx!(store, tx => tx.insert_request(&request(1, 7)).await.unwrap());
    in_tx!(store, tx => {
        let now = tx.now().await.unwrap();
        let (past, future) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
        assert_eq!(tx.find_request(id(1), mark(1), future).await.unwrap(), None);
        tx.insert_request(&request(1, 8)).await.unwrap();
        assert_eq!(tx.find_request(id(1), mark(1), past).await.unwrap(), Some(request(1, 8)), "in its place");
        tx.delete_requests_before(past).await.unwrap();
        assert!(tx.find_request(id(1), mark(1), past).await.unwrap().is_some());
        tx.delete_requests_before(future).await.unwrap();
        assert_eq!(tx.find_request(id(1), mark(1), past).await.unwrap(), None);
    });
}
