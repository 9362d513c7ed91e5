//! What operators do at the machines of users-service: super admins are made and demoted, several of them at the same time at
//! different machines, again and again, while things fail.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use e2e::{Operator, Processes, Service};
use futures::future::join_all;
use rand::Rng as _;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::Client;
use crate::driver::Driver;
use crate::heard::Heard;
use crate::history::{Answer, Call, Does, LAST_ACTIVE_SUPER_ADMIN, NOT_A_SUPER_ADMIN, Outcome, Refusal, Who};
use crate::vault::OF_THE_SUPER_ADMIN;
use crate::world::Held;

/// How often something is tried that may fail for the moment.
const TRIES: usize = 4;
const BETWEEN: Duration = Duration::from_millis(100);
/// So many tokens of somebody who was demoted are shown.
const SHOWN: usize = 2;
/// What a command does not do in this time it does not do: each of its waits has an end.
const ENDS: Duration = Duration::from_mins(1);

/// Operators, one at each machine, who know of each other.
#[derive(Debug)]
pub struct Operators {
    at: Vec<Operator>,
    password_file: String,
    /// What the commands said.
    pub heard: Heard,
    /// Held by whoever makes and demotes, so that it is clear whom there is to demote.
    known: Mutex<SuperAdmins>,
}

/// The super admins as their operators know them.
#[derive(Debug, Default)]
struct SuperAdmins {
    /// Who is one, or may be.
    names: Vec<String>,
    /// Whose making is not finished, and has to be before anybody else is made.
    unfinished: Option<String>,
    made: u32,
}

impl Operators {
    /// At the machines of these.
    #[must_use]
    pub fn of(processes: &Processes) -> Self {
        let file = processes.write("bootstrap-password", e2e::PASSWORD);
        Self {
            at: (0..processes.replicas()).map(|number| processes.operator(Service::Users, number)).collect(),
            password_file: file.display().to_string(),
            heard: Heard::default(),
            known: Mutex::default(),
        }
    }

    async fn run(&self, machine: usize, arguments: &[&str]) -> Result<Output, String> {
        let output = timeout(ENDS, Box::pin(self.at[machine].run(arguments))).await;
        let output = output.map_err(|_| "it does not end".to_owned())?;
        self.heard.hear(&output.stdout);
        self.heard.hear(&output.stderr);
        Ok(output)
    }

    async fn make(&self, driver: &Driver, machine: usize, name: &str) -> Outcome {
        let call = Call::new(Does::Bootstrap, Who::Operator).on(name).setting(OF_THE_SUPER_ADMIN);
        let arguments =
            ["bootstrap-super-admin", "--force", "--username", name, "--password-file", &self.password_file];
        let start = driver.now();
        let outcome = match self.run(machine, &arguments).await {
            Ok(output) if output.status.success() => {
                // It says the id last.
                let said = String::from_utf8_lossy(&output.stdout);
                let id = said.split_whitespace().last().map(str::to_owned);
                Outcome::Ok(Box::new(Answer { id, ..Answer::default() }))
            }
            Ok(output) => Outcome::Unknown(why(&output)),
            Err(why) => Outcome::Unknown(why),
        };
        driver.note(start, call, outcome.clone());
        outcome
    }

    async fn demote(&self, driver: &Driver, machine: usize, name: &str) -> Outcome {
        let start = driver.now();
        let outcome = match self.run(machine, &["demote-super-admin", "--username", name]).await {
            Ok(output) if output.status.success() => Outcome::Ok(Box::default()),
            Ok(output) => refusal(&why(&output)),
            Err(why) => Outcome::Unknown(why),
        };
        if let Outcome::Denied(_) = &outcome {
            // It is looked at a second time when the sessions have ended.
            let ended = Call::new(Does::RevokeUserSessions, Who::Operator).on(name);
            driver.note(start, ended, Outcome::Unknown("before it was refused".into()));
        }
        driver.note(start, Call::new(Does::Demote, Who::Operator).on(name), outcome.clone());
        outcome
    }
}

/// What a command that failed said last: before that there may be lines of its log.
fn why(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing is said");
    last.chars().take(160).collect()
}

/// What that means: of a super admin who stays, and of somebody who is none, it is known that nothing was changed.
fn refusal(why: &str) -> Outcome {
    let reasons = [
        (" is the last active super admin", LAST_ACTIVE_SUPER_ADMIN),
        (" is not a super admin", NOT_A_SUPER_ADMIN),
    ];
    match reasons.into_iter().find(|(says, _)| why.ends_with(says)) {
        Some((_, reason)) => Outcome::Denied(Refusal { reason: reason.into(), caller_is_below: false }),
        None => Outcome::Unknown(why.to_owned()),
    }
}

