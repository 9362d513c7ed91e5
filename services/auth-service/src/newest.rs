//! The number of the newest change of an account that this process knows of, and waiting for a newer one.
//!
//! It rises, but for a database that went back: a standby that took over without the last changes.
//!
//! Who finds it out is the store's to say; knows no engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// Readers of a quiet feed look again so often; they send a checkpoint then.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The number. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest(Arc<watch::Sender<i64>>);

impl Newest {
    /// Takes notice of a change and wakes who waits for it; says whether it is news.
    pub(crate) fn raise(&self, number: i64) -> bool {
        self.0.send_if_modified(|newest| number > std::mem::replace(newest, number.max(*newest)))
    }

    /// The number.
    pub(crate) fn get(&self) -> i64 {
        *self.0.borrow()
    }

    /// Takes notice of a database that went back from this number.
    pub(crate) fn fall_back(&self, from: i64, to: i64) {
        self.0.send_if_modified(|newest| {
            let went_back = *newest == from && to < from;
            if went_back {
                *newest = to;
            }
            went_back
        });
    }

    /// Waits for a change after `number`, but not for long.
    pub(crate) async fn wait_beyond(&self, number: i64) {
        let _ = timeout(LONGEST_WAIT, self.0.subscribe().wait_for(|newest| *newest > number)).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::Newest;

    #[tokio::test]
    async fn a_database_that_went_back_is_waited_for_where_it_is() {
        let newest = Newest::default();
        assert!(newest.raise(7) && !newest.raise(5));
        newest.fall_back(6, 5);
        assert_eq!(newest.get(), 7, "somebody has gone on since the 6 was read");
        newest.fall_back(7, 5);
        assert_eq!(newest.get(), 5);
        assert!(newest.raise(6));
        assert!(newest.wait_beyond(5).now_or_never().is_some());
        assert!(newest.wait_beyond(6).now_or_never().is_none());
    }
}
