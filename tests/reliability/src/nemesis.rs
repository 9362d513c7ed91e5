//! Breaks things, by a schedule that a seed makes, and mends them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use e2e::Service;
use futures::future::join_all;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use tokio::time::{Instant, sleep};

use crate::driver::{By, Driver, Patience};
use crate::site::{Site, Store};
use crate::workload::Client;
use crate::world::{Held, World};

/// What is not back after so long never will be.
const GIVES_UP: Duration = Duration::from_secs(60);

/// Something that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process of auth-service dies, and another is started in its place.
    KillAuth,
    /// A process of users-service dies, and another is started in its place.
    KillUsers,
    /// All processes die at once.
    KillEverything,
    /// A process of auth-service is asked to end, and another is started in its place.
    TerminateAuth,
    /// A process of users-service is asked to end, and another is started in its place.
    TerminateUsers,
    /// Somebody else writes to auth-service's database for a while.
    OccupyAuth,
    /// Somebody else writes to users-service's database for a while.
    OccupyUsers,
    /// The server of PostgreSQL dies and is started again.
    CrashDatabase,
    /// The server of PostgreSQL stops in its tracks and goes on.
    FreezeDatabase,
}

impl Fault {
    /// What can fail where data is kept there.
    #[must_use]
    pub fn of(store: Store) -> Vec<Self> {
        let mut faults = vec![
            Self::KillAuth,
            Self::KillUsers,
            Self::KillEverything,
            Self::TerminateAuth,
            Self::TerminateUsers,
            Self::OccupyAuth,
            Self::OccupyUsers,
        ];
        if store == Store::Postgres {
            faults.extend([Self::CrashDatabase, Self::FreezeDatabase]);
        }
        faults
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillAuth => "auth-service killed",
            Self::KillUsers => "users-service killed",
            Self::KillEverything => "everything killed at once",
            Self::TerminateAuth => "auth-service terminated",
            Self::TerminateUsers => "users-service terminated",
            Self::OccupyAuth => "auth-service's tables locked",
            Self::OccupyUsers => "users-service's tables locked",
            Self::CrashDatabase => "PostgreSQL crashed",
            Self::FreezeDatabase => "PostgreSQL frozen",
        })
    }
}

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

/// So many faults, each of which may be any of these.
#[must_use]
pub fn schedule(rng: &mut StdRng, faults: &[Fault], count: usize, replicas: usize) -> Vec<Step> {
    let mut steps = Vec::with_capacity(count);
    for _ in 0..count {
        let Some(fault) = faults.choose(rng).copied() else { break };
        steps.push(Step {
            pause: Duration::from_millis(rng.random_range(100..700)),
            fault,
            replica: rng.random_range(0..replicas),
            hold: Duration::from_millis(rng.random_range(0..1200)),
        });
    }
    steps
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
        Fault::KillAuth => kill(site, Service::Auth, replica, hold).await,
        Fault::KillUsers => kill(site, Service::Users, replica, hold).await,
        Fault::KillEverything => {
            site.processes.kill(Service::Users).await;
            site.processes.kill(Service::Auth).await;
            sleep(hold).await;
            site.processes.run(Service::Auth, None).await;
            site.processes.run(Service::Users, None).await;
        }
        Fault::TerminateAuth => terminate(site, Service::Auth, replica, hold).await,
        Fault::TerminateUsers => terminate(site, Service::Users, replica, hold).await,
        Fault::OccupyAuth => occupy(site, Service::Auth, hold).await,
        Fault::OccupyUsers => occupy(site, Service::Users, hold).await,
        Fault::CrashDatabase => {
            let cluster = site.cluster().expect("there is a server");
            cluster.crash().await;
            sleep(hold).await;
            cluster.start_again().await;
        }
        Fault::FreezeDatabase => {
            let cluster = site.cluster().expect("there is a server");
            cluster.freeze().await;
            sleep(hold).await;
            cluster.thaw().await;
        }
    }
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

async fn occupy(site: &Site, service: Service, hold: Duration) {
    let lock = site.processes.data().occupy(service).await;
    sleep(hold).await;
    drop(lock);
}

/// How long it takes until each process of each service lets the watchman in.
async fn recovery(driver: &Arc<Driver>, world: &Arc<World>, watchman: &Held) -> Vec<Option<Duration>> {
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
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_seed_makes_the_same_schedule_again() {
        let faults = Fault::of(Store::Postgres);
        let made = |seed| schedule(&mut StdRng::seed_from_u64(seed), &faults, 20, 2);
        assert_eq!(made(7), made(7));
        assert_ne!(made(7), made(8));
        assert!(made(7).iter().any(|step| step.replica == 1));
    }
}
