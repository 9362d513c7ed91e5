//! How a fault is brought about, and how it is mended.

use std::time::Duration;

use chrono::TimeDelta;
use e2e::{Cluster, Commits, Cut, Data, Mode, Service, Way};
use tokio::time::{Instant, sleep};

use super::{Blow, Fault, Trouble};
use crate::site::Site;

/// What did not come to pass after so long, however many calls there are, did not.
const COMES_TO_PASS: Duration = Duration::from_secs(10);

/// So many connections of clients are cut, if there are as many.
const CUT_CLIENTS: u64 = 10;
/// So much later than a client has said something, in milliseconds, and each time another of these.
const PAUSES: u64 = 8;

/// What was done and has to be undone.
pub(super) struct Struck {
    pub(super) blow: Blow,
    /// Whether there was something to be done it to.
    pub(super) is_met: bool,
    /// What lasts for as long as this lives.
    _held: Option<Box<dyn Send>>,
}

impl Struck {
    fn met(blow: Blow, is_met: bool) -> Self {
        Self { blow, is_met, _held: None }
    }

    fn while_held(blow: Blow, held: impl Send + 'static) -> Self {
        Self { blow, is_met: true, _held: Some(Box::new(held)) }
    }
}

/// Brings it about, and returns when it is there.
pub(super) async fn strike(site: &mut Site, blow: Blow, hold: Duration) -> Struck {
    let Blow { fault, replica } = blow;
    match fault {
        Fault::Kill(service) => site.kill(service, replica).await,
        Fault::KillEverything => {
            for service in [Service::Users, Service::Auth] {
                site.kill_all_of(service).await;
            }
        }
        Fault::Terminate(service) => site.terminate(service, replica).await,
        Fault::Freeze(service) => site.processes.freeze_one(service, replica).await,
        Fault::DieInTheFeed => return Struck::met(blow, die_in_the_feed(site).await),
        Fault::Link(way, trouble) => site.processes.proxy(way, replica).set(trouble.mode()).await,
        Fault::LoseCommits(service, cut) => {
            return Struck::met(blow, lose_commits(site, service, cut, replica).await);
        }
        Fault::Occupy(service) => {
            return Struck::while_held(blow, site.processes.data().occupy(service).await);
        }
        Fault::Withhold(service) => {
            return Struck::while_held(blow, site.processes.data().withhold(service).await);
        }
        Fault::CutConnections(service) => return Struck::met(blow, cut_connections(site, service).await),
        Fault::CutClients(service) => return Struck::met(blow, cut_clients(site, service, replica).await),
        Fault::FullConnectionTable => {
            return Struck::while_held(blow, server(site).take_every_connection().await);
        }
        Fault::FullDisk(service) => fill_disk(site, service, replica).await,
        Fault::CrashDatabase => server(site).crash().await,
        Fault::FreezeDatabase => server(site).freeze().await,
        Fault::MoveClock(service) => {
            let seconds = if hold.as_millis().is_multiple_of(2) { 20 } else { -20 };
            site.processes.move_clock(service, replica, TimeDelta::seconds(seconds));
        }
    }
    Struck::met(blow, true)
}

/// Undoes it.
pub(super) async fn mend(site: &mut Site, struck: Struck) {
    let Blow { fault, replica } = struck.blow;
    match fault {
        Fault::Kill(service) | Fault::Terminate(service) => site.start_again(service).await,
        Fault::KillEverything => {
            site.start_again(Service::Auth).await;
            site.start_again(Service::Users).await;
        }
        Fault::Freeze(service) => site.processes.thaw_one(service, replica),
        Fault::DieInTheFeed => {
            // Whoever else was to die there would do so some other time.
            site.kill_all_of(Service::Users).await;
            site.start_again(Service::Users).await;
        }
        Fault::Link(way, trouble) => {
            let proxy = site.processes.proxy(way, replica);
            if trouble == Trouble::Loss {
                proxy.abandon().await;
            }
            proxy.set(Mode::Pass).await;
        }
        Fault::LoseCommits(service, cut) => {
            site.processes.proxy(Way::ToDatabase(service), replica).cut_commits(cut, Commits::None);
        }
        Fault::Occupy(_) | Fault::Withhold(_) => drop(struck),
        Fault::CutConnections(_) | Fault::CutClients(_) => {}
        Fault::FullConnectionTable => {
            drop(struck);
            server(site).takes_connections().await;
        }
        Fault::FullDisk(service) => empty_disk(site, service, replica).await,
        Fault::CrashDatabase => server(site).start_again().await,
        Fault::FreezeDatabase => server(site).thaw().await,
        Fault::MoveClock(service) => site.processes.move_clock(service, replica, TimeDelta::zero()),
    }
}

fn server(site: &Site) -> &Cluster {
    site.cluster().expect("there is a server")
}

/// Whichever process has the lease of the feed dies of it; until then nobody else has it, because those before were asked to
/// end, and have let it go.
async fn die_in_the_feed(site: &mut Site) -> bool {
    for number in 0..site.store.replicas() {
        site.terminate(Service::Users, number).await;
    }
    // All of them count as ended until that is mended.
    site.processes.run_to_die(Service::Users, "apply_feed.moved").await;
    site.processes.one_died(Service::Users).await.is_some_and(|status| !status.success())
}

/// Goes on until a commit was met: a process that nobody asks to change anything has none for a while.
async fn lose_commits(site: &Site, service: Service, cut: Cut, replica: usize) -> bool {
    let proxy = site.processes.proxy(Way::ToDatabase(service), replica);
    let before = proxy.passed().cut;
    let begun = Instant::now();
    proxy.cut_commits(cut, Commits::Every);
    while proxy.passed().cut == before && begun.elapsed() < COMES_TO_PASS {
        sleep(Duration::from_millis(10)).await;
    }
    proxy.passed().cut > before
}

async fn cut_connections(site: &Site, service: Service) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < COMES_TO_PASS {
        if site.processes.data().cut_connections(service).await > 0 {
            return true;
        }
    }
    false
}

/// Goes on until so many connections of clients were reset that waited for an answer. As long as it lasts a client has a few
/// milliseconds for each call, of which a hash and a commit take some. One at least was met: while the database is withheld as
/// well, all clients may be waiting for other processes.
async fn cut_clients(site: &Site, service: Service, replica: usize) -> bool {
    let proxy = site.processes.proxy(Way::FromClients(service), replica);
    let before = proxy.passed().severed_unanswered;
    let cut = || proxy.passed().severed_unanswered - before;
    let begun = Instant::now();
    for pause in (0..PAUSES).cycle().take_while(|_| begun.elapsed() < COMES_TO_PASS) {
        if cut() >= CUT_CLIENTS {
            break;
        }
        let said = proxy.passed().requests;
        while proxy.passed().requests == said && begun.elapsed() < COMES_TO_PASS {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(pause)).await;
        proxy.sever().await;
    }
    cut() > 0
}

/// A file system that is full, or where there is one file for each service, files that may not grow.
async fn fill_disk(site: &mut Site, service: Service, replica: usize) {
    if let Some(cluster) = site.cluster() {
        cluster.fill_disk().await;
    } else {
        debug_assert!(matches!(site.processes.data(), Data::Sqlite(_)));
        site.processes.limit_file_size(service, replica, Some(0));
    }
}

async fn empty_disk(site: &mut Site, service: Service, replica: usize) {
    if let Some(cluster) = site.cluster() {
        cluster.empty_disk().await;
        cluster.takes_connections().await;
    } else {
        site.processes.limit_file_size(service, replica, None);
    }
}
