//! The well-behaved client beside an attack, and what can be seen of the process meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use api::auth::GetCurrentSessionRequest;
use api::users::GetCurrentUserRequest;
use e2e::{Caller, Endpoints, Engine, Person, Process, Processes, Service, Settings, eventually, sign_up};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::Status;

use crate::crashes::BINARIES;

/// Calls a second.
const RATE: u64 = 100;

/// What the process may take more during an attack, in KiB.
const MOST_GROWTH: u64 = 100 * 1024;

/// What may be left of it afterwards: the allocator keeps free pieces between those in use.
const LEFT_BEHIND: u64 = 32 * 1024;

/// A service of its own, and somebody who is logged in.
pub(crate) struct Target {
    pub(crate) process: Process,
    service: Service,
    processes: Processes,
    witness: Witness,
}

/// The well-behaved client.
#[derive(Clone)]
struct Witness {
    service: Service,
    person: Caller,
}

impl Witness {
    /// A call that the service cannot answer from its memory.
    async fn calls(&self) -> Result<(), Status> {
        match self.service {
            Service::Auth => self.person.raw(GetCurrentSessionRequest {}).await.map(drop),
            Service::Users => self.person.raw(GetCurrentUserRequest::default()).await.map(drop),
        }
    }
}

impl Target {
    pub(crate) async fn start(service: Service) -> Self {
        Self::start_with(service, Settings::on(Engine::Sqlite)).await
    }

    pub(crate) async fn start_with(service: Service, settings: Settings) -> Self {
        let mut processes = Processes::prepared(BINARIES, settings).await;
        Box::pin(processes.run_up_to(service)).await;
        processes.anonymous.ok(sign_up("witness")).await;
        let person = (*Person::log_in(&processes.anonymous, "witness").await).clone();
        let witness = Witness { service, person };
        let target = Self { process: processes.process(service), service, processes, witness };
        // What the first calls take of memory is no attack's.
        for _ in 0..RATE {
            target.witness.calls().await.expect("all is well");
        }
        target
    }

    /// Its listeners of gRPC.
    pub(crate) fn listeners(&self) -> Vec<SocketAddr> {
        self.processes.listeners_of(self.service)
    }

    /// The listener that is for everybody.
    pub(crate) fn public(&self) -> SocketAddr {
        self.listeners()[0]
    }

    /// Lets the well-behaved client make its calls while `attack` goes on, and holds the process to what is promised. Returns
    /// what the attack does.
    pub(crate) async fn withstands<T>(&self, name: &str, attack: impl Future<Output = T>) -> T {
        let before = self.process.memory();
        let (end, ended) = watch::channel(());
        let witness = tokio::spawn(witness(self.witness.clone(), ended.clone()));
        let memory = tokio::spawn(most_memory(self.process, ended));
        let outcome = attack.await;
        drop(end);
        let (seen, most) = (finished(witness).await, finished(memory).await);
        let total: usize = seen.values().sum();
        let good = seen.get("OK").copied().unwrap_or_default();
        println!("{name}: {good} of {total} calls OK; memory before {before} KiB, at most {most} KiB");
        let after = eventually("that the memory comes back", async || {
            let now = self.process.memory();
            (now <= before + LEFT_BEHIND).then_some(now)
        })
        .await;
        println!("{name}: memory after {after} KiB");
        assert!(total > 50, "{name}: the well-behaved client has hardly called: {total}");
        assert!(good * 1000 >= total * 999, "{name}: {seen:?}");
        assert!(most < before + MOST_GROWTH, "{name}: {} KiB more", most - before);
        // The same process, on the same connection.
        self.witness.calls().await.expect("it is still served");
        outcome
    }

    /// Somebody who comes only now is served as well.
    pub(crate) async fn calls_over_a_new_connection(&self) {
        let [public, internal, users] = self.processes.listeners();
        let to = [Endpoints::new(public, internal, users, None)];
        let newcomer = Witness { person: self.witness.person.over(to), ..self.witness };
        newcomer.calls().await.expect("there is room for it");
    }
}

async fn finished<T>(task: JoinHandle<T>) -> T {
    task.await.expect("no panic")
}

/// Calls at a steady rate and counts the answers.
async fn witness(witness: Witness, mut ended: watch::Receiver<()>) -> BTreeMap<String, usize> {
    let mut ticks = interval(Duration::from_millis(1000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = JoinSet::new();
    let mut seen = BTreeMap::new();
    let mut count = |outcome: String| *seen.entry(outcome).or_default() += 1;
    loop {
        tokio::select! {
            _ = ended.changed() => break,
            _ = ticks.tick() => {
                let witness = witness.clone();
                calls.spawn(async move {
                    match witness.calls().await {
                        Ok(()) => "OK".to_owned(),
                        Err(status) => format!("{:?}: {}", status.code(), status.message()),
                    }
                });
            }
            Some(outcome) = calls.join_next() => count(outcome.expect("no panic")),
        }
    }
    while let Some(outcome) = calls.join_next().await {
        count(outcome.expect("no panic"));
    }
    seen
}

async fn most_memory(process: Process, mut ended: watch::Receiver<()>) -> u64 {
    let mut most = 0;
    loop {
        most = most.max(process.memory());
        tokio::select! {
            _ = ended.changed() => return most,
            () = sleep(Duration::from_millis(20)) => {}
        }
    }
}
