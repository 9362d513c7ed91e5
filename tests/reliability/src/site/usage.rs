//! What processes take up, in each of their lives.

use e2e::{Process, Scrape, Service, sql};

use super::{Site, Store};
use crate::checker::Check;
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

/// What a process says of itself. Its operators have nothing else to see a leak by, so all of it has to be there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    tasks: f64,
}

impl Said {
    /// What a page of metrics says; an error names the metric that is missing.
    fn read(page: &Scrape) -> Result<Self, String> {
        let value = |name: &str| page.value(name, &[]).ok_or_else(|| format!("there is no metric {name}"));
        // Of these the machine is asked, at the very moment; the page has to have them.
        for of_the_machine in ["process_open_fds", "process_resident_memory_bytes"] {
            value(of_the_machine)?;
        }
        Ok(Self { tasks: value("tandem_tasks")? })
    }
}

impl Usage {
    /// Files, sockets and memory as the machine says, at this moment: a process looks at them every few seconds only. `None` of
    /// one that has ended.
    fn of(process: Process, Said { tasks }: Said) -> Option<Self> {
        let number = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        let mebibytes = usize::try_from(process.memory_if_it_runs()? / 1024).unwrap_or(usize::MAX);
        Some(Self { descriptors: number(process.open_files()), mebibytes: number(mebibytes), tasks })
    }

    /// Of each kind: what is more than it may be, if a process had this much at first and so many clients call it.
    #[must_use]
    pub fn beyond(self, first: Self, clients: u32) -> [(Check, Option<String>); 3] {
        let of = |kind: &str, now: f64, first: f64, more: f64| {
            (now > first + more).then(|| format!("{first:.0} {kind} have become {now:.0}"))
        };
        let tasks = MORE.tasks + OF_A_CLIENT * f64::from(clients);
        [
            (Check::Descriptors, of("descriptors", self.descriptors, first.descriptors, MORE.descriptors)),
            (Check::Memory, of("MiB", self.mebibytes, first.mebibytes, MORE.mebibytes)),
            (Check::Tasks, of("tasks", self.tasks, first.tasks, tasks)),
        ]
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            mebibytes: self.mebibytes.max(other.mebibytes),
            tasks: self.tasks.max(other.tasks),
        }
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
        if let Some((used, first)) = used.zip(self.first[service as usize]) {
            for (check, surplus) in used.beyond(first, self.clients) {
                self.judge(check, surplus.map(|what| format!("{} {replica}: {what}", name(service))));
            }
        }
    }

    /// The same for all processes of a service.
    pub async fn look_at_all_of(&mut self, service: Service) {
        for replica in 0..self.store.replicas() {
            self.look_at(service, replica).await;
        }
    }

    async fn usage(&mut self, service: Service, replica: usize) -> Option<Usage> {
        if !self.processes.is_running(service, replica) {
            return None;
        }
        // It may end by itself meanwhile, which is somebody else's to judge.
        let page = Scrape::of_who_may_end(self.processes.ops_of(service, replica)).await.ok()?;
        self.pages.push_str(page.text());
        let said = Said::read(&page);
        let missing = said.as_ref().err().map(|why| format!("{} {replica}: {why}", name(service)));
        self.judge(Check::MetricMissing, missing);
        Usage::of(self.processes.process_of(service, replica), said.ok()?)
    }

    /// Looks whether a service has more connections to its database than it may, where there is a server.
    pub async fn count_connections(&mut self) {
        if self.store == Store::Sqlite {
            return;
        }
        // Of each process its pool, and the one that listens for notifications.
        let may = self.store.replicas() * (POOL + 1);
        for service in [Service::Auth, Service::Users] {
            let statement = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
            let answer = sql(&self.processes.data().url(service), statement).await;
            let open: usize = answer.parse().expect("a number");
            let surplus =
                (open > may).then(|| format!("{} has {open} connections and may have {may}", name(service)));
            self.judge(Check::Connections, surplus);
        }
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
        assert_eq!(Said::read(&page(PAGE)).unwrap_err(), "there is no metric tandem_tasks");
        assert_eq!(Said::read(&page(TASKS)).unwrap_err(), "there is no metric process_open_fds");
        assert_eq!(Said::read(&page(&format!("{PAGE}{TASKS}"))).unwrap(), Said { tasks: 30.0 });
    }

    #[test]
    fn i12_a_process_takes_up_more_and_more() {
        let first = Usage { descriptors: 20.0, mebibytes: 50.0, tasks: 30.0 };
        let found = |grown: Usage| {
            let beyond = grown.beyond(first, 8).into_iter();
            beyond.filter_map(|(check, surplus)| surplus.map(|_| check)).collect::<Vec<_>>()
        };
        assert_eq!(found(first), []);
        assert_eq!(found(Usage { descriptors: 61.0, ..first }), [Check::Descriptors]);
        assert_eq!(found(Usage { mebibytes: 131.0, ..first }), [Check::Memory]);
        assert_eq!(found(Usage { tasks: 87.0, ..first }), [Check::Tasks]);
    }
}
