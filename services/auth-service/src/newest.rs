//! The number of the newest change of an account that this process knows of, and waiting for a newer one.
//!
//! Who finds it out is the store's to say; knows no engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Readers of a quiet feed look again so often; they send a checkpoint then.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The number, which only rises. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest(Arc<watch::Sender<i64>>);

impl Newest {
    /// Takes notice of a change and wakes who waits for it; says whether it is news.
    pub(crate) fn raise(&self, number: i64) -> bool {
        self.0.send_if_modified(|newest| number > std::mem::replace(newest, number.max(*newest)))
    }

    /// Waits for a change after `number`, but not for long.
    pub(crate) async fn wait_beyond(&self, number: i64) {
        let _ = timeout(LONGEST_WAIT, self.0.subscribe().wait_for(|newest| *newest > number)).await;
    }
}
