//! The processes of a round, their databases, and what is seen of both from outside.

mod alive;
mod stored;
mod tables;
mod usage;

use e2e::{Cluster, Engine, Processes, Service, Settings};

pub use self::usage::Usage;
use crate::checker::{Check, Findings};
use crate::round::Plan;

/// Where data is kept, and by how many processes of each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Store {
    /// One process of each service, each on a file.
    Sqlite,
    /// Two processes of each service, which share databases of PostgreSQL.
    Postgres,
}

impl Store {
    /// How many processes of each service there are.
    #[must_use]
    pub const fn replicas(self) -> usize {
        match self {
            Self::Sqlite => 1,
            Self::Postgres => 2,
        }
    }
}

/// Everything that runs.
pub struct Site {
    /// Both services.
    pub processes: Processes,
    /// Where data is kept.
    pub store: Store,
    /// How many clients call.
    clients: u32,
    /// Whether guesses at passwords are limited.
    limits_guesses: bool,
    /// What a process of each service takes up when it has done a little of everything.
    first: [Option<Usage>; 2],
    /// Whom faults have ended, and nobody has started again yet.
    ended: Vec<(Service, usize)>,
    /// What the pages of metrics said that were looked at.
    pages: String,
    /// What was seen meanwhile.
    findings: Findings,
    // After what uses it.
    cluster: Option<Cluster>,
}

impl Site {
    /// Starts everything, with nothing stored, and with a deliberate defect if one is named.
    pub async fn start(plan: &Plan) -> Self {
        let store = plan.store;
        let (cluster, settings) = match store {
            Store::Sqlite => (None, Settings::on(Engine::Sqlite)),
            Store::Postgres => {
                let cluster = Cluster::start_on_small_disk(DISK, SERVER).await;
                let settings = Settings::replicated(store.replicas()).at(&cluster);
                (Some(cluster), settings)
            }
        };
        let settings = told(if plan.limits_guesses { settings } else { settings.unlimited() });
        let settings = match plan.defect {
            Some(mutant) => settings.variable("TANDEM_MUTANT", mutant.name),
            None => settings,
        };
        let processes = Processes::start_with(plan.binaries, settings).await;
        let clients = u32::try_from(plan.clients).unwrap_or(u32::MAX);
        Self {
            processes,
            store,
            clients,
            limits_guesses: plan.limits_guesses,
            first: [None; 2],
            ended: Vec::new(),
            pages: String::new(),
            findings: Findings::default(),
            cluster,
        }
    }

    /// Something is looked at that no call shows: says what is wrong with it, if something is.
    pub fn judge(&mut self, check: Check, wrong: Option<String>) {
        self.findings.judge(check, wrong, []);
    }

    /// So many things more were looked at.
    pub fn judged(&mut self, check: Check, times: usize) {
        self.findings.judged(check, times);
    }

    /// What was seen since the beginning.
    pub fn take_findings(&mut self) -> Findings {
        std::mem::take(&mut self.findings)
    }

    /// What the pages of metrics said that were looked at since the beginning.
    pub fn take_pages(&mut self) -> String {
        std::mem::take(&mut self.pages)
    }

    /// The server of PostgreSQL, where there is one.
    #[must_use]
    pub const fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Starts whatever does not run, and waits until everything wants calls.
    pub async fn whole(&mut self) {
        for service in [Service::Auth, Service::Users] {
            self.start_again(service).await;
        }
        self.processes.ready().await;
    }
}

/// The disk of PostgreSQL, in MiB: what there is and a few rounds of calls have room.
const DISK: u32 = 400;

/// What the server is told: to keep its word as in production, where other tests spare it that.
const SERVER: &[&str] = &["max_connections=80", "fsync=on", "full_page_writes=on"];

/// As it would be told in production, where the tests of other things are told to be patient. But for the log, which says all that
/// it can: nothing in it may be a secret.
fn told(settings: Settings) -> Settings {
    let settings = settings.unwatched().proxied().open_to_faults();
    let settings = settings.auth("SESSION__MAX_PER_USER", "10000").auth("PASSWORD__QUEUE_WAIT", "1s");
    settings.users("IDENTITY_PROVIDER__TIMEOUT", "2s")
}
