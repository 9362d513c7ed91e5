//! A pause in which nobody calls and nothing fails, until it is seen that no process has anything under way. What was asked for
//! before and never heard of has happened by then, or never will.
//!
//! Sound because of where such a thing can be. In a process it is a call or a unit of work, which both count until they have
//! ended, whoever has left (`grpc_server_started_total`, `grpc_server_handled_total`, `tandem_units_of_work`); and a process
//! that answers what it counts has read what was sent to it, or has when it is asked again. On a way, or before a process or a
//! server that stood still, it is for as long as the fault lasts: then it comes through at once. On the server of the databases
//! a commit that was sent by a process which died is done as soon as that.

use std::time::Duration;

use e2e::{Scrape, Service};
use tokio::time::sleep;

use crate::driver::Driver;
use crate::history::{Answer, Call, Does, Outcome, Who};
use crate::site::Site;

/// What is under way has so long to end before the clients go on. Most of it does at once, now that nothing fails.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long it is before the first look: what a way has held comes through as soon as that is mended, on a machine that does
/// other things too.
const COMES_THROUGH: Duration = Duration::from_millis(200);
/// So often it is looked at.
const LOOKS: usize = 20;
/// So long is between two looks. Both of two in a row must show nothing: a process may not have read everything at the first.
const BETWEEN: Duration = Duration::from_millis(50);

/// Lets everything come to its end, and notes when it had. To be called when all is mended and was seen to do its work. Where
/// it does not come to its end soon nothing is noted.
pub async fn rest(site: &Site, driver: &Driver) {
    let Some(_nobody_calls) = driver.nobody_calls(PATIENCE).await else { return };
    let start = driver.now();
    sleep(COMES_THROUGH).await;
    let mut was_idle = false;
    for _ in 0..LOOKS {
        let is_idle = is_idle(site).await;
        if is_idle && was_idle {
            let nothing = Outcome::Ok(Box::<Answer>::default());
            driver.note(start, Call::new(Does::Rest, Who::Operator), nothing);
            return;
        }
        was_idle = is_idle;
        sleep(BETWEEN).await;
    }
}

async fn is_idle(site: &Site) -> bool {
    for service in [Service::Auth, Service::Users] {
        for replica in 0..site.store.replicas() {
            let page = Scrape::of(site.processes.ops_of(service, replica)).await;
            if under_way(&page) != Some(0.0) {
                return false;
            }
        }
    }
    true
}

/// How many calls and units of work; `None` where the page does not say.
fn under_way(page: &Scrape) -> Option<f64> {
    let unary = [("grpc_type", "unary")];
    let started = page.value("grpc_server_started_total", &unary)?;
    let handled = page.value("grpc_server_handled_total", &unary)?;
    Some((started - handled).abs() + page.value("tandem_units_of_work", &[])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(handled: u32, units: u32) -> Scrape {
        let counted = |name: &str, count: u32| {
            format!(
                "# HELP grpc_server_{name}_total Calls.\n# TYPE grpc_server_{name}_total counter\n\
                 grpc_server_{name}_total{{grpc_type=\"unary\"}} {count}\n\
                 grpc_server_{name}_total{{grpc_type=\"server_stream\"}} 1\n"
            )
        };
        let units = format!(
            "# HELP tandem_units_of_work Units of work.\n# TYPE tandem_units_of_work gauge\n\
             tandem_units_of_work {units}\n"
        );
        Scrape::parse([counted("started", 7), counted("handled", handled), units].concat())
    }

    #[test]
    fn a_call_and_a_unit_of_work_that_nobody_waits_for_are_under_way() {
        assert_eq!(under_way(&page(7, 0)), Some(0.0));
        assert_eq!(under_way(&page(6, 0)), Some(1.0));
        assert_eq!(under_way(&page(7, 2)), Some(2.0));
        assert_eq!(under_way(&Scrape::parse(String::new())), None);
    }
}
