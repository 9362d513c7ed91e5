//! SIGTERM for a real service under load, either of the two, beside peers that would rather stay: no call that was sent while it still wanted
//! some fails, and it is gone in time.

use std::error::Error as _;
use std::iter::successors;
use std::net::SocketAddr;
use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GrantAdminRequest, SetUserPasswordRequest, UserRole,
};
use e2e::{
    Call, Caller, Endpoints, Frames, HALF_A_HELLO, PASSWORD, Person, Process, Processes, Scrape, Service,
    Settings, by_name, connect_and_write, eventually, sign_up,
};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use grpc_kit::client::could_not_connect;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::crashes::BINARIES;
use crate::tls::Files;

/// How long it takes calls after it was asked to end.
const LAME_DUCK: Duration = Duration::from_secs(1);
/// How long calls may take then.
const DRAIN: Duration = Duration::from_secs(5);
/// What is promised beyond that.
const MORE: Duration = Duration::from_secs(1);

/// Each makes twenty calls a second, over a connection of its own: a hundred together.
const CLIENTS: usize = 5;
const BETWEEN_CALLS: Duration = Duration::from_millis(50);
/// How long they do so before it is asked to end.
const BEFORE: Duration = Duration::from_secs(1);
/// How many of them have to have been made in the second before SIGTERM and in the one after it: a machine that has much else to
/// do makes some a little late.
const RATE: usize = 75;
/// Who calls beside them with passwords, one call after the other. There is one hash at a time, so that a call of one of them is
/// under way at any moment.
const SLOW_CLIENTS: usize = 2;

for_each_service!(
    a_peer_that_says_nothing,
    a_tls_handshake_that_is_half_done,
    a_watch_of_health,
    a_reflection_that_is_open,
    a_peer_that_takes_no_answer,
    a_store_that_somebody_else_has_locked,
    whoever_asks_is_told_before_it_ends,
    without_a_lame_duck_time_it_takes_no_call_more_and_answers_those_under_way,
    an_interrupt_is_answered_with_a_drain_as_well,
    a_second_signal_ends_it_at_once_whichever_the_two_are,
);

fn settings() -> Settings {
    hasty(Settings::default())
}

fn hasty(settings: Settings) -> Settings {
    settings
        .unlimited()
        .auth("SERVER__LAME_DUCK", "1s")
        .users("SERVER__LAME_DUCK", "1s")
        // So that a call with a password is under way when it ends.
        .auth("PASSWORD__MAX_PARALLEL_HASHES", "1")
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "4")
}

/// A call: when it was begun, when it was over, and what came of it.
struct Outcome {
    begun: Instant,
    over: Instant,
    result: Result<(), Status>,
}

impl Outcome {
    async fn of(call: impl Future<Output = Result<(), Status>>) -> Self {
        let begun = Instant::now();
        let result = call.await;
        Self { begun, over: Instant::now(), result }
    }

    fn was_under_way(&self, at: Instant) -> bool {
        self.begun < at && at < self.over
    }
}

/// A service under load.
struct Loaded {
    service: Service,
    processes: Processes,
    since: Instant,
    clients: Vec<JoinHandle<Vec<Outcome>>>,
    slow: Vec<JoinHandle<Vec<Outcome>>>,
}

impl Loaded {
    async fn start(service: Service, settings: Settings) -> Self {
        let tls = settings.client_tls();
        let mut processes = Processes::prepared(BINARIES, settings).await;
        Box::pin(processes.run_up_to(service)).await;
        processes.anonymous.ok(sign_up("somebody")).await;
        let person = Person::log_in(&processes.anonymous, "somebody").await;
        let [public, internal, users] = processes.listeners();
        let anonymous = || Caller::anonymous([Endpoints::new(public, internal, users, tls.clone())]);
        let slow = match service {
            Service::Auth => anonymous(),
            Service::Users => {
                let super_admin = processes.super_admin().await;
                super_admin.ok(create_user("somebody.else")).await;
                anonymous().bearer(&super_admin.token)
            }
        };
        let slow = (0..SLOW_CLIENTS).map(|_| {
            let slow = slow.clone();
            match service {
                Service::Auth => tokio::spawn(one_after_the_other(slow, log_in)),
                Service::Users => tokio::spawn(one_after_the_other(slow, set_password)),
            }
        });
        let slow = slow.collect();
        let clients =
            (0..CLIENTS).map(|_| tokio::spawn(steady(service, anonymous().bearer(&person.token)))).collect();
        Self { service, processes, since: Instant::now(), clients, slow }
    }

    fn listeners(&self) -> Vec<SocketAddr> {
        self.processes.listeners_of(self.service)
    }

