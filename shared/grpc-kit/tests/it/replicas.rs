//! Which replica of a server is called, as they fail, move and come back.

use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::stream::{BoxStream, pending as never};
use grpc_kit::client::{
    Away, Chosen, Failing, Last, Name, Names, Peers, could_not_connect, explained, was_not_processed,
};
use grpc_kit::{CallLayer, Ended, ServerSettings, Shutdown, Trigger, health, serve};
use test_kit::Reserved;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Far longer than anything here takes, far shorter than a build that hangs.
const SOON: Duration = Duration::from_secs(20);
/// How long a call here is waited for that is not answered.
const PATIENCE: Duration = Duration::from_millis(50);

/// A directory of one name, which a test may change.
#[derive(Clone, Default)]
struct Directory {
    listed: Arc<Mutex<Vec<SocketAddr>>>,
    looked_up: Arc<AtomicUsize>,
}

impl Directory {
    fn of(addresses: &[SocketAddr]) -> Self {
        let directory = Self::default();
        directory.lists(addresses);
        directory
    }

    fn lists(&self, addresses: &[SocketAddr]) {
        *self.listed.lock().expect("nobody panics with it") = addresses.to_vec();
    }

    fn peers(&self) -> Peers {
        Self::behind(self.names())
    }

    fn names(&self) -> Names {
        let directory = self.clone();
        let look_up = move |name: String, port: u16| {
            let listed = directory.listed.lock().expect("nobody panics with it").clone();
            directory.looked_up.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!((name.as_str(), port), ("replicas.test", 7));
                if listed.is_empty() { Err(io::Error::other("no such name")) } else { Ok(listed) }
            }
            .boxed()
        };
        Names::by(look_up)
    }

    fn behind(names: Names) -> Peers {
        Peers::behind(Name {
            host: "replicas.test".into(),
            port: 7,
            names,
            endpoint: Endpoint::from_static("http://replicas.test:7"),
            connect_timeout: Duration::from_secs(1),
        })
    }
}

/// How a replica answers.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Serving,
    NotServing,
    /// Not at all.
    Silent,
}

/// A server whose one service is its health, which is also what the calls of the tests ask.
#[derive(Clone)]
struct Replica {
    mood: watch::Receiver<Mood>,
    asked: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Health for Replica {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.borrow();
        let status = match mood {
            Mood::Serving => ServingStatus::Serving,
            Mood::NotServing => ServingStatus::NotServing,
            Mood::Silent => return pending().await,
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(Box::pin(never())))
    }
}

/// A replica that runs.
struct Running {
    at: Reserved,
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    asked: Arc<AtomicUsize>,
    trigger: Trigger,
    ended: JoinHandle<Ended>,
}

impl Running {
    async fn start() -> Self {
        Gone(Reserved::new()).start(Mood::Serving).await
    }

    async fn stop(self) -> Gone {
        self.trigger.request();
        self.ended.await.expect("it ends");
        Gone(self.at)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A replica that does not run.
struct Gone(Reserved);

impl Gone {
    const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    async fn start(self, mood: Mood) -> Running {
        let address = self.address();
        let listener = TcpListener::bind(address).await.expect("its own address");
        let (sender, mood) = watch::channel(mood);
        let asked = Arc::new(AtomicUsize::new(0));
        let routes = Routes::new(HealthServer::new(Replica { mood, asked: Arc::clone(&asked) }));
        let (trigger, shutdown) = Shutdown::new();
        let settings = ServerSettings { drain: Duration::ZERO, ..ServerSettings::default() };
        let layer =
            CallLayer::new("probe.tandem").serving(&[], &[health::SERVICE]).expect("health is described");
        let ended = tokio::spawn(serve(listener, routes, layer, settings, shutdown));
        Running { at: self.0, address, mood: sender, asked, trigger, ended }
    }
}

async fn chosen(peers: &Peers) -> Result<Chosen, Away> {
    peers.choose(&mut Last::default()).await
}

/// Calls whichever replica is its turn and says what came of it, as every user of [`Peers`] does.
async fn call(peers: &Peers) -> Result<(), Status> {
    let chosen = chosen(peers).await.map_err(|away| Status::unavailable(away.to_string()))?;
    let mut client = HealthClient::new(chosen.clone());
    let asked = timeout(PATIENCE, client.check(HealthCheckRequest::default()))
        .await
        .unwrap_or_else(|_| Err(Status::unavailable("too slow")));
    match &asked {
        Ok(_) => chosen.answered(),
        Err(status) if could_not_connect(status) => {
            peers.not_answered(&chosen, Failing::NoConnection, status);
        }
        Err(status) => peers.not_answered(&chosen, Failing::NoAnswer, status),
    }
    asked.map(drop)
}

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, looking).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// Who is called over so many choices: each is named by how it shows itself.
async fn all_chosen(peers: &Peers) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for _ in 0..50 {
        if let Ok(chosen) = chosen(peers).await {
            all.insert(format!("{chosen:?}"));
        }
        yield_now().await;
    }
    all
}

