//! auth-service cut off in every way in which processes, hosts and networks fail, under load, while both run as real
//! processes. `TANDEM_OUTAGE_SECONDS` says for how long, and `TANDEM_OUTAGE_USERS_SERVICE` where another users-service is than
//! that of the tests; `tests/run outage` does it for a minute each, with what is shipped.

mod backlog;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use api::users::{GetCurrentUserRequest, ListUsersRequest};
use e2e::{
    Binaries, Caller, Failure, Mode, Person, Process, Processes, Scrape, Service, Settings, USERS, Way,
    eventually, get, sign_up,
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use self::backlog::Backlog;
use crate::crashes::BINARIES;

/// Who calls without pause but this, and how long each gives a call, as its own client sees to.
const CALLERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(100);
const DEADLINE: &str = "1S";
/// How soon half of them are refused at the latest: who has found out that nobody answers does not wait for it again.
const SOON: Duration = Duration::from_millis(500);

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
/// When those have been answered who waited to find out, and the outage is what it is.
const KNOWN: Duration = Duration::from_millis(1500);
/// What the last third of what follows may take beyond the first, in KiB: more of it would be a leak.
const DRIFT: u64 = 1024;

fn duration() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "how long is said by whoever runs the tests")]
    let seconds = std::env::var("TANDEM_OUTAGE_SECONDS");
    Duration::from_secs(seconds.map_or(4, |seconds| seconds.parse().expect("a number of seconds")))
}

/// With the users-service of whoever runs the tests, if that is another one.
fn binaries() -> Binaries {
    #[expect(clippy::disallowed_methods, reason = "which one it is is said by whoever runs the tests")]
    let users = std::env::var("TANDEM_OUTAGE_USERS_SERVICE");
    Binaries { users: users.map_or(BINARIES.users, |users| users.leak()), ..BINARIES }
}

/// What came of the calls, by code and reason, and how long each took.
#[derive(Default)]
struct Outcomes(Mutex<(BTreeMap<String, usize>, Vec<Duration>)>);

impl Outcomes {
    async fn of(&self, caller: &Caller) {
        let asked = Instant::now();
        let outcome = match caller.raw(GetCurrentUserRequest::default()).await {
            Ok(_) => "OK".to_owned(),
            Err(status) if status.details().is_empty() => format!("{:?} {}", status.code(), status.message()),
            Err(status) => Failure::of(&status, USERS).reason,
        };
        let took = asked.elapsed();
        let (all, times) = &mut *self.0.lock().expect("nobody panics with it");
        *all.entry(outcome).or_default() += 1;
        times.push(took);
    }
}

/// What came of the calls, and how long half of them took at most.
async fn load(callers: &[Caller], until: Instant) -> (BTreeMap<String, usize>, Duration) {
    let outcomes = Outcomes::default();
    let callers = (0..CALLERS).map(async |number| {
        let caller = &callers[number % callers.len()];
        while Instant::now() < until {
            outcomes.of(caller).await;
            sleep(PAUSE).await;
        }
    });
    join_all(callers).await;
    let (all, times) = outcomes.0.into_inner().expect("nobody panicked with it");
    (all, middle(times.into_iter()))
}

fn middle<T: Ord + Copy>(of: impl Iterator<Item = T>) -> T {
    let mut sorted: Vec<_> = of.collect();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// What a process takes at a moment.
#[derive(Clone, Copy, Debug)]
struct Usage {
    /// In KiB.
    memory: u64,
    files: usize,
    tasks: usize,
}

impl Usage {
    async fn of(process: Process, ops: SocketAddr) -> Self {
        Self { memory: process.memory(), files: process.open_files(), tasks: tasks(ops).await }
    }

    /// What of it is usual among these, and what the most.
    fn among(all: &[Self]) -> [Self; 2] {
        let of = |memory, files, tasks| Self { memory, files, tasks };
        let (memory, files) = (all.iter().map(|one| one.memory), all.iter().map(|one| one.files));
        let tasks = all.iter().map(|one| one.tasks);
        let usual = of(middle(memory.clone()), middle(files.clone()), middle(tasks.clone()));
        let most = memory.max().zip(files.max()).zip(tasks.max());
        let ((memory, files), tasks) = most.expect("it was looked at");
        [usual, of(memory, files, tasks)]
    }
}

/// Looks at a process until then.
async fn watched(process: Process, ops: SocketAddr, until: Instant) -> Vec<Usage> {
    let mut seen = Vec::new();
    while Instant::now() < until {
        seen.push(Usage::of(process, ops).await);
        sleep_until((Instant::now() + PAUSE).min(until)).await;
    }
    seen
}

/// How auth-service is away.
#[derive(Clone, Copy)]
enum Away {
    /// The way there is broken in this way.
    Broken(Mode),
    /// Its host takes no notice of who connects.
    Deaf,
}

impl Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(mode) => write!(f, "{mode:?}"),
            Self::Deaf => f.write_str("Deaf"),
        }
    }
}

