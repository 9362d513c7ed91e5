//! The replicas of a service are replaced in turn under load, as a rolling update does, behind a client that calls all of
//! them by one name: hardly a call fails. Each is at another address after it, and the name leads there as soon as it wants
//! calls, so that a client that did not look the name up again would soon find nobody. The client of auth-service is a
//! users-service, that of users-service is made of the same parts.
//!
//! Where the name leads is said by the test. That the DNS is asked, and what it takes to learn of a change, is not shown here.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use api::users::users_service_client::UsersServiceClient;
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, InactivateUserRequest, ListUsersRequest, ReactivateUserRequest,
    UserRole,
};
use clock::SystemClock;
use e2e::{Caller, Endpoints, PASSWORD, Person, Processes, Service, Settings, by_id, eventually};
use futures::FutureExt as _;
use futures::future::join_all;
use grpc_kit::Shutdown;
use grpc_kit::client::{Failing, Last, Name, Names, Peers, Traced, could_not_connect, was_not_processed};
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use users_service::{Listeners, UsersService};

use crate::crashes::BINARIES;

const REPLICAS: usize = 2;
/// How often each is replaced.
const TURNS: usize = 2;
const READERS: usize = 10;
/// How often a client makes a call at most.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a replica serves, once it is known, before the next one is replaced: together `minReadySeconds` of a Deployment,
/// which is far longer than until names are looked up again.
const BETWEEN: Duration = Duration::from_secs(2);

/// Where the name of the replicas leads, and whether anybody has asked since it led there.
#[derive(Clone, Default)]
struct Directory(Arc<Mutex<(Vec<SocketAddr>, bool)>>);

impl Directory {
    fn of(pair: &Processes, service: Service) -> Self {
        let directory = Self::default();
        directory.leads_to(pair.found_at(service));
        directory
    }

    fn names(&self) -> Names {
        let directory = self.clone();
        Names::by(move |_, _| {
            let mut entry = directory.entry();
            entry.1 = true;
            ready(Ok(entry.0.clone())).boxed()
        })
    }

    fn leads_to(&self, addresses: Vec<SocketAddr>) {
        *self.entry() = (addresses, false);
    }

    async fn is_known(&self) {
        eventually("the name to be looked up", async || self.entry().1.then_some(())).await;
    }

    fn entry(&self) -> MutexGuard<'_, (Vec<SocketAddr>, bool)> {
        self.0.lock().expect("nobody panics with it")
    }
}

#[derive(Default)]
struct Load {
    over: AtomicBool,
    calls: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Replaces the replicas of a service in turn, and then lets the load end.
    async fn outlasts_replacements(&self, pair: &mut Processes, service: Service, directory: &Directory) {
        for turn in 0..TURNS * REPLICAS {
            directory.is_known().await;
            sleep(BETWEEN).await;
            let number = turn % REPLICAS;
            let mut others = pair.found_at(service);
            others.remove(number);
            directory.leads_to(others);
            let status = pair.end_one(service, number).await;
            assert!(status.success(), "{status}");
            pair.move_one(service, number);
            pair.run_one(service, number).await;
            match service {
                Service::Auth => pair.auth_ready().await,
                Service::Users => pair.ready().await,
            }
            directory.leads_to(pair.found_at(service));
        }
        directory.is_known().await;
        sleep(BETWEEN).await;
        self.over.store(true, Ordering::Relaxed);
    }

    /// Holds what came of it to what is promised.
    fn was_hardly_disturbed(self) {
        let (calls, failures) =
            (self.calls.into_inner(), self.failures.into_inner().expect("nobody panicked with it"));
        println!(
            "{} replacements: {} of {calls} calls failed: {failures:?}",
            TURNS * REPLICAS,
            failures.len()
        );
        assert!(calls > 300, "{calls} calls are no load");
        assert!(failures.len() * 1000 <= calls, "{} of {calls}: {failures:?}", failures.len());
    }

    async fn record(&self, asked: &Asked, client: &impl Client) {
        let outcome = client.ask(asked).await;
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Err(status) = outcome {
            let failure = format!("{asked:?}: {:?} {}", status.code(), status.message());
            self.failures.lock().expect("nobody panics with it").push(failure);
        }
    }

    async fn reads(&self, client: &impl Client) {
        while !self.over.load(Ordering::Relaxed) {
            self.record(&Asked::CurrentUser, client).await;
            self.record(&Asked::Users, client).await;
            sleep(PAUSE).await;
        }
    }

    /// Calls that may not be repeated once somebody may have begun with them.
    async fn writes(&self, client: &impl Client, id: &str) {
        while !self.over.load(Ordering::Relaxed) {
            self.record(&Asked::ToInactivate(id.to_owned()), client).await;
            self.record(&Asked::ToReactivate(id.to_owned()), client).await;
            sleep(PAUSE).await;
        }
    }
}

/// What users-service is asked.
#[derive(Debug)]
enum Asked {
    CurrentUser,
    Users,
    ToInactivate(String),
    ToReactivate(String),
}

impl Asked {
    const fn changes_nothing(&self) -> bool {
        matches!(self, Self::CurrentUser | Self::Users)
    }
}

