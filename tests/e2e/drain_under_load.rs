//! SIGTERM for a real auth-service under load, beside peers that would rather stay: no call that was sent while it still wanted
//! some fails, and it is gone in time.

use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use e2e::{
    Caller, Endpoints, Frames, PASSWORD, Person, Processes, Service, Settings, connect_and_write, eventually,
    sign_up,
};
use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::crashes::BINARIES;
use crate::tls::Files;

/// How long it takes calls after it was asked to end.
const LAME_DUCK: Duration = Duration::from_secs(1);
/// How long calls may take then.
const DRAIN: Duration = Duration::from_secs(5);
/// What is promised beyond that.
const MORE: Duration = Duration::from_secs(1);

/// Each makes twenty calls a second, over a connection of its own.
const CLIENTS: usize = 5;
const BETWEEN_CALLS: Duration = Duration::from_millis(50);

fn settings() -> Settings {
    Settings::default()
        .unlimited()
        .auth("SERVER__LAME_DUCK", "1s")
        // So that whoever logs in is under way when it ends.
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "4")
}

/// A call, when it was begun and what came of it.
type Outcome = (Instant, Result<(), Status>);

/// An auth-service under load.
struct Loaded {
    processes: Processes,
    clients: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Loaded {
    async fn start(settings: Settings) -> Self {
        let tls = settings.client_tls();
        let mut processes = Processes::prepared(BINARIES, settings).await;
        processes.run(Service::Auth, None).await;
        processes.auth_ready().await;
        processes.anonymous.ok(sign_up("somebody")).await;
        let person = Person::log_in(&processes.anonymous, "somebody").await;
        let [public, internal, users] = processes.listeners();
        let anonymous = || Caller::anonymous([Endpoints::new(public, internal, users, tls.clone())]);
        let mut clients: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(steady(anonymous().bearer(&person.token)))).collect();
        clients.push(tokio::spawn(one_after_the_other(anonymous())));
        Self { processes, clients }
    }

    /// Asks it to end and holds it to what is promised.
    async fn ends_in_time(mut self, name: &str) {
        let asked = Instant::now();
        self.processes.process(Service::Auth).terminate();
        let status = self.processes.died(Service::Auth).await;
        let took = asked.elapsed();
        let outcomes: Vec<Vec<_>> =
            join_all(self.clients).await.into_iter().map(|client| client.expect("no panic")).collect();
        let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
        let good = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
        let late = outcomes.iter().filter(|(begun, _)| *begun >= asked).count();
        println!(
            "{name}: {took:?}, {good} of {} calls OK, {late} of all begun after SIGTERM",
            outcomes.len()
        );
        assert!(status.success(), "{name}: {status}");
        assert!(took <= LAME_DUCK + DRAIN + MORE, "{name}: {took:?}");
        assert!(late > 20, "{name}: there was no load at the end: {late}");
        for (begun, outcome) in outcomes {
            let Err(failure) = outcome else { continue };
            let after = begun.saturating_duration_since(asked);
            assert!(after >= LAME_DUCK, "{name}: {after:?} after it was asked to end: {failure:?}");
            // Nobody is there who could say anything.
            assert!(failure.details().is_empty(), "{name}: {failure:?}");
            assert!(
                [Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&failure.code()),
                "{failure:?}"
            );
        }
    }
}

/// Calls at a steady rate until nobody answers.
async fn steady(caller: Caller) -> Vec<Outcome> {
    let mut ticks = interval(BETWEEN_CALLS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut calls, mut outcomes) = (JoinSet::new(), Vec::<Outcome>::new());
    while outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
        tokio::select! {
            _ = ticks.tick() => {
                let caller = caller.clone();
                calls.spawn(async move {
                    let begun = Instant::now();
                    (begun, caller.raw(GetCurrentSessionRequest {}).await.map(drop))
                });
            }
            Some(outcome) = calls.join_next() => outcomes.push(outcome.expect("no panic")),
        }
    }
    outcomes.extend(calls.join_all().await);
    outcomes
}

/// Logs in, which takes long, until nobody answers.
async fn one_after_the_other(caller: Caller) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    loop {
        let begun = Instant::now();
        let request = LogInRequest { username: "somebody".into(), password: PASSWORD.into() };
        let outcome = caller.raw(request).await.map(drop);
        let failed = outcome.is_err();
        outcomes.push((begun, outcome));
        if failed {
            return outcomes;
        }
    }
}