    /// Connections that say this, one to each listener.
    async fn peers(&self, words: &[u8]) -> Vec<TcpStream> {
        join_all(self.listeners().into_iter().map(|listener| says(listener, words))).await
    }

    /// Asks it to end and holds it to what is promised.
    async fn ends_in_time(mut self, name: &str) {
        sleep_until(self.since + BEFORE).await;
        let asked = Instant::now();
        self.processes.process(self.service).terminate();
        let status = self.processes.died(self.service).await;
        let took = asked.elapsed();
        let (steady, slow) = (outcomes(self.clients).await, outcomes(self.slow).await);
        let begun = |from: Instant, to: Instant| {
            steady.iter().filter(|outcome| (from..to).contains(&outcome.begun)).count()
        };
        let (before, after) = (begun(asked - BEFORE, asked), begun(asked, asked + LAME_DUCK));
        let all = || steady.iter().chain(&slow);
        let [first, last] = [asked, asked + LAME_DUCK]
            .map(|moment| all().filter(|outcome| outcome.was_under_way(moment)).count());
        println!(
            "{name}: {took:?}, {} of {} calls OK; begun in the second before SIGTERM {before}, after it {after}; under way at \
             SIGTERM {first}, when it took no more {last}",
            all().filter(|outcome| outcome.result.is_ok()).count(),
            all().count()
        );
        assert!(status.success(), "{name}: {status}");
        assert!(took <= LAME_DUCK + DRAIN + MORE, "{name}: {took:?}");
        for Outcome { begun, over, result } in all() {
            let Err(failure) = result else { continue };
            let [begun, over] = [begun, over].map(|moment| moment.saturating_duration_since(asked));
            assert!(over >= LAME_DUCK, "{name}: {over:?} after it was asked to end: {failure:?}");
            // Between its beginning and its way to the service the machine may have had something else to do: then it came too
            // late. One that was on its way is answered.
            assert!(
                begun >= LAME_DUCK || was_not_sent(failure),
                "{name}: made {begun:?} after it was asked to end, and lost after {over:?}: {failure:?}"
            );
            // Nobody is there who could say anything: the caller's own transport does, by one code or another.
            assert!(failure.details().is_empty() && failure.source().is_some(), "{name}: {failure:?}");
        }
        assert!(before >= RATE && after >= RATE, "{name}: there was less load: {before}, then {after}");
        assert!(first > 0 && last > 0, "{name}: no call was under way: {first}, then {last}");
    }
}

/// Whether a call did not leave its caller: the connection was closed before, and for another one the door was shut.
fn was_not_sent(failure: &Status) -> bool {
    let causes = || successors(failure.source(), |&cause| cause.source());
    could_not_connect(failure)
        || causes().any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

async fn outcomes(clients: Vec<JoinHandle<Vec<Outcome>>>) -> Vec<Outcome> {
    join_all(clients).await.into_iter().flat_map(|client| client.expect("no panic")).collect()
}

/// Makes every call that is due, however late, until nobody answers.
async fn steady(service: Service, caller: Caller) -> Vec<Outcome> {
    let mut ticks = interval(BETWEEN_CALLS);
    let (mut calls, mut outcomes) = (JoinSet::new(), Vec::<Outcome>::new());
    while outcomes.iter().all(|outcome| outcome.result.is_ok()) {
        tokio::select! {
            _ = ticks.tick() => {
                let caller = caller.clone();
                calls.spawn(async move { Outcome::of(read(service, &caller)).await });
            }
            Some(outcome) = calls.join_next() => outcomes.push(outcome.expect("no panic")),
        }
    }
    outcomes.extend(calls.join_all().await);
    outcomes
}

async fn read(service: Service, caller: &Caller) -> Result<(), Status> {
    match service {
        Service::Auth => caller.once(GetCurrentSessionRequest {}).await.map(drop),
        Service::Users => caller.once(GetCurrentUserRequest::default()).await.map(drop),
    }
}

fn log_in() -> LogInRequest {
    LogInRequest { username: "somebody".into(), password: PASSWORD.into() }
}

fn create_user(username: &str) -> CreateUserRequest {
    CreateUserRequest {
        username: username.into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    }
}

fn set_password() -> SetUserPasswordRequest {
    SetUserPasswordRequest { user: by_name("somebody.else"), password: PASSWORD.into() }
}

/// Makes a call that takes long, until nobody answers.
async fn one_after_the_other<M: Call>(caller: Caller, message: fn() -> M) -> Vec<Outcome> {
    let mut outcomes = Vec::<Outcome>::new();
    while outcomes.iter().all(|outcome| outcome.result.is_ok()) {
        outcomes.push(Outcome::of(async { caller.once(message()).await.map(drop) }).await);
    }
    outcomes
}

/// Reads a stream to its end, which the draining service has to have made.
async fn was_ended<M>(mut stream: Streaming<M>) {
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            end => break end.map(drop),
        }
    };
    assert_eq!(end.expect_err("not an end like any other").code(), Code::Unavailable);
}

