//! Breaks things, by a schedule that a seed makes, and mends them.

mod fault;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use e2e::{Commits, Cut, Data, Mode, Service, Way};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

pub use self::fault::{Fault, Trouble, name};
pub use self::watch::{Watch, recovery};
use crate::checker::Check;
use crate::driver::Driver;
use crate::site::Site;
use crate::world::World;

/// What did not come to pass after so long, however many calls there are, did not.
const COMES_TO_PASS: Duration = Duration::from_secs(10);

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
    /// Whether there was one: a commit that was cut, a connection that was ended.
    pub is_met: bool,
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

/// What came of a fault.
struct Over {
    /// When its mending began: what starts processes and servers again is part of the time to recover.
    at: Instant,
    is_met: bool,
}

impl Over {
    /// It begins to be mended now.
    fn now() -> Self {
        Self { at: Instant::now(), is_met: true }
    }
}

/// Goes through a schedule, and sees after each fault how long it takes until things are well again.
pub async fn torment(
    site: &mut Site,
    steps: &[Step],
    driver: &Arc<Driver>,
    world: &Arc<World>,
    watch: &Watch,
) -> Vec<Injected> {
    let mut injected = Vec::new();
    for step in steps {
        sleep(step.pause).await;
        // Boxed: what starts processes is large.
        let over = Box::pin(inject(site, step)).await;
        let recovered = recovery(driver, world, watch, over.at).await;
        injected.push(Injected { fault: step.fault, is_met: over.is_met, recovered });
    }
    injected
}

async fn inject(site: &mut Site, step: &Step) -> Over {
    let Step { fault, replica, hold, .. } = *step;
    match fault {
        Fault::Kill(service) => kill(site, service, replica, hold).await,
        Fault::KillEverything => kill_everything(site, hold).await,
        Fault::Terminate(service) => terminate(site, service, replica, hold).await,
        Fault::Freeze(service) => {
            site.processes.freeze_one(service, replica).await;
            sleep(hold).await;
            let over = Over::now();
            site.processes.thaw_one(service, replica);
            over
        }
        Fault::DieInTheFeed => die_in_the_feed(site).await,
        Fault::Link(way, trouble) => cut_off(site, way, trouble, replica, hold).await,
        Fault::LoseCommits(service, cut) => lose_commits(site, service, cut, replica, hold).await,
        Fault::Occupy(service) => hold_while(site.processes.data().occupy(service).await, hold).await,
        Fault::Withhold(service) => hold_while(site.processes.data().withhold(service).await, hold).await,
        Fault::CutConnections(service) => cut_connections(site, service).await,
        Fault::FullConnectionTable => {
            let places = server(site).take_every_connection().await;
            hold_while(places, hold).await
        }
        Fault::FullDisk(service) => fill_disk(site, service, replica, hold).await,
        Fault::CrashDatabase => {
            server(site).crash().await;
            sleep(hold).await;
            let over = Over::now();
            server(site).start_again().await;
            over
        }
        Fault::FreezeDatabase => {
            server(site).freeze().await;
            sleep(hold).await;
            let over = Over::now();
            server(site).thaw().await;
            over
        }
        Fault::MoveClock(service) => {
            let seconds = if hold.as_millis() % 2 == 0 { 20 } else { -20 };
            site.processes.move_clock(service, replica, TimeDelta::seconds(seconds));
            sleep(hold).await;
            let over = Over::now();
            site.processes.move_clock(service, replica, TimeDelta::zero());
            over
        }
    }
}

fn server(site: &Site) -> &e2e::Cluster {
    site.cluster().expect("there is a server")
}

async fn hold_while<T>(something: T, hold: Duration) -> Over {
    sleep(hold).await;
    let over = Over::now();
    drop(something);
    over
}

async fn cut_off(site: &Site, way: Way, trouble: Trouble, replica: usize, hold: Duration) -> Over {
    let proxy = site.processes.proxy(way, replica);
    proxy.set(trouble.mode()).await;
    // Long enough for a deadline to pass now and then.
    sleep(hold * 2).await;
    let over = Over::now();
    if trouble == Trouble::Loss {
        proxy.abandon().await;
    }
    proxy.set(Mode::Pass).await;
    over
}

/// Goes on until a commit was met: a process that nobody asks to change anything has none for a while.
async fn lose_commits(site: &Site, service: Service, cut: Cut, replica: usize, hold: Duration) -> Over {
    let proxy = site.processes.proxy(Way::ToDatabase(service), replica);
    let before = proxy.passed().cut;
    let begun = Instant::now();
    proxy.cut_commits(cut, Commits::Every);
    sleep(hold).await;
    while proxy.passed().cut == before && begun.elapsed() < COMES_TO_PASS {
        sleep(Duration::from_millis(10)).await;
    }
    let over = Over { is_met: proxy.passed().cut > before, ..Over::now() };
    proxy.cut_commits(cut, Commits::None);
    over
}

async fn cut_connections(site: &Site, service: Service) -> Over {
    let begun = Instant::now();
    loop {
        let over = Over::now();
        let is_met = site.processes.data().cut_connections(service).await > 0;
        if is_met || begun.elapsed() > COMES_TO_PASS {
            return Over { is_met, ..over };
        }
    }
}

/// A file system that is full, or where there is one file for each service, files that may not grow.
async fn fill_disk(site: &mut Site, service: Service, replica: usize, hold: Duration) -> Over {
    if let Some(cluster) = site.cluster() {
        cluster.fill_disk().await;
        sleep(hold).await;
        let over = Over::now();
        cluster.empty_disk().await;
        over
    } else {
        debug_assert!(matches!(site.processes.data(), Data::Sqlite(_)));
        site.processes.limit_file_size(service, replica, Some(0));
        sleep(hold).await;
        let over = Over::now();
        site.processes.limit_file_size(service, replica, None);
        over
    }
}

async fn die_in_the_feed(site: &mut Site) -> Over {
    site.look_at_all_of(Service::Users).await;
    site.processes.kill(Service::Users).await;
    site.processes.run(Service::Users, Some("apply_feed.moved")).await;
    let died = site.processes.died(Service::Users).await;
    let over = Over { is_met: !died.success(), ..Over::now() };
    site.processes.run(Service::Users, None).await;
    over
}

async fn kill_everything(site: &mut Site, hold: Duration) -> Over {
    for service in [Service::Users, Service::Auth] {
        site.look_at_all_of(service).await;
        site.processes.kill(service).await;
    }
    sleep(hold).await;
    let over = Over::now();
    site.processes.run(Service::Auth, None).await;
    site.processes.run(Service::Users, None).await;
    over
}

async fn kill(site: &mut Site, service: Service, replica: usize, hold: Duration) -> Over {
    site.look_at(service, replica).await;
    site.processes.kill_one(service, replica).await;
    sleep(hold).await;
    let over = Over::now();
    site.processes.run(service, None).await;
    over
}

async fn terminate(site: &mut Site, service: Service, replica: usize, hold: Duration) -> Over {
    site.look_at(service, replica).await;
    let status = site.processes.end_one(service, replica).await;
    let wrong =
        (!status.success()).then(|| format!("{} was asked to end and ended with {status}", name(service)));
    site.judge(Check::EndsBadly, wrong);
    sleep(hold).await;
    let over = Over::now();
    site.processes.run(service, None).await;
    over
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
