//! auth-service cut off in every way in which processes, hosts and networks fail, under load, while both run as real
//! processes. `TANDEM_OUTAGE_SECONDS` says for how long; `tests/run outage` does it for a minute each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use api::users::{GetCurrentUserRequest, ListUsersRequest};
use e2e::{
    Caller, Failure, Mode, Person, Processes, Scrape, Service, Settings, USERS, Way, eventually, get, sign_up,
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use crate::crashes::BINARIES;

/// Who calls without pause but this, and how long each gives a call, as its own client sees to.
const CALLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
const DEADLINE: &str = "1S";

/// When users-service lets in again at the latest, once auth-service is back.
const BACK: Duration = Duration::from_secs(5);

/// In KiB: what the callers' own calls need while they wait, and what an allocator keeps of it.
const GROWTH: u64 = 16 * 1024;
/// Connections that are tried, and those that wait to be closed.
const MORE_FILES: usize = 16;
/// What each caller's call needs while it waits.
const MORE_TASKS: usize = 4 * CALLERS;
/// What may be other than before by chance: connections that are made anew, work in the background.
const LEFT_TASKS: usize = 4;

fn duration() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "how long is said by whoever runs the tests")]
    let seconds = std::env::var("TANDEM_OUTAGE_SECONDS");
    Duration::from_secs(seconds.map_or(4, |seconds| seconds.parse().expect("a number of seconds")))
}

/// What came of the calls, by code and reason.
#[derive(Default)]
struct Outcomes(Mutex<BTreeMap<String, usize>>);

impl Outcomes {
    async fn of(&self, caller: &Caller) {
        let outcome = match caller.raw(GetCurrentUserRequest::default()).await {
            Ok(_) => "OK".to_owned(),
            Err(status) if status.details().is_empty() => format!("{:?} {}", status.code(), status.message()),
            Err(status) => Failure::of(&status, USERS).reason,
        };
        *self.0.lock().expect("nobody panics with it").entry(outcome).or_default() += 1;
    }

    fn all(self) -> BTreeMap<String, usize> {
        self.0.into_inner().expect("nobody panicked with it")
    }
}

async fn load(callers: &[Caller], until: Instant) -> BTreeMap<String, usize> {
    let outcomes = Outcomes::default();
    let callers = (0..CALLERS).map(async |number| {
        let caller = &callers[number % callers.len()];
        while Instant::now() < until {
            outcomes.of(caller).await;
            sleep(PAUSE).await;
        }
    });
    join_all(callers).await;
    outcomes.all()
}

async fn cut_off(how: Mode) {
    let settings =
        Settings::on(Settings::default().engine()).proxied().users("IDENTITY_PROVIDER__TIMEOUT", "2s");
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let super_admin = pair.super_admin().await;
    let hurried = super_admin.with("grpc-timeout", DEADLINE);
    let impostor = pair.anonymous.bearer("nonsense").with("grpc-timeout", DEADLINE);
    let callers = [hurried.clone(), impostor.clone(), hurried, impostor];

    // Nobody is in a hurry while all is well: how fast that is depends on what else the machine does.
    let at_ease = [(*super_admin).clone(), pair.anonymous.bearer("nonsense")];
    let before = load(&at_ease, Instant::now() + Duration::from_secs(1)).await;
    assert!(before.keys().eq(["OK", "UNAUTHENTICATED"]), "{how:?}: {before:?}");
    let users = pair.process(Service::Users);
    let (memory, files) = (users.memory(), users.open_files());
    let ops = pair.ops(Service::Users);
    let before_it = tasks(ops).await;

    pair.proxy(Way::ToAuth, 0).set(how).await;
    // Whoever was under way may still be answered.
    sleep(Duration::from_millis(100)).await;
    let end = Instant::now() + duration();
    let most = async {
        let mut most = (0, 0, 0);
        while Instant::now() < end {
            let (memory, files, tasks) = (users.memory(), users.open_files(), tasks(ops).await);
            most = (most.0.max(memory), most.1.max(files), most.2.max(tasks));
            sleep_until((Instant::now() + PAUSE).min(end)).await;
        }
        most
    };
    let (during, (most_memory, most_files, most_tasks)) = tokio::join!(load(&callers, end), most);
    let answered: usize = during.values().sum();
    assert!(during.keys().eq(["IDENTITY_PROVIDER_UNAVAILABLE"]), "{how:?}: {during:?}");
    assert_eq!(get(ops, "/readyz").await.0, 200, "it answers, so it is ready");
    assert!(most_memory <= memory + GROWTH, "{how:?}: {memory} KiB, then {most_memory}");
    assert!(most_files <= files + MORE_FILES, "{how:?}: {files} descriptors, then {most_files}");
    assert!(most_tasks <= before_it + MORE_TASKS, "{how:?}: {before_it} tasks, then {most_tasks}");

    pair.anonymous.ok(sign_up("meanwhile")).await;
    pair.proxy(Way::ToAuth, 0).set(Mode::Pass).await;
    let mended = Instant::now();
    let back = eventually("users-service to let in again", async || {
        let _ =
            super_admin.with("grpc-timeout", DEADLINE).raw(GetCurrentUserRequest::default()).await.ok()?;
        Some(mended.elapsed())
    })
    .await;
    pair.anonymous.bearer("nonsense").refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    follows_the_feed(&super_admin).await;
    assert!(back < BACK, "it took {back:?} to let in again");
    eventually("every task of the outage to be over", async || {
        (tasks(ops).await <= before_it + LEFT_TASKS).then_some(())
    })
    .await;
    println!(
        "{how:?}: {answered} calls refused; {memory} KiB, {files} descriptors and {before_it} tasks before, {most_memory}, \
         {most_files} and {most_tasks} at most; let in again after {back:?}, the feed followed after {:?}",
        mended.elapsed()
    );
}

/// How many tasks a process has that are not over.
async fn tasks(ops: SocketAddr) -> usize {
    Scrape::of(ops).await.count("tandem_tasks", &[])
}

async fn follows_the_feed(super_admin: &Person) {
    eventually("the feed to be followed again", async || {
        let request = ListUsersRequest { username_prefix: "meanwhile".into(), ..Default::default() };
        (!super_admin.ok(request).await.message.users.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_refuses_connections_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_host_is_gone_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_answers_a_byte_a_second_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::Rate(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_answers_garbage_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_connections_are_reset_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_answers_are_lost_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::SwallowReplies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_says_nothing_more_lets_nobody_in_and_is_back_at_once() {
    cut_off(Mode::HalfClose).await;
}