/// Who asks it.
trait Client {
    async fn ask(&self, asked: &Asked) -> Result<(), Status>;
}

fn inactivate(id: &str) -> InactivateUserRequest {
    InactivateUserRequest { user: by_id(id), etag: String::new() }
}

fn reactivate(id: &str) -> ReactivateUserRequest {
    ReactivateUserRequest { user: by_id(id), etag: String::new() }
}

/// Of one users-service.
impl Client for Caller {
    async fn ask(&self, asked: &Asked) -> Result<(), Status> {
        match asked {
            Asked::CurrentUser => self.raw(GetCurrentUserRequest::default()).await.map(drop),
            Asked::Users => self.raw(ListUsersRequest::default()).await.map(drop),
            Asked::ToInactivate(id) => self.raw(inactivate(id)).await.map(drop),
            Asked::ToReactivate(id) => self.raw(reactivate(id)).await.map(drop),
        }
    }
}

/// Of every users-service behind a name: as users-service itself is of auth-service.
struct Balanced {
    peers: Peers,
    person: Person,
}

impl Balanced {
    fn new(directory: &Directory, person: Person) -> Self {
        let peers = Peers::behind(Name {
            host: "users.test".into(),
            port: 1,
            names: directory.names(),
            endpoint: Endpoint::from_static("http://users.test:1"),
            connect_timeout: Duration::from_secs(1),
        });
        Self { peers, person }
    }

    async fn ask_one(&self, channel: Traced<Channel>, asked: &Asked) -> Result<(), Status> {
        let mut client = UsersServiceClient::new(channel);
        let person = &self.person;
        match asked {
            Asked::CurrentUser => {
                client.get_current_user(person.request(GetCurrentUserRequest::default())).await.map(drop)
            }
            Asked::Users => client.list_users(person.request(ListUsersRequest::default())).await.map(drop),
            Asked::ToInactivate(id) => client.inactivate_user(person.request(inactivate(id))).await.map(drop),
            Asked::ToReactivate(id) => client.reactivate_user(person.request(reactivate(id))).await.map(drop),
        }
    }
}

impl Client for Balanced {
    async fn ask(&self, asked: &Asked) -> Result<(), Status> {
        let mut last = Last::default();
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            let chosen = match self.peers.choose(&mut last).await {
                Ok(chosen) => chosen,
                Err(away) => return Err(Status::unavailable(away.to_string())),
            };
            outcome = self.ask_one(chosen.clone(), asked).await;
            let Err(status) = &outcome else {
                chosen.answered();
                break;
            };
            let is_nobodys = status.details().is_empty();
            if could_not_connect(status) {
                self.peers.not_answered(&chosen, Failing::NoConnection, status);
            } else if is_nobodys && !was_not_processed(status) {
                self.peers.not_answered(&chosen, Failing::NoAnswer, status);
            }
            if !(was_not_processed(status) || is_nobodys && asked.changes_nothing()) {
                break;
            }
        }
        outcome
    }
}

async fn subject(root: &Person) -> String {
    let create = CreateUserRequest {
        username: "subject".into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    root.ok(create).await.message.user.expect("a user").user_id
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_auth_service_that_are_replaced_in_turn_are_hardly_noticed() {
    let settings = Settings::replicated(REPLICAS).unlimited().auth("SERVER__LAME_DUCK", "200ms");
    let mut pair = Processes::prepared(BINARIES, settings).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let subject = subject(&root).await;

    // They know where auth-service was.
    pair.terminate(Service::Users).await;
    let directory = Directory::of(&pair, Service::Auth);
    let config = pair.users_of_all(directory.names());
    let listeners = Listeners::bind(&config.server).await.expect("free addresses");
    let address = listeners.public.local_addr().expect("an address");
    let service = UsersService::open(config, SystemClock::default()).await.expect("users-service opens");
    let (stop, shutdown) = Shutdown::new();
    let serving =
        tokio::spawn(async move { service.serve(listeners, None, shutdown).await.expect("it serves") });
    let endpoints = Endpoints::new(address, address, address, None);
    endpoints.users_serve().await;
    let super_admin = Caller::anonymous([endpoints]).bearer(&root.token);

    let load = Load::default();
    let readers = (0..READERS).map(|_| load.reads(&super_admin));
    tokio::join!(
        load.outlasts_replacements(&mut pair, Service::Auth, &directory),
        join_all(readers),
        load.writes(&super_admin, &subject)
    );
    stop.request();
    serving.await.expect("it drains");
    load.was_hardly_disturbed();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_users_service_that_are_replaced_in_turn_are_hardly_noticed() {
    let settings = Settings::replicated(REPLICAS).unlimited().users("SERVER__LAME_DUCK", "200ms");
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let root = pair.super_admin().await;
    let subject = subject(&root).await;
    let directory = Directory::of(&pair, Service::Users);
    let client = Balanced::new(&directory, root);
    let load = Load::default();
    let readers = (0..READERS).map(|_| load.reads(&client));
    tokio::join!(
        load.outlasts_replacements(&mut pair, Service::Users, &directory),
        join_all(readers),
        load.writes(&client, &subject)
    );
    load.was_hardly_disturbed();
}
