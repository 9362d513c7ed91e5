//! What the service measures besides its calls: its connections, and how far it is behind the account feed. All of it
//! is there from the start, and nothing of it is labelled by a user.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fail_point::mutant;
use grpc_kit::Shutdown;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::time::{Instant, sleep};

use crate::engine::ServedStore;

/// What the service's database is called in metrics.
pub(crate) const DATABASE: &str = "users";

/// How often what can only be looked at is looked at.
const INTERVAL: Duration = Duration::from_secs(5);

const LAG: &str = "tandem_feed_lag_seconds";
const CONNECTED: &str = "tandem_feed_connected";
const APPLIED: &str = "tandem_feed_accounts_total";

/// Where this process is in the account feed. Clones are the same one.
///
/// One process of all replicas follows the feed. In the others there is no lag, so that the most of all is how far the
/// service is behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct FeedPosition(Arc<Mutex<Position>>);

#[derive(Debug, Default)]
struct Position {
    connected: bool,
    /// When everything had been applied the last time, or since when it is this process that has to.
    complete: Option<Instant>,
}

impl FeedPosition {
    /// It is this process that follows the feed.
    pub(crate) fn leads(&self) {
        self.position().complete.get_or_insert_with(Instant::now);
    }

    /// It is another one.
    pub(crate) fn follows_nothing(&self) {
        *self.position() = Position::default();
    }

    /// The stream is open, or is not any more.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.position().connected = connected;
    }

    /// So many accounts were applied, and, at a checkpoint, with them everything that there was.
    pub(crate) fn applied(&self, accounts: usize, is_checkpoint: bool) {
        counter!(APPLIED).increment(u64::try_from(accounts).unwrap_or(u64::MAX));
        if is_checkpoint {
            self.position().complete = Some(Instant::now());
        }
    }

    fn record(&self) {
        let position = self.position();
        let lag = position.complete.map_or(Duration::ZERO, |complete| complete.elapsed());
        gauge!(LAG).set(lag.as_secs_f64());
        gauge!(CONNECTED).set(f64::from(u8::from(position.connected)));
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes everything, and makes it be there.
pub(crate) fn announce() {
    describe_gauge!(
        LAG,
        "Time since everything that had happened to accounts was applied, in seconds; 0 where another replica does it."
    );
    describe_gauge!(
        CONNECTED,
        "Whether this replica follows the account feed: 1 or 0; one of all replicas does."
    );
    describe_counter!(APPLIED, "Accounts of the feed that were applied.");
    counter!(APPLIED).increment(0);
    FeedPosition::default().record();
    database::usage::announce(DATABASE);
}

/// Looks at what can only be looked at, until the shutdown is requested.
pub(crate) async fn run<S: ServedStore>(store: S, feed: FeedPosition, shutdown: Shutdown) {
    loop {
        // A defect: nobody can see a leak.
        if !mutant("measurements.left_out") {
            telemetry::record_process();
        }
        store.connections().iter().for_each(|pool| pool.record(DATABASE));
        feed.record();
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lag_grows_until_a_checkpoint_and_only_where_the_feed_is_followed() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        announce();
        let feed = FeedPosition::default();
        let said = |line: &str| {
            feed.record();
            let page = recorder.handle().render();
            assert!(page.lines().any(|said| said == line), "{line} is not in:\n{page}");
        };
        advance(Duration::from_secs(9)).await;
        said("tandem_feed_lag_seconds 0");
        feed.leads();
        advance(Duration::from_secs(3)).await;
        feed.set_connected(true);
        feed.leads();
        feed.applied(7, false);
        said("tandem_feed_lag_seconds 3");
        said("tandem_feed_connected 1");
        said("tandem_feed_accounts_total 7");
        feed.applied(1, true);
        said("tandem_feed_lag_seconds 0");
        advance(Duration::from_secs(4)).await;
        feed.set_connected(false);
        said("tandem_feed_lag_seconds 4");
        said("tandem_feed_connected 0");
        feed.follows_nothing();
        said("tandem_feed_lag_seconds 0");
    }
}
