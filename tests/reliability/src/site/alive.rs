//! Which processes run: all that no fault has ended. Whoever starts the others again looks first whether that is so, for
//! afterwards nobody sees it.

use e2e::Service;

use super::Site;
use crate::checker::Check;
use crate::nemesis::name;

impl Site {
    /// Ends a process as `kill -9` does, after a look at what it takes up.
    pub async fn kill(&mut self, service: Service, replica: usize) {
        self.look_at(service, replica).await;
        self.kill_at_once(service, replica).await;
    }

    /// The same for all processes of a service that still run, one right after the other.
    pub async fn kill_all_of(&mut self, service: Service) {
        self.look_at_all_of(service).await;
        for replica in 0..self.store.replicas() {
            self.kill_at_once(service, replica).await;
        }
    }

    async fn kill_at_once(&mut self, service: Service, replica: usize) {
        if self.runs(service, replica) {
            self.processes.kill_one(service, replica).await;
        }
        self.ends(service, replica);
    }

    /// Asks a process to end, after a look at what it takes up, and looks how it ends.
    pub async fn terminate(&mut self, service: Service, replica: usize) {
        self.look_at(service, replica).await;
        if self.runs(service, replica) {
            let status = self.processes.end_one(service, replica).await;
            let wrong = (!status.success())
                .then(|| format!("{} was asked to end and ended with {status}", name(service)));
            self.judge(Check::EndsBadly, wrong);
        }
        self.ends(service, replica);
    }

    /// A fault ends a process, or may have until it is mended.
    pub fn ends(&mut self, service: Service, replica: usize) {
        self.ended.push((service, replica));
    }

    /// Starts what faults have ended of a service, after a look at everything else.
    pub async fn start_again(&mut self, service: Service) {
        self.look_for_the_dead().await;
        self.processes.run(service, None).await;
        self.ended.retain(|(of, _)| *of != service);
    }

    /// Looks whether all that no fault has ended still run. Those that do not are started again, for what comes next needs them.
    pub async fn look_for_the_dead(&mut self) {
        for service in [Service::Auth, Service::Users] {
            for replica in 0..self.store.replicas() {
                if !self.runs(service, replica) && !self.ended.contains(&(service, replica)) {
                    self.processes.run_one(service, replica).await;
                }
            }
        }
    }

    /// Looks through a log for what has panicked, line by line.
    pub fn look_for_panics(&mut self, who: &str, log: &str) {
        self.judged(Check::Panicked, log.lines().filter(|line| !is_panic(line)).count());
        for line in log.lines().filter(|line| is_panic(line)) {
            let line: String = line.chars().take(200).collect();
            self.judge(Check::Panicked, Some(format!("{who}: {line}")));
        }
    }

    /// Whether a process runs. Judges it, unless a fault has ended it.
    fn runs(&mut self, service: Service, replica: usize) -> bool {
        let runs = self.processes.is_running(service, replica);
        if !self.ended.contains(&(service, replica)) {
            let wrong =
                (!runs).then(|| format!("{} {replica} has died, and nobody has ended it", name(service)));
            self.judge(Check::DiedByItself, wrong);
        }
        runs
    }
}

/// What the standard library says on standard error, whatever else is being written there.
fn is_panic(line: &str) -> bool {
    line.split_once("thread '").is_some_and(|(_, rest)| rest.contains(" panicked at "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i10_a_panic_is_found_in_a_log() {
        assert!(is_panic("thread 'tokio-rt-worker' (7) panicked at src/sweeper.rs:17:9:"));
        assert!(is_panic("{\"level\":\"INFO\"}thread 'main' panicked at src/main.rs:1:1:"));
        assert!(!is_panic("{\"level\":\"INFO\",\"message\":\"a thread has ended\"}"));
    }
}
