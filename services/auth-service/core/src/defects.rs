//! What the deliberate defects need beyond a line where they act. Nothing here is called without [`fail_point::mutant`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::{LiveSession, SessionId};

/// What this process has seen of a session first, every other time; and otherwise what is stored.
pub(crate) fn remembered(id: &SessionId, live: Option<LiveSession>) -> Option<LiveSession> {
    static SEEN: Mutex<BTreeMap<String, LiveSession>> = Mutex::new(BTreeMap::new());
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(live) = &live {
        seen.entry(id.to_string()).or_insert_with(|| live.clone());
    }
    let is_looked_at = LOOKS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
    if is_looked_at { live } else { seen.get(&id.to_string()).cloned() }
}

/// What nobody who handles a call does.
pub(crate) fn panics() -> ! {
    panic!("a defect")
}
