//! Breaks things, by a schedule that a seed makes, and mends them.

mod fault;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use e2e::{Commits, Data, Mode, Service, Way};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

pub use self::fault::{Fault, Trouble};
use crate::driver::{By, Driver, Patience};
use crate::site::Site;
use crate::workload::Client;
use crate::world::{Held, World};

/// What is not back after so long never will be.
const GIVES_UP: Duration = Duration::from_mins(1);

/// A step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long nothing fails before.
    pub pause: Duration,
    /// What fails.
    pub fault: Fault,
    /// Which process of those that it may be.
    pub replica: usize,
    /// For how long.
    pub hold: Duration,
}

/// A fault that was, and how long each process of each service took to be of use again after it.
#[derive(Clone, Debug)]
pub struct Injected {
    /// Which.
    pub fault: Fault,
    /// Of each process; `None` if it was of no use in the end.
    pub recovered: Vec<Option<Duration>>,
}

/// So many faults. Consecutive seeds go through all of these in turn, so that a few rounds have had them all.
#[must_use]
pub fn schedule(seed: u64, faults: &[Fault], count: usize, replicas: usize) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let first = usize::try_from(seed % 10_000).unwrap_or_default() * count;
    let chosen = faults.iter().cycle().skip(first % faults.len().max(1)).take(if faults.is_empty() {
        0
    } else {
        count
    });
    let mut chosen: Vec<Fault> = chosen.copied().collect();
    chosen.shuffle(&mut rng);
    let steps = chosen.into_iter().map(|fault| Step {
        pause: Duration::from_millis(rng.random_range(100..600)),
        fault,
        replica: rng.random_range(0..replicas),
        hold: Duration::from_millis(rng.random_range(100..1500)),
    });
    steps.collect()
}

/// Goes through a schedule. The watchman's token is one that nobody takes away: by it is seen when things are well again.
pub async fn torment(
    site: &mut Site,
    steps: &[Step],
    driver: &Arc<Driver>,
    world: &Arc<World>,
    watchman: &Held,
) -> Vec<Injected> {
    let mut injected = Vec::new();
    for step in steps {
        sleep(step.pause).await;
        // Boxed: what starts processes is large.
        Box::pin(inject(site, step)).await;
        let recovered = recovery(driver, world, watchman).await;
        injected.push(Injected { fault: step.fault, recovered });
    }
    injected
}

async fn inject(site: &mut Site, step: &Step) {
    let Step { fault, replica, hold, .. } = *step;
    match fault {
        Fault::Kill(service) => kill(site, service, replica, hold).await,
        Fault::KillEverything => kill_everything(site, hold).await,
        Fault::Terminate(service) => terminate(site, service, replica, hold).await,
        Fault::Freeze(service) => {
            site.processes.freeze_one(service, replica).await;
            sleep(hold).await;
            site.processes.thaw_one(service, replica);
        }
        Fault::DieInTheFeed => {
            site.processes.kill(Service::Users).await;
            site.processes.run(Service::Users, Some("apply_feed.moved")).await;
            site.processes.died(Service::Users).await;
            site.processes.run(Service::Users, None).await;
        }
        Fault::Link(way, trouble) => cut_off(site, way, trouble, replica, hold).await,
        Fault::LoseCommits(service, cut) => {
            let proxy = site.processes.proxy(Way::ToDatabase(service), replica);
            proxy.cut_commits(cut, Commits::Every);
            sleep(hold).await;
            proxy.cut_commits(cut, Commits::None);
        }
        Fault::Occupy(service) => hold_while(site.processes.data().occupy(service).await, hold).await,
        Fault::Withhold(service) => hold_while(site.processes.data().withhold(service).await, hold).await,
        Fault::CutConnections(service) => {
            site.processes.data().cut_connections(service).await;
        }
        Fault::FullConnectionTable => {
            let places = server(site).take_every_connection().await;
            hold_while(places, hold).await;
        }
        Fault::FullDisk(service) => fill_disk(site, service, replica, hold).await,
        Fault::CrashDatabase => {
            server(site).crash().await;
            sleep(hold).await;
            server(site).start_again().await;
        }
        Fault::FreezeDatabase => {
            server(site).freeze().await;
            sleep(hold).await;
            server(site).thaw().await;
        }
        Fault::MoveClock(service) => {
            let seconds = if hold.as_millis() % 2 == 0 { 20 } else { -20 };
            site.processes.move_clock(service, replica, TimeDelta::seconds(seconds));
            sleep(hold).await;
            site.processes.move_clock(service, replica, TimeDelta::zero());
        }
    }
}

