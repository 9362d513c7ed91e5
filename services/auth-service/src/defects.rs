//! What the deliberate defects need beyond a line where they act. Nothing here is called without [`fail_point::mutant`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use auth_core::domain::StoredAccount;
use grpc_kit::call;

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

/// As the call has read it, if its caller has gone; otherwise as it is.
pub(crate) fn as_read_before(found: Option<StoredAccount>) -> Option<StoredAccount> {
    let call = call::current().filter(|_| call::is_abandoned());
    call.and_then(|call| of_calls().get(&call.request_id).cloned()).or(found)
}
