//! The well-behaved client beside an attack, and what can be seen of the process meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use api::auth::GetCurrentSessionRequest;
use api::identity::AuthenticateRequest;
use api::users::GetCurrentUserRequest;
use e2e::{Caller, Endpoints, Engine, Person, Process, Processes, Service, Settings, eventually, sign_up};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;
use tonic::transport::ClientTlsConfig;

use crate::crashes::BINARIES;

/// Calls a second, which are made whether those before them were answered or not. As many as are answered in time by what is
/// not optimised, where the attackers and whoever else is on the machine take most of it.
const RATE: u32 = 50;
const BETWEEN_CALLS: Duration = Duration::from_millis(1000 / RATE as u64);

/// How long each may take.
const DEADLINE: &str = "2S";

/// What the process may take more during an attack, in KiB.
const MOST_GROWTH: u64 = 100 * 1024;

/// What may be left of it afterwards: the allocator keeps free pieces between those in use.
const LEFT_BEHIND: u64 = 32 * 1024;

/// A service of its own, and somebody who is logged in.
pub(crate) struct Target {
    pub(crate) process: Process,
    service: Service,
    processes: Processes,
    tls: Option<ClientTlsConfig>,
    witness: Witness,
    /// How many calls the well-behaved client has heard OK of.
    answered: Arc<AtomicUsize>,
}

/// The well-behaved client.
#[derive(Clone)]
struct Witness {
    service: Service,
    person: Caller,
}

impl Witness {
    /// The same over new connections.
    fn over(&self, [public, internal, users]: [SocketAddr; 3], tls: Option<ClientTlsConfig>) -> Self {
        Self { person: self.person.over([Endpoints::new(public, internal, users, tls)]), ..*self }
    }

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
        let tls = settings.client_tls();
        let mut processes = Processes::prepared(BINARIES, settings.logging("info")).await;
        Box::pin(processes.run_up_to(service)).await;
        processes.anonymous.ok(sign_up("witness")).await;
        let person = Person::log_in(&processes.anonymous, "witness").await.with("grpc-timeout", DEADLINE);
        let witness = Witness { service, person };
        let process = processes.process(service);
        let target = Self { process, service, processes, tls, witness, answered: Arc::default() };
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

    /// Where probes ask.
    pub(crate) fn operations(&self) -> SocketAddr {
        self.processes.ops(self.service)
    }

    /// Lets the well-behaved client make its calls while `attack` goes on, and holds the process to what is promised. Returns
    /// what the attack does.
    pub(crate) async fn withstands<T>(&self, name: &str, attack: impl Future<Output = T>) -> T {
        let before = self.process.memory();
        let (end, ended) = watch::channel(());
        let witness = self.beside(ended.clone()).await;
        let memory = tokio::spawn(most_memory(self.process, ended));
        let outcome = attack.await;
        drop(end);
        let most = memory.await.expect("no panic");
        let seen = spawn_blocking(|| witness.join()).await.expect("no panic").expect("no panic");
        let made: usize = seen.answers.values().sum();
        let good = seen.answers.get("OK").copied().unwrap_or_default();
        println!(
            "{name}: {} calls due, {good} of {made} OK, the slowest after {:?}; memory before {before} KiB, at most {most} KiB",
            seen.due, seen.slowest
        );
        let after = eventually("that the memory comes back", async || {
            let now = self.process.memory();
            (now <= before + LEFT_BEHIND).then_some(now)
        })
        .await;
        println!("{name}: memory after {after} KiB");
        assert!(seen.due > 2 * RATE as usize, "{name}: it was over at once: {seen:?}");
        assert!(made * 10 >= seen.due * 9, "{name}: the well-behaved client has hardly called: {seen:?}");
        // Of a thousand calls one may fail: of those beside an attack that lasts seconds, some two hundred, not a single one.
        assert!(good * 1000 >= made * 999, "{name}: {seen:?}");
        assert!(most < before + MOST_GROWTH, "{name}: {} KiB more", most - before);
        // The same process, on the same connection.
        self.witness.calls().await.expect("it is still served");
        outcome
    }

    /// The well-behaved client, on a thread and over connections of its own: what the attackers do must not keep it from calling.
    /// It is there before they are.
    async fn beside(&self, ended: watch::Receiver<()>) -> JoinHandle<Seen> {
        let (is, to) = (self.witness.clone(), self.processes.listeners());
        let (tls, answered) = (self.tls.clone(), Arc::clone(&self.answered));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (arrived, arrival) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let witness = is.over(to, tls);
                witness.calls().await.expect("all is well");
                arrived.send(()).expect("somebody waits");
                calls_on(witness, &answered, ended).await
            })
        });
        arrival.await.expect("no panic");
        thread
    }

    /// Waits until the well-behaved client has made a call from now on, and so is not who has done nothing for longest.
    pub(crate) async fn well_behaved_call(&self) {
        // One may have been under way.
        let then = self.answered.load(Ordering::Relaxed) + 2;
        eventually("that the well-behaved client is answered", async || {
            (self.answered.load(Ordering::Relaxed) >= then).then_some(())
        })
        .await;
    }

    /// Somebody who comes only now is served as well.
    pub(crate) async fn calls_over_a_new_connection(&self) {
        let newcomer = self.witness.over(self.processes.listeners(), self.tls.clone());
        newcomer.calls().await.expect("there is room for it");
    }

    /// And so is a back end that calls the internal listener of auth-service.
    pub(crate) async fn a_back_end_calls_over_a_new_connection(&self) {
        let [public, internal, users] = self.processes.listeners();
        let back_end = self.processes.verify();
        let back_end = back_end.over([Endpoints::new(public, internal, users, self.tls.clone())]);
        let check = AuthenticateRequest { access_token: "nobody's".to_owned(), skip_renewal: true };
        back_end.raw(check).await.expect("there is room for it");
    }
}

/// What the well-behaved client has seen.
#[derive(Debug)]
struct Seen {
    /// How many calls its rate makes of the time.
    due: usize,
    /// How often it was answered what.
    answers: BTreeMap<String, usize>,
    slowest: Duration,
    /// When the first and the last of those were made that were not OK.
    failing: Option<(Duration, Duration)>,
}

/// Makes every call that is due, however late it is itself, and counts the answers.
async fn calls_on(witness: Witness, answered: &Arc<AtomicUsize>, mut ended: watch::Receiver<()>) -> Seen {
    let begun = Instant::now();
    let mut next = begun;
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = sleep_until(next) => {
                let (witness, answered) = (witness.clone(), Arc::clone(answered));
                calls.spawn(async move {
                    let asked = Instant::now();
                    let answer = match witness.calls().await {
                        Ok(()) => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            "OK".to_owned()
                        }
                        Err(status) => format!("{:?}: {}", status.code(), status.message()),
                    };
                    (answer, asked - begun, asked.elapsed())
                });
                next += BETWEEN_CALLS;
            }
            _ = ended.changed() => break,
        }
    }
    let due = begun.elapsed().as_millis() / BETWEEN_CALLS.as_millis();
    let due = usize::try_from(due).expect("not so many");
    let mut seen = Seen { due, answers: BTreeMap::new(), slowest: Duration::ZERO, failing: None };
    for (answer, at, took) in calls.join_all().await {
        if answer != "OK" {
            let (first, last) = seen.failing.unwrap_or((at, at));
            seen.failing = Some((first.min(at), last.max(at)));
        }
        *seen.answers.entry(answer).or_default() += 1;
        seen.slowest = seen.slowest.max(took);
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