fn server(site: &Site) -> &e2e::Cluster {
    site.cluster().expect("there is a server")
}

async fn hold_while<T>(something: T, hold: Duration) {
    sleep(hold).await;
    drop(something);
}

async fn cut_off(site: &Site, way: Way, trouble: Trouble, replica: usize, hold: Duration) {
    let proxy = site.processes.proxy(way, replica);
    proxy.set(trouble.mode()).await;
    // Long enough for a deadline to pass now and then.
    sleep(hold * 2).await;
    if trouble == Trouble::Loss {
        proxy.abandon().await;
    }
    proxy.set(Mode::Pass).await;
}

/// A file system that is full, or where there is one file for each service, files that may not grow.
async fn fill_disk(site: &mut Site, service: Service, replica: usize, hold: Duration) {
    if let Some(cluster) = site.cluster() {
        cluster.fill_disk().await;
        sleep(hold).await;
        cluster.empty_disk().await;
    } else {
        debug_assert!(matches!(site.processes.data(), Data::Sqlite(_)));
        site.processes.limit_file_size(service, replica, Some(0));
        sleep(hold).await;
        site.processes.limit_file_size(service, replica, None);
    }
}

async fn kill_everything(site: &mut Site, hold: Duration) {
    site.processes.kill(Service::Users).await;
    site.processes.kill(Service::Auth).await;
    sleep(hold).await;
    site.processes.run(Service::Auth, None).await;
    site.processes.run(Service::Users, None).await;
}

async fn kill(site: &mut Site, service: Service, replica: usize, hold: Duration) {
    site.processes.kill_one(service, replica).await;
    sleep(hold).await;
    site.processes.run(service, None).await;
}

async fn terminate(site: &mut Site, service: Service, replica: usize, hold: Duration) {
    site.processes.end_one(service, replica).await;
    sleep(hold).await;
    site.processes.run(service, None).await;
}

/// How long it takes until each process of each service lets the watchman in.
pub async fn recovery(driver: &Arc<Driver>, world: &Arc<World>, watchman: &Held) -> Vec<Option<Duration>> {
    let places =
        (0..driver.replicas()).flat_map(|replica| [(replica, Service::Auth), (replica, Service::Users)]);
    let waiting = places.map(|(replica, service)| async move {
        let mut client = Client::new(driver, world, 0);
        let begun = Instant::now();
        let patience = Patience::Deadline(Duration::from_secs(2));
        let by = By { replica, token: Some(&watchman.token), patience };
        while begun.elapsed() < GIVES_UP {
            let is_back = match service {
                Service::Auth => client.read_session(by, watchman).await,
                Service::Users => client.read_user(by, watchman).await,
            };
            if is_back {
                return Some(begun.elapsed());
            }
            sleep(Duration::from_millis(10)).await;
        }
        None
    });
    join_all(waiting).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Store;

    #[test]
    fn a_seed_makes_the_same_schedule_again() {
        let faults = Fault::of(Store::Postgres);
        let made = |seed| schedule(seed, &faults, 20, 2);
        assert_eq!(made(7), made(7));
        assert_ne!(made(7), made(8));
        assert!(made(7).iter().any(|step| step.replica == 1));
    }

    #[test]
    fn rounds_after_one_another_have_every_fault() {
        for store in [Store::Sqlite, Store::Postgres] {
            let faults = Fault::of(store);
            let rounds = u64::try_from(faults.len().div_ceil(10)).unwrap();
            let had: Vec<Fault> = (40..40 + rounds)
                .flat_map(|seed| schedule(seed, &faults, 10, 1))
                .map(|step| step.fault)
                .collect();
            assert!(faults.iter().all(|fault| had.contains(fault)), "{store:?}");
        }
    }
}
