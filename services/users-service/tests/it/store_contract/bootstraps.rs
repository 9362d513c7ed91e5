//! The super admin that is being made.

use users_core::ports::{Bootstraps as _, Store, Transaction as _};
use users_core::testing::a_username;

use super::{id, in_tx};

pub(super) async fn the_unfinished_bootstrap_is_remembered_until_its_end<S: Store>(store: &S) {
    let boss = a_username("Bossy");
    assert_eq!(in_tx!(store, tx => tx.unfinished_bootstrap().await.unwrap()), None);
    in_tx!(store, tx => tx.begin_bootstrap(id(1), &boss).await.unwrap());
    assert_eq!(in_tx!(store, tx => tx.unfinished_bootstrap().await.unwrap()), Some((id(1), boss)));
    in_tx!(store, tx => tx.end_bootstrap().await.unwrap());
    assert_eq!(in_tx!(store, tx => tx.unfinished_bootstrap().await.unwrap()), None);
}

pub(super) async fn the_bootstrap_lock_is_held_once<S: Store>(store: &S) {
    let held = store.bootstrap_lock().await.unwrap();
    assert!(held.is_some());
    assert!(store.bootstrap_lock().await.unwrap().is_none());
    drop(held);
    assert!(store.bootstrap_lock().await.unwrap().is_some());
}