async fn says(address: SocketAddr, words: &[u8]) -> TcpStream {
    connect_and_write(address, words).await.expect("it listens")
}

async fn a_peer_that_says_nothing(service: Service) {
    beside_peers_that_say_nothing(service, Settings::default()).await;
}

pub(crate) async fn beside_peers_that_say_nothing(service: Service, settings: Settings) {
    let loaded = Loaded::start(service, hasty(settings)).await;
    let greeting = Frames::greeting().take().0;
    let mut peers = Vec::new();
    for words in [&b""[..], b"PRI *", &greeting] {
        peers.extend(loaded.peers(words).await);
    }
    loaded.ends_in_time("idle TCP peers").await;
    drop(peers);
}

async fn a_tls_handshake_that_is_half_done(service: Service) {
    let files = Files::new();
    let loaded = Loaded::start(service, files.added_to(settings())).await;
    let peers = loaded.peers(HALF_A_HELLO).await;
    loaded.ends_in_time("half-done TLS handshakes").await;
    drop(peers);
}

async fn a_watch_of_health(service: Service) {
    let loaded = Loaded::start(service, settings()).await;
    let [public, internal, users] = loaded.processes.listeners();
    let to = Endpoints::new(public, internal, users, None);
    let mut watches = Vec::new();
    for channel in to.of(service) {
        for service in ["", "no.such.Service"] {
            let request = HealthCheckRequest { service: service.to_owned() };
            let watch = HealthClient::new(channel.clone()).watch(request).await.expect("a stream");
            watches.push(watch.into_inner());
        }
    }
    loaded.ends_in_time("open Health/Watch").await;
    join_all(watches.into_iter().map(was_ended)).await;
}