fn names(all: &BTreeSet<String>, address: SocketAddr) -> bool {
    all.iter().any(|shown| shown.contains(&format!("way: {address}")))
}

#[tokio::test]
async fn every_address_of_a_name_is_called() {
    let (one, other) = (Running::start().await, Running::start().await);
    let peers = Directory::of(&[one.address, other.address, one.address]).peers();
    let all = all_chosen(&peers).await;
    assert!(all.len() == 2 && names(&all, one.address) && names(&all, other.address), "{all:?}");
    for _ in 0..50 {
        call(&peers).await.expect("it is answered");
    }
    assert!(one.asked() > 0 && other.asked() > 0, "{} and {}", one.asked(), other.asked());
}

#[tokio::test]
async fn of_two_the_one_with_fewer_calls_under_way_is_called() {
    let (one, other) = (Running::start().await, Running::start().await);
    let peers = Directory::of(&[one.address, other.address]).peers();
    let busy = chosen(&peers).await.expect("one of them");
    let is_one = format!("{busy:?}").contains(&one.address.to_string());
    let idle = if is_one { other.address } else { one.address };
    let all = all_chosen(&peers).await;
    assert!(all.len() == 1 && names(&all, idle), "{all:?}");
    drop(busy);
    assert_eq!(all_chosen(&peers).await.len(), 2);
}

#[tokio::test]
async fn a_call_that_is_repeated_goes_to_another_if_there_is_one() {
    let (one, other) = (Running::start().await, Running::start().await);
    let peers = Directory::of(&[one.address, other.address]).peers();
    for _ in 0..20 {
        let mut last = Last::default();
        let first = format!("{:?}", peers.choose(&mut last).await.expect("one"));
        let second = format!("{:?}", peers.choose(&mut last).await.expect("the other"));
        assert_ne!(first, second);
    }
    let alone = Peers::one(Endpoint::from_static("http://127.0.0.1:1"));
    let mut last = Last::default();
    for _ in 0..2 {
        drop(alone.choose(&mut last).await.expect("the only one"));
    }
}

#[tokio::test]
async fn one_that_refuses_connections_gets_no_call_until_it_says_that_it_serves() {
    let (gone, there) = (Running::start().await.stop().await, Running::start().await);
    let peers = Directory::of(&[gone.address(), there.address]).peers();
    let mut failures = 0;
    for _ in 0..50 {
        if let Err(status) = call(&peers).await {
            assert!(could_not_connect(&status) && was_not_processed(&status), "{status:?}");
            let said = explained(&status);
            assert!(said.contains("Connection refused"), "the log should say what is wrong: {said}");
            failures += 1;
        }
    }
    assert_eq!(failures, 1, "the first call that goes there");
    let again = gone.start(Mood::NotServing).await;
    until("the second question", async || (again.asked() >= 2).then_some(())).await;
    assert!(!names(&all_chosen(&peers).await, again.address), "it does not serve");
    again.mood.send_replace(Mood::Serving);
    until("a call to it", async || names(&all_chosen(&peers).await, again.address).then_some(())).await;
    call(&peers).await.expect("whoever it is answers");
}

#[tokio::test]
async fn one_that_does_not_answer_is_left_alone_after_five_calls_in_a_row() {
    let replica = Running::start().await;
    let peers = Directory::of(&[replica.address]).peers();
    for failures in [4, 4, 5] {
        call(&peers).await.expect("one that answers in between");
        replica.mood.send_replace(Mood::Silent);
        for _ in 0..failures {
            call(&peers).await.expect_err("nobody answers");
        }
        if failures < 5 {
            replica.mood.send_replace(Mood::Serving);
        }
    }
    for _ in 0..3 {
        assert!(matches!(chosen(&peers).await, Err(Away::Silent)), "it is left alone");
    }
    replica.mood.send_replace(Mood::Serving);
    until("it to answer again", async || call(&peers).await.ok()).await;
}

