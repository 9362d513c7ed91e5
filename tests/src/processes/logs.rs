//! What processes say on standard error. It is kept, and at the end of a test it is read to its end: nobody may have said a
//! secret.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::replica::Replica;
use super::{Processes, Service};
use crate::{Process, discretion};

/// How long processes may take to end by themselves. A drain takes a second where clients do not answer, as those of a test
/// that is over do not, and longer where a call is under way.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long those may take that were told twice: they end at once, and say first what they have to say.
const MORE_PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(2);

impl Processes {
    /// What all processes of a service have said on standard error.
    #[must_use]
    pub fn log(&self, service: Service) -> String {
        let logs = (0..self.replicas.len()).flat_map(|number| self.logs_of(service, number));
        logs.map(|file| fs::read_to_string(file).expect("a log")).collect()
    }

    /// One of them, on the addresses that it had before. What it says on standard error is kept in a file of its own: whoever is
    /// killed may end it in the middle of a line.
    pub(super) fn logged_command(&self, service: Service, number: usize) -> Command {
        let mut command = self.command(service, number);
        let file =
            self.log_files(service, number).find(|file| !file.exists()).expect("there is always another");
        let log = OpenOptions::new().create_new(true).append(true).open(file);
        command.stderr(log.expect("a log"));
        command
    }

    /// What one process of a service has said is in these, in one for each time that it ran.
    fn logs_of(&self, service: Service, number: usize) -> impl Iterator<Item = PathBuf> {
        self.log_files(service, number).take_while(|file| file.exists())
    }

    fn log_files(&self, service: Service, number: usize) -> impl Iterator<Item = PathBuf> {
        (0_u32..).map(move |run| self.home().join(format!("{service:?}-{number}-{run}.log")))
    }

    /// Ends whichever run, as operators do: who is killed has not said all.
    fn end_all(&mut self) {
        for patience in [PATIENCE, MORE_PATIENCE] {
            let end = Instant::now() + patience;
            for process in self.running() {
                process.terminate();
                // Who was stopped hears of it only when it goes on.
                process.thaw();
            }
            while !self.running().is_empty() && Instant::now() < end {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "nothing can be awaited where a value is dropped"
                )]
                thread::sleep(INTERVAL);
            }
        }
        assert!(self.running().is_empty() || thread::panicking(), "who is told twice ends at once");
    }

    fn running(&mut self) -> Vec<Process> {
        let children = self.replicas.iter_mut().flat_map(Replica::children);
        let running = children.filter_map(|child| match child.try_wait() {
            Ok(None) => child.id(),
            _ => None,
        });
        running.map(Process::new).collect()
    }

    fn hear_logs(&self) {
        for service in [Service::Auth, Service::Users] {
            for number in 0..self.replicas.len() {
                for file in self.logs_of(service, number) {
                    let log = fs::read(file).expect("a log");
                    let place = format!("the log of {service:?}, replica {number}");
                    if self.settings.logs_json(service) {
                        discretion::hear_log(&place, log);
                    } else {
                        discretion::hear(&place, log);
                    }
                }
            }
        }
    }
}

/// Looks for secrets in what was said, at the end of every test.
impl Drop for Processes {
    fn drop(&mut self) {
        if !self.settings.is_watched() {
            return;
        }
        self.end_all();
        self.hear_logs();
        discretion::look_into_what_was_heard();
    }
}