impl Client {
    /// Makes the first super admin, and says whether that was done.
    pub async fn make_the_first_super_admin(&mut self, name: &str) -> bool {
        let driver = Arc::clone(&self.driver);
        let mut known = driver.operators.known.lock().await;
        known.names.push(name.to_owned());
        matches!(driver.operators.make(&driver, 0, name).await, Outcome::Ok(_))
    }

    /// Makes one super admin or two, and demotes all that there are at the same time, or all but one. Nothing is done while
    /// another client does it.
    pub(super) async fn change_super_admins(&mut self) {
        let driver = Arc::clone(&self.driver);
        let Ok(mut known) = driver.operators.known.try_lock() else { return };
        for _ in 0..self.rng.random_range(1..=2) {
            if !self.make_a_super_admin(&driver, &mut known).await {
                break;
            }
        }
        let spared = usize::from(self.rng.random_bool(0.3));
        self.demote_all_but(spared, &driver, &mut known).await;
    }

    /// Makes one more and demotes all that there are, now that nothing fails; says how many were demoted, or nothing where no
    /// other could be made.
    pub async fn demote_everybody(&mut self) -> Option<usize> {
        let driver = Arc::clone(&self.driver);
        let mut known = driver.operators.known.lock().await;
        while known.unfinished.is_some() || known.names.len() < 2 {
            if !self.make_a_super_admin(&driver, &mut known).await {
                return None;
            }
        }
        Some(self.demote_all_but(0, &driver, &mut known).await)
    }

    /// Says whether there is one more. Who was begun is finished first.
    async fn make_a_super_admin(&mut self, driver: &Arc<Driver>, known: &mut SuperAdmins) -> bool {
        let name = known.unfinished.take().unwrap_or_else(|| {
            known.made += 1;
            format!("ruler{}", known.made)
        });
        for _ in 0..TRIES {
            let machine = self.rng.random_range(0..driver.replicas());
            let is_there = match driver.operators.make(driver, machine, &name).await {
                Outcome::Ok(_) => true,
                // By an attempt before, whose end nobody heard of.
                Outcome::Unknown(why) => why.contains(" is taken"),
                _ => false,
            };
            if is_there {
                self.take_office(&name).await;
                known.names.push(name);
                return true;
            }
            sleep(BETWEEN).await;
        }
        known.unfinished = Some(name);
        false
    }

    /// Demotes at all machines at once, and says how many were. Who is left logs in, for its sessions may have ended.
    async fn demote_all_but(
        &mut self,
        spared: usize,
        driver: &Arc<Driver>,
        known: &mut SuperAdmins,
    ) -> usize {
        let count = known.names.len().saturating_sub(spared);
        let first = self.rng.random_range(0..driver.replicas());
        let demotions = known.names.iter().take(count).enumerate().map(|(number, name)| async move {
            let machine = (first + number) % driver.replicas();
            (name.clone(), driver.operators.demote(driver, machine, name).await)
        });
        let outcomes = join_all(demotions.collect::<Vec<_>>()).await;
        let mut demoted = 0;
        for (name, outcome) in outcomes {
            let is_one = match &outcome {
                Outcome::Ok(_) => {
                    demoted += 1;
                    self.probe_last_of(&name).await;
                    false
                }
                Outcome::Denied(refusal) => refusal.reason != NOT_A_SUPER_ADMIN,
                _ => true,
            };
            if !is_one {
                known.names.retain(|other| *other != name);
            }
        }
        for name in known.names.clone() {
            self.take_office(&name).await;
        }
        demoted
    }

    /// A session to administer with.
    async fn take_office(&mut self, name: &str) {
        for _ in 0..TRIES {
            if self.log_in(name, OF_THE_SUPER_ADMIN, true).await.is_some() {
                return;
            }
        }
    }

    async fn probe_last_of(&mut self, name: &str) {
        let mut tokens: Vec<Held> =
            self.world.tokens().into_iter().filter(|held| held.user.eq_ignore_ascii_case(name)).collect();
        let surplus = tokens.len().saturating_sub(SHOWN);
        tokens.drain(..surplus);
        self.probe(&tokens).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_refusal_says_is_known_and_what_a_failure_says_is_not() {
        let denied = |why| match refusal(why) {
            Outcome::Denied(refusal) => Some(refusal.reason),
            _ => None,
        };
        let stays = denied("users-service: ruler1 is the last active super admin");
        assert_eq!(stays.as_deref(), Some(LAST_ACTIVE_SUPER_ADMIN));
        let is_none = denied("users-service: ruler1 is not a super admin");
        assert_eq!(is_none.as_deref(), Some(NOT_A_SUPER_ADMIN));
        assert_eq!(denied("users-service: the outcome is unknown: the connection was lost"), None);
    }
}
