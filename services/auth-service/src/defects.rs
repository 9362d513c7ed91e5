//! What the deliberate defects need beyond a line where they act. Nothing here is called without [`fail_point::mutant`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::domain::StoredAccount;
use auth_core::ports::LockedAccount;
use grpc_kit::call;
use tokio::time::sleep;

/// For about as long as a hash takes, so that another password can be set meanwhile.
const LINGERS: Duration = Duration::from_millis(60);

/// By the request ids of the calls that read them.
static READ: Mutex<BTreeMap<String, StoredAccount>> = Mutex::new(BTreeMap::new());

fn of_calls() -> MutexGuard<'static, BTreeMap<String, StoredAccount>> {
    READ.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An account that a call reads.
pub(crate) fn read(found: Option<StoredAccount>) -> Option<StoredAccount> {
    if let (Some(call), Some(account)) = (call::current(), &found) {
        of_calls().insert(call.request_id, account.clone());
    }
    found
}

/// Lets some time go by in a call that has read an account: for others to change it, and for its caller to go.
pub(crate) async fn linger() {
    let is_one = call::current().is_some_and(|call| of_calls().contains_key(&call.request_id));
    if is_one {
        sleep(LINGERS).await;
    }
}

/// As the call has read it, if its caller has gone; otherwise as it is.
pub(crate) fn as_read_before(found: Option<LockedAccount>) -> Option<LockedAccount> {
    let call = call::current().filter(|_| call::is_abandoned());
    let read = call.and_then(|call| of_calls().get(&call.request_id).cloned());
    found.map(|locked| LockedAccount { stored: read.unwrap_or(locked.stored), now: locked.now })
}