#[tokio::test]
async fn calls_of_which_nothing_is_said_change_nothing() {
    let replica = Running::start().await;
    let peers = Directory::of(&[replica.address]).peers();
    for _ in 0..20 {
        drop(chosen(&peers).await.expect("it is called"));
    }
    call(&peers).await.expect("it is answered");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_followed() {
    let (old, new) = (Running::start().await, Running::start().await);
    let directory = Directory::of(&[old.address]);
    let peers = directory.peers();
    call(&peers).await.expect("it is answered");
    directory.lists(&[new.address]);
    // The sooner because it is missed.
    let old = old.stop().await;
    until("a call to the new one", async || call(&peers).await.ok()).await;
    let all = all_chosen(&peers).await;
    assert!(names(&all, new.address) && !names(&all, old.address()), "{all:?}");

    directory.lists(&[]);
    let (before, new) = (directory.looked_up.load(Ordering::SeqCst), new.stop().await);
    call(&peers).await.expect_err("nobody is there");
    until("another look", async || (directory.looked_up.load(Ordering::SeqCst) > before).then_some(())).await;
    let _again = new.start(Mood::Serving).await;
    until("what is known to stay", async || call(&peers).await.ok()).await;
}

#[tokio::test]
async fn those_who_take_the_place_of_others_know_what_a_name_led_to() {
    let replica = Running::start().await;
    let directory = Directory::of(&[replica.address]);
    let names = directory.names();
    call(&Directory::behind(names.clone())).await.expect("it is answered");
    directory.lists(&[]);
    call(&Directory::behind(names)).await.expect("it is answered though nobody can look the name up");
    chosen(&directory.peers()).await.expect_err("others know nobody");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_is_said_so_until_it_does() {
    let replica = Running::start().await;
    let directory = Directory::default();
    let peers = directory.peers();
    let away = chosen(&peers).await.expect_err("nobody is known");
    assert!(matches!(&away, Away::Nameless(why) if why.contains("no such name")), "{away}");
    directory.lists(&[replica.address]);
    until("a call", async || call(&peers).await.ok()).await;
}

#[tokio::test]
async fn one_address_without_a_name_is_left_alone_too() {
    let gone = Running::start().await.stop().await;
    let peers = Peers::one(Endpoint::from_shared(format!("http://{}", gone.address())).expect("an URL"));
    call(&peers).await.expect_err("nobody is there");
    assert!(matches!(chosen(&peers).await, Err(Away::Silent)));
    let _again = gone.start(Mood::Serving).await;
    until("it to answer again", async || call(&peers).await.ok()).await;
}

#[tokio::test]
async fn a_moment_without_anybody_is_waited_for_and_an_outage_is_not() {
    let gone = Running::start().await.stop().await;
    let peers = Peers::one(Endpoint::from_shared(format!("http://{}", gone.address())).expect("an URL"));
    call(&peers).await.expect_err("nobody is there");
    let _again = gone.start(Mood::Serving).await;
    call(&peers).await.expect("it is back in a moment");

    let gone = Running::start().await.stop().await;
    let peers = Peers::one(Endpoint::from_shared(format!("http://{}", gone.address())).expect("an URL"));
    call(&peers).await.expect_err("nobody is there");
    assert!(matches!(chosen(&peers).await, Err(Away::Silent)));
    let told = chosen(&peers).now_or_never();
    assert!(matches!(told, Some(Err(Away::Silent))), "whoever comes later is told at once");
}

#[tokio::test]
async fn what_is_learned_on_a_connection_of_before_says_nothing_about_the_one_after_it() {
    let replica = Running::start().await;
    let peers = Directory::of(&[replica.address]).peers();
    let of_before = chosen(&peers).await.expect("it is called");
    peers.not_answered(&of_before, Failing::NoConnection, &"gone");
    until("it to be called again", async || chosen(&peers).await.ok()).await;
    peers.not_answered(&of_before, Failing::NoConnection, &"gone");
    let told = chosen(&peers).now_or_never();
    assert!(matches!(told, Some(Ok(_))), "it is called as before");
}