/// A stream that ends when its client ends it, and no sooner.
async fn a_reflection_that_is_open(service: Service) {
    let loaded = Loaded::start(service, settings()).await;
    let [public, internal, users] = loaded.processes.listeners();
    let to = Endpoints::new(public, internal, users, None);
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let asked = stream::iter([request]).chain(stream::pending());
    let mut client = ServerReflectionClient::new(to.of(service)[0].clone());
    let mut answers = client.server_reflection_info(asked).await.expect("a stream").into_inner();
    answers.message().await.expect("an answer").expect("the first");
    loaded.ends_in_time("an open reflection").await;
    was_ended(answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_accounts() {
    let loaded = Loaded::start(Service::Auth, settings()).await;
    let mut feed = loaded.processes.full().of_the_first_replica().watch("").await.expect("a stream");
    feed.message().await.expect("the first account").expect("there is one");
    loaded.ends_in_time("open WatchAccounts").await;
    was_ended(feed).await;
}

/// The only one whose calls are cut: at the end of the drain.
async fn a_peer_that_takes_no_answer(service: Service) {
    let loaded = Loaded::start(service, settings()).await;
    let mut frames = Frames::greeting();
    frames.closed_windows();
    for _ in 0..10 {
        frames.whole_call("/grpc.health.v1.Health/Check").expect("a stream");
    }
    let peer = says(loaded.listeners()[0], &frames.take().0).await;
    loaded.ends_in_time("a peer that takes no answer").await;
    drop(peer);
}

/// A service that runs, and who may write to its store.
async fn with_a_writer(service: Service, settings: Settings) -> (Processes, Caller) {
    let mut processes = Processes::prepared(BINARIES, settings).await;
    Box::pin(processes.run_up_to(service)).await;
    let writer = match service {
        Service::Auth => processes.anonymous.clone(),
        Service::Users => {
            let super_admin = processes.super_admin().await;
            super_admin.ok(create_user("somebody")).await;
            (*super_admin).clone()
        }
    };
    (processes, writer.of_the_first_replica())
}

/// A call that writes to the store of the service.
async fn write(service: Service, caller: &Caller) -> Result<(), Status> {
    match service {
        Service::Auth => caller.raw(sign_up("a.latecomer")).await.map(drop),
        Service::Users => {
            let request = GrantAdminRequest { user: by_name("somebody"), etag: String::new() };
            caller.raw(request).await.map(drop)
        }
    }
}

/// Locks the store, has somebody wait for it, and returns when that call is under way.
async fn waiting_for_the_store(
    service: Service,
    processes: &Processes,
    writer: &Caller,
) -> (Box<dyn Send>, JoinHandle<Result<(), Status>>) {
    let locked = processes.data().occupy(service).await;
    let writer = writer.clone();
    let waiting = tokio::spawn(async move { write(service, &writer).await });
    let method = match service {
        Service::Auth => "SignUp",
        Service::Users => "GrantAdmin",
    };
    eventually("the call to be under way", async || {
        let page = Scrape::of(processes.ops(service)).await;
        let begun = page.value("grpc_server_started_total", &[("grpc_method", method)]);
        (begun == Some(1.0)).then_some(())
    })
    .await;
    (locked, waiting)
}

/// A call that waits for it is answered or cut, and nothing else waits any longer.
async fn a_store_that_somebody_else_has_locked(service: Service) {
    let (mut processes, writer) = with_a_writer(service, settings()).await;
    let (locked, waiting) = waiting_for_the_store(service, &processes, &writer).await;
    let asked = Instant::now();
    processes.process(service).terminate();
    let status = processes.died(service).await;
    let took = asked.elapsed();
    println!("a locked store: {took:?}");
    assert!(status.success(), "{status}");
    assert!(took <= LAME_DUCK + DRAIN + MORE, "{took:?}");
    waiting.await.expect("no panic").expect_err("nobody could write it");
    drop(locked);
}

async fn whoever_asks_is_told_before_it_ends(service: Service) {
    let (mut processes, writer) = with_a_writer(service, settings()).await;
    let ops = processes.ops(service);
    assert_eq!(e2e::get(ops, "/readyz").await.0, 200);
    processes.process(service).terminate();
    eventually("that it says it is draining", async || {
        (e2e::get(ops, "/readyz").await == (503, "draining".to_owned())).then_some(())
    })
    .await;
    assert_eq!(e2e::get(ops, "/livez").await.0, 200, "which is no reason to kill it");
    write(service, &writer).await.expect("it still takes calls");
    assert!(timeout(LAME_DUCK + DRAIN + MORE, processes.died(service)).await.expect("in time").success());
}

async fn without_a_lame_duck_time_it_takes_no_call_more_and_answers_those_under_way(service: Service) {
    answers_those_under_way(service, Process::terminate).await;
}

/// Whoever started it by hand ends it with Ctrl+C.
async fn an_interrupt_is_answered_with_a_drain_as_well(service: Service) {
    answers_those_under_way(service, Process::interrupt).await;
}

async fn answers_those_under_way(service: Service, ask_to_end: fn(Process)) {
    let settings = Settings::default()
        .auth("SERVER__LAME_DUCK", "0s")
        .users("SERVER__LAME_DUCK", "0s")
        .auth("SERVER__DRAIN", "30s")
        .users("SERVER__DRAIN", "30s");
    let (mut processes, writer) = with_a_writer(service, settings).await;
    let (locked, waiting) = waiting_for_the_store(service, &processes, &writer).await;
    ask_to_end(processes.process(service));
    for listener in processes.listeners_of(service) {
        eventually("that nobody is let in any more", async || TcpStream::connect(listener).await.err()).await;
    }
    assert_eq!(e2e::get(processes.ops(service), "/readyz").await, (503, "draining".to_owned()));
    assert!(!waiting.is_finished(), "the call was cut: {:?}", waiting.await);
    drop(locked);
    waiting.await.expect("no panic").expect("it was under way when the end began");
    assert!(processes.died(service).await.success());
}

async fn a_second_signal_ends_it_at_once_whichever_the_two_are(service: Service) {
    // It would be there for a minute.
    let (lame_duck, settings) = ("1m", Settings::default());
    let settings = match service {
        Service::Auth => settings.auth("SERVER__LAME_DUCK", lame_duck),
        Service::Users => settings.users("SERVER__LAME_DUCK", lame_duck),
    };
    let mut processes = Processes::prepared(BINARIES, settings).await;
    Box::pin(processes.run_up_to(service)).await;
    let ops = processes.ops(service);
    let signals: [[fn(Process); 2]; 3] = [
        [Process::interrupt, Process::interrupt],
        [Process::interrupt, Process::terminate],
        [Process::terminate, Process::interrupt],
    ];
    for [first, second] in signals {
        // The first of them runs.
        processes.run(service, None).await;
        first(processes.process(service));
        eventually("that it says it is draining", async || {
            (e2e::get(ops, "/readyz").await == (503, "draining".to_owned())).then_some(())
        })
        .await;
        second(processes.process(service));
        // What a shell says of whoever was interrupted: nobody else ends so.
        assert_eq!(processes.died(service).await.code(), Some(130));
    }
}