async fn says(address: std::net::SocketAddr, words: &[u8]) -> TcpStream {
    connect_and_write(address, words).await.expect("it listens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_says_nothing() {
    let loaded = Loaded::start(settings()).await;
    let [public, internal, _] = loaded.processes.listeners();
    let greeting = Frames::greeting().take().0;
    let peers = [
        says(public, b"").await,
        says(internal, b"").await,
        says(public, b"PRI *").await,
        says(public, &greeting).await,
    ];
    loaded.ends_in_time("idle TCP peers").await;
    drop(peers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_handshake_that_is_half_done() {
    let files = Files::new();
    let loaded = Loaded::start(files.added_to(settings())).await;
    let [public, internal, _] = loaded.processes.listeners();
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00];
    let peers = [says(public, &hello).await, says(internal, &hello).await];
    loaded.ends_in_time("half-done TLS handshakes").await;
    drop(peers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_health() {
    let loaded = Loaded::start(settings()).await;
    let [public, internal, users] = loaded.processes.listeners();
    let to = Endpoints::new(public, internal, users, None);
    let mut watches = Vec::new();
    for channel in [&to.auth, &to.internal] {
        for service in ["", "no.such.Service"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let watch = HealthClient::new(channel.clone()).watch(request).await.expect("a stream");
            watches.push(watch.into_inner());
        }
    }
    loaded.ends_in_time("open Health/Watch").await;
    for mut watch in watches {
        let end = loop {
            match watch.message().await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert_eq!(end.expect_err("not an end like any other").code(), Code::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_accounts() {
    let loaded = Loaded::start(settings()).await;
    let mut feed = loaded.processes.full().of_the_first_replica().watch("").await.expect("a stream");
    feed.message().await.expect("the first account").expect("there is one");
    loaded.ends_in_time("open WatchAccounts").await;
    let end = loop {
        match feed.message().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert_eq!(end.expect_err("not an end like any other").code(), Code::Unavailable);
}

/// The only one whose calls are cut: at the end of the drain.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_no_answer() {
    let loaded = Loaded::start(settings()).await;
    let [public, ..] = loaded.processes.listeners();
    let mut frames = Frames::greeting();
    frames.closed_windows();
    for _ in 0..10 {
        frames.whole_call("/grpc.health.v1.Health/Check").expect("a stream");
    }
    let peer = says(public, &frames.take().0).await;
    loaded.ends_in_time("a peer that takes no answer").await;
    drop(peer);
}

/// A call that waits for it is answered or cut, and nothing else waits any longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_somebody_else_has_locked() {
    let mut processes = Processes::prepared(BINARIES, settings()).await;
    processes.run(Service::Auth, None).await;
    processes.auth_ready().await;
    let locked = processes.data().occupy(Service::Auth).await;
    let anonymous = processes.anonymous.of_the_first_replica();
    let waiting = tokio::spawn(async move { anonymous.raw(sign_up("somebody")).await });
    let asked = Instant::now();
    processes.process(Service::Auth).terminate();
    let status = processes.died(Service::Auth).await;
    let took = asked.elapsed();
    println!("a locked store: {took:?}");
    assert!(status.success(), "{status}");
    assert!(took <= LAME_DUCK + DRAIN + MORE, "{took:?}");
    waiting.await.expect("no panic").expect_err("nobody could write it");
    drop(locked);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_is_told_before_it_ends() {
    let mut processes = Processes::prepared(BINARIES, settings()).await;
    processes.run(Service::Auth, None).await;
    processes.auth_ready().await;
    let ops = processes.auth_ops().next().expect("one");
    assert_eq!(e2e::get(ops, "/readyz").await.0, 200);
    processes.process(Service::Auth).terminate();
    eventually("that it says it is draining", async || {
        (e2e::get(ops, "/readyz").await == (503, "draining".to_owned())).then_some(())
    })
    .await;
    assert_eq!(e2e::get(ops, "/livez").await.0, 200, "which is no reason to kill it");
    processes.anonymous.of_the_first_replica().ok(sign_up("a.latecomer")).await;
    assert!(
        timeout(LAME_DUCK + DRAIN + MORE, processes.died(Service::Auth)).await.expect("in time").success()
    );
}
