//! Ids that were given out.

use chrono::TimeDelta;
use identity::RequestId;
use users_core::domain::Role;
use users_core::ports::{Requests as _, Reservations as _, Store, StoredRequest, Transaction as _};

use super::{account, apply, find, id, in_tx};

pub(super) async fn a_reservation_is_no_user_and_gives_its_role_to_the_account<S: Store>(store: &S) {
    in_tx!(store, tx => tx.reserve(id(1), Role::Admin).await.unwrap());
    assert_eq!(find(store, id(1)).await, None);
    let user = apply(store, &account(1, "alice", "e1", 1)).await;
    assert_eq!((user.role, user.role_version), (Role::Admin, 1));
    in_tx!(store, tx => {
        let future = tx.now().await.unwrap() + TimeDelta::days(1);
        assert_eq!(tx.reservations_before(future, 10).await.unwrap(), [], "it is used up");
        tx.reserve(id(1), Role::SuperAdmin).await.unwrap();
        assert_eq!(tx.reservations_before(future, 10).await.unwrap(), [], "a user is not reserved");
    });
}

pub(super) async fn a_reservation_of_a_user_goes_when_its_account_is_applied_again<S: Store>(store: &S) {
    // A reservation that did not see the user yet, because both came at the same time.
    let mut late = store.begin().await.unwrap();
    late.reserve(id(1), Role::Admin).await.unwrap();
    late.commit().await.unwrap();
    let user = apply(store, &account(1, "alice", "e1", 5)).await;
    assert_eq!(user.role, Role::Admin);
    let older = account(1, "alice", "e1", 4);
    assert_eq!(apply(store, &older).await, user);
    in_tx!(store, tx => {
        let future = tx.now().await.unwrap() + TimeDelta::days(1);
        assert_eq!(tx.reservations_before(future, 10).await.unwrap(), []);
    });
}

pub(super) async fn giving_up_takes_the_request_along_but_never_a_user<S: Store>(store: &S) {
    let request = |number| StoredRequest {
        caller: id(9),
        request_id: RequestId::parse(&id(number).to_string()).unwrap(),
        username: "alice".into(),
        role: Role::User,
        user_id: id(number),
    };
    for number in [1, 2] {
        in_tx!(store, tx => {
            tx.claim_request(&request(number), TimeDelta::days(1)).await.unwrap();
            tx.reserve(id(number), Role::User).await.unwrap();
        });
    }
    apply(store, &account(1, "alice", "e1", 1)).await;
    in_tx!(store, tx => {
        for (number, is_gone) in [(1, false), (2, true)] {
            tx.give_up(id(number)).await.unwrap();
            let claim = tx.claim_request(&request(number), TimeDelta::days(1)).await.unwrap();
            assert_eq!(claim.is_new, is_gone);
        }
    });
    assert!(find(store, id(1)).await.is_some());
}

pub(super) async fn old_reservations_are_found_and_deleted_only_while_they_are_old<S: Store>(store: &S) {
    for number in 1..=3 {
        in_tx!(store, tx => tx.reserve(id(number), Role::User).await.unwrap());
    }
    in_tx!(store, tx => {
        let now = tx.now().await.unwrap();
        let (past, future) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
        assert_eq!(tx.reservations_before(past, 10).await.unwrap(), []);
        assert_eq!(tx.reservations_before(future, 2).await.unwrap(), [id(1), id(2)]);
        tx.delete_reservation_before(id(1), past).await.unwrap();
        assert_eq!(tx.reservations_before(future, 10).await.unwrap().len(), 3);
        tx.delete_reservation_before(id(1), future).await.unwrap();
        assert_eq!(tx.reservations_before(future, 10).await.unwrap(), [id(2), id(3)]);
    });
}
