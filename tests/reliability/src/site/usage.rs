//! What processes and tables take up.

use std::fmt;

use e2e::{Scrape, Service};

use super::{Site, Store};

/// What a process has of something that must stay bounded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Files and sockets.
    pub descriptors: f64,
    /// Memory in use, in MiB.
    pub mebibytes: f64,
    /// Tasks of the runtime.
    pub tasks: f64,
}

/// More than at the beginning is kept by whatever was needed once: threads, connections of the pools, pages of memory.
const MORE: Usage = Usage { descriptors: 40.0, mebibytes: 80.0, tasks: 40.0 };

impl Usage {
    /// What is more than it may be, if the process had this much at first.
    #[must_use]
    pub fn beyond(self, first: Self) -> Option<String> {
        let is_beyond = self.descriptors > first.descriptors + MORE.descriptors
            || self.mebibytes > first.mebibytes + MORE.mebibytes
            || self.tasks > first.tasks + MORE.tasks;
        is_beyond.then(|| format!("{first} have become {self}"))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, mebibytes, tasks } = self;
        write!(f, "{descriptors} descriptors, {mebibytes:.0} MiB and {tasks} tasks")
    }
}

impl Site {
    /// What the first process of each service takes up.
    pub async fn usage(&self) -> [Usage; 2] {
        let of = async |service| {
            let page = Scrape::of(self.processes.ops(service)).await;
            let value = |name| page.value(name, &[]).unwrap_or_default();
            Usage {
                descriptors: value("process_open_fds"),
                mebibytes: value("process_resident_memory_bytes") / f64::from(1 << 20),
                tasks: value("tandem_tasks"),
            }
        };
        [of(Service::Auth).await, of(Service::Users).await]
    }

    /// Tables that have more rows than the calls account for.
    pub async fn surplus_rows(&self, calls: u64) -> Option<String> {
        let attempts = self.count(Service::Auth, "attempts").await;
        let reservations = self.count(Service::Users, "reservations").await;
        let requests = self.count(Service::Users, "requests").await;
        let feeds = self.count(Service::Users, "feed").await;
        let is_surplus = attempts > UNDECIDED || reservations > calls || requests > calls || feeds != 1;
        is_surplus.then(|| {
            format!("{attempts} attempts, {reservations} reservations, {requests} requests, {feeds} places in the feed")
        })
    }

    /// How many connections the services have to their databases, where they have a server, and how many they may have.
    pub async fn connections(&self) -> Option<(u64, u64)> {
        if self.store == Store::Sqlite {
            return None;
        }
        let mut open = 0;
        for service in [Service::Auth, Service::Users] {
            let statement = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            let answer = e2e::sql(&self.processes.data().url(service), statement).await;
            open += answer.parse::<u64>().expect("a number");
        }
        // Of each process its pool, and the one that listens for notifications.
        let may = 2 * self.store.replicas() as u64 * (POOL + 1);
        Some((open, may))
    }
}

/// Attempts at passwords whose process died lapse after a minute; so many at most are undecided on each of a few accounts.
const UNDECIDED: u64 = 5 * 10;

/// The default of `database.max_connections`.
const POOL: u64 = 8;