async fn cut_off(how: Away) {
    let settings =
        Settings::on(Settings::default().engine()).proxied().users("IDENTITY_PROVIDER__TIMEOUT", "2s");
    let mut pair = Processes::start_with(binaries(), settings).await;
    let super_admin = pair.super_admin().await;
    let hurried = super_admin.with("grpc-timeout", DEADLINE);
    let impostor = pair.anonymous.bearer("nonsense").with("grpc-timeout", DEADLINE);
    let callers = [hurried.clone(), impostor.clone(), hurried, impostor];

    // Nobody is in a hurry while all is well: how fast that is depends on what else the machine does.
    let at_ease = [(*super_admin).clone(), pair.anonymous.bearer("nonsense")];
    let (before, _) = load(&at_ease, Instant::now() + Duration::from_secs(1)).await;
    assert!(before.keys().eq(["OK", "UNAUTHENTICATED"]), "{how}: {before:?}");
    let (users, ops) = (pair.process(Service::Users), pair.ops(Service::Users));
    let before = Usage::of(users, ops).await;

    let way = pair.proxy(Way::ToAuth, 0);
    let mut backlog = None;
    match how {
        Away::Broken(mode) => way.set(mode).await,
        Away::Deaf => {
            way.set(Mode::Refuse).await;
            backlog = Some(Backlog::full(way.address()).await);
        }
    }
    // Whoever was under way may still be answered.
    sleep(Duration::from_millis(100)).await;
    let end = Instant::now() + duration();
    let known = Instant::now() + KNOWN;
    let usage = async { (watched(users, ops, known).await, watched(users, ops, end).await) };
    let ((during, half), (at_first, then)) = tokio::join!(load(&callers, end), usage);
    let answered: usize = during.values().sum();
    let third = then.len() / 3;
    assert!(third > 0, "{how}: it was looked at {} times only", then.len());
    let ([first, _], [last, _]) = (Usage::among(&then[..third]), Usage::among(&then[then.len() - third..]));
    let [_, most] = Usage::among(&[at_first, then].concat());
    println!(
        "{how}: {answered} calls refused, half of them within {half:?}, {before:?} before, {most:?} at most, {first:?} in the \
         first third, {last:?} in the last"
    );
    assert!(during.keys().eq(["IDENTITY_PROVIDER_UNAVAILABLE"]), "{how}: {during:?}");
    assert!(half < SOON, "{how}: half of the calls waited for {half:?} or longer");
    assert_eq!(get(ops, "/readyz").await.0, 200, "it answers, so it is ready");
    assert!(most.memory <= before.memory + GROWTH, "{how}: {before:?}, then {most:?}");
    assert!(most.files <= before.files + MORE_FILES, "{how}: {before:?}, then {most:?}");
    assert!(most.tasks <= before.tasks + MORE_TASKS, "{how}: {before:?}, then {most:?}");
    assert!(last.memory <= first.memory + DRIFT, "{how}: {first:?}, then {last:?}");
    assert!(last.files <= first.files + LEFT_TASKS, "{how}: {first:?}, then {last:?}");
    assert!(last.tasks <= first.tasks + LEFT_TASKS, "{how}: {first:?}, then {last:?}");

    pair.anonymous.ok(sign_up("meanwhile")).await;
    drop(backlog);
    way.set(Mode::Pass).await;
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
        (tasks(ops).await <= before.tasks + LEFT_TASKS).then_some(())
    })
    .await;
    println!("{how}: let in again after {back:?}, the feed followed after {:?}", mended.elapsed());
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
    cut_off(Away::Broken(Mode::Refuse)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_host_is_gone_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::BlackHole)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_answers_a_byte_a_second_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::Rate(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_answers_garbage_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::Garbage)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_connections_are_reset_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::Reset)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_answers_are_lost_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::SwallowReplies)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_says_nothing_more_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Broken(Mode::HalfClose)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_whose_host_does_not_hear_who_connects_lets_nobody_in_and_is_back_at_once() {
    cut_off(Away::Deaf).await;
}
