//! A round goes on until enough was done in it, and says what was not: one in which nothing failed, or nobody was served, shows
//! nothing.

mod enough;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub use self::enough::{missed, too_seldom, unjudged};
use crate::driver::Driver;
use crate::round::Plan;

/// For so long a round goes on in which something was not yet done often enough.
const GOES_ON: Duration = Duration::from_mins(1);

/// Until a round that began at that time has lasted as long as it is to. On a machine that does other things clients come to
/// little in that time, so it goes on for a while; one with a deliberate defect is over when that shows.
pub async fn lasts(plan: &Plan, driver: &Driver, begun: Instant) {
    let waited = Instant::now();
    loop {
        let is_over = begun.elapsed() >= plan.lasts;
        let is_done = if let Some(mutant) = plan.defect {
            is_over || mutant.shows_in(&driver.history()).is_some()
        } else {
            let is_late = waited.elapsed() >= GOES_ON;
            is_over && (is_late || too_seldom(plan, &driver.history()).is_empty())
        };
        if is_done {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
}
