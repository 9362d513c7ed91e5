//! What processes take up, in each of their lives.

use std::fmt;

use e2e::{Scrape, Service, sql};

use super::{Site, Store};
use crate::checker::Invariant;
use crate::nemesis::name;

/// What a process has of something that must stay bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
/// Tasks that a client has under way: the call that it makes, and the one that it left.
const OF_A_CLIENT: f64 = 2.0;

impl Usage {
    /// What a page of metrics says; an error names the metric that is missing.
    pub fn read(page: &Scrape) -> Result<Self, String> {
        let value = |name: &str| page.value(name, &[]).ok_or_else(|| format!("there is no metric {name}"));
        Ok(Self {
            descriptors: value("process_open_fds")?,
            mebibytes: value("process_resident_memory_bytes")? / f64::from(1 << 20),
            tasks: value("tandem_tasks")?,
        })
    }

    /// What is more than it may be, if a process had this much at first and so many clients call it.
    #[must_use]
    pub fn beyond(self, first: Self, clients: u32) -> Option<String> {
        let is_beyond = self.descriptors > first.descriptors + MORE.descriptors
            || self.mebibytes > first.mebibytes + MORE.mebibytes
            || self.tasks > first.tasks + MORE.tasks + OF_A_CLIENT * f64::from(clients);
        is_beyond.then(|| format!("{first} have become {self}"))
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            mebibytes: self.mebibytes.max(other.mebibytes),
            tasks: self.tasks.max(other.tasks),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, mebibytes, tasks } = self;
        write!(f, "{descriptors} descriptors, {mebibytes:.0} MiB and {tasks} tasks")
    }
}

impl Site {
    /// Takes what the processes of each service take up now for what one may need, after it has done a little of everything.
    pub async fn measure(&mut self) {
        for service in [Service::Auth, Service::Users] {
            for replica in 0..self.store.replicas() {
                let used = self.usage(service, replica).await;
                let first = &mut self.first[service as usize];
                *first = used.map(|used| first.map_or(used, |first| first.or_more(used))).or(*first);
            }
        }
    }

    /// Looks whether a process takes up more than it may. To be called before it is ended, for nobody sees that afterwards.
    pub async fn look_at(&mut self, service: Service, replica: usize) {
        let used = self.usage(service, replica).await;
        if let Some((used, first)) = used.zip(self.first[service as usize])
            && let Some(what) = used.beyond(first, self.clients)
        {
            self.found(Invariant::I12, format!("{} {replica}: {what}", name(service)));
        }
    }

    /// The same for all processes of a service.
    pub async fn look_at_all_of(&mut self, service: Service) {
        for replica in 0..self.store.replicas() {
            self.look_at(service, replica).await;
        }
    }

    async fn usage(&mut self, service: Service, replica: usize) -> Option<Usage> {
        let read = Usage::read(&Scrape::of(self.processes.ops_of(service, replica)).await);
        read.map_err(|why| self.found(Invariant::I12, format!("{} {replica}: {why}", name(service)))).ok()
    }

    /// Services that have more connections to their database than they may, where they have a server.
    pub async fn surplus_connections(&self) -> Vec<String> {
        let mut surplus = Vec::new();
        if self.store == Store::Sqlite {
            return surplus;
        }
        // Of each process its pool, and the one that listens for notifications.
        let may = self.store.replicas() * (POOL + 1);
        for service in [Service::Auth, Service::Users] {
            let statement = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            let answer = sql(&self.processes.data().url(service), statement).await;
            let open: usize = answer.parse().expect("a number");
            if open > may {
                surplus.push(format!("{} has {open} connections of {may}", name(service)));
            }
        }
        surplus
    }
}

/// The default of `database.max_connections`.
const POOL: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP process_open_fds Files.
# TYPE process_open_fds gauge
process_open_fds 20
# HELP process_resident_memory_bytes Memory.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 52428800
";
    const TASKS: &str = "# HELP tandem_tasks Tasks.
# TYPE tandem_tasks gauge
tandem_tasks 30
";

    #[test]
    fn i12_a_metric_that_is_missing_is_not_taken_for_nothing() {
        let page = |text: &str| Scrape::parse(text.to_owned());
        assert_eq!(Usage::read(&page(PAGE)).unwrap_err(), "there is no metric tandem_tasks");
        let used = Usage::read(&page(&format!("{PAGE}{TASKS}"))).unwrap();
        assert_eq!(used, Usage { descriptors: 20.0, mebibytes: 50.0, tasks: 30.0 });
    }

    #[test]
    fn i12_a_process_takes_up_more_and_more() {
        let first = Usage { descriptors: 20.0, mebibytes: 50.0, tasks: 30.0 };
        assert_eq!(first.beyond(first, 8), None);
        for grown in [
            Usage { descriptors: 61.0, ..first },
            Usage { mebibytes: 131.0, ..first },
            Usage { tasks: 87.0, ..first },
        ] {
            assert!(grown.beyond(first, 8).is_some(), "{grown}");
        }
    }
}
