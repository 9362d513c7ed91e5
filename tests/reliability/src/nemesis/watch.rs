//! When things are well again, as somebody sees who reads and writes through every process.

use std::sync::Arc;
use std::time::Duration;

use e2e::Service;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::driver::{By, Driver, Patience};
use crate::history::Outcome;
use crate::workload::Client;
use crate::world::{Held, World};

/// What is not back after so long never will be. The longest that anything may take is 14 s, of a database whose host is gone
/// (`docs/reliability.md`); twice that, for machines that do other things, and the deadline of the last call.
const GIVES_UP: Duration = Duration::from_secs(30);

/// Those by whom it is seen: nobody else calls on them.
#[derive(Clone, Debug)]
pub struct Watch {
    /// An admin whose session nobody ends.
    pub watchman: Held,
    /// Somebody for each process of users-service, who is inactivated and reactivated through it.
    pub wards: Vec<String>,
}

/// How long it takes, from a moment on, until each process of each service is of use again: until it reads and has committed
/// a change. `None` for one that was of no use in the end.
///
/// Through auth-service that is a renewal of the watchman's session. Through users-service it is an inactivation and a
/// reactivation, one of which at least is a change whatever came of those before: it is written by auth-service's process
/// behind it, and then by users-service.
pub async fn recovery(
    driver: &Arc<Driver>,
    world: &Arc<World>,
    watch: &Watch,
    since: Instant,
) -> Vec<Option<Duration>> {
    let places =
        (0..driver.replicas()).flat_map(|replica| [(replica, Service::Auth), (replica, Service::Users)]);
    let waiting = places.map(|(replica, service)| async move {
        let mut client = Client::new(driver, world, 0);
        let Watch { watchman, wards } = watch;
        let patience = Patience::Deadline(Duration::from_secs(2));
        // By the proxy that stands before it, so that it counts as well when that way is back.
        let way = replica + driver.replicas();
        let by = By { replica: way, token: Some(&watchman.token), patience };
        let begun = Instant::now();
        while begun.elapsed() < GIVES_UP {
            let is_back = match service {
                Service::Auth => client.read_session(by, watchman).await && client.renew(by, watchman).await,
                Service::Users => {
                    let ward = &wards[replica];
                    client.read_user(by, watchman).await
                        && match client.switch_off_and_on(by, watchman, ward).await {
                            Ok(()) => true,
                            // For good: the checker says why that must not be.
                            Err(Outcome::Denied(_)) => return None,
                            Err(_) => false,
                        }
                }
            };
            if is_back {
                return Some(since.elapsed());
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    });
    // Boxed: a call is large, and there are many.
    join_all(waiting.map(Box::pin)).await
}
