//! The replicas of auth-service are restarted in turn under load, as a rolling update does, behind a users-service that
//! calls all of them by one name: hardly a call fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use api::users::{
    CreateUserRequest, GetCurrentUserRequest, InactivateUserRequest, ListUsersRequest, ReactivateUserRequest,
    UserRole,
};
use clock::SystemClock;
use e2e::{Caller, Endpoints, PASSWORD, Processes, Service, Settings, by_id};
use futures::future::join_all;
use grpc_kit::Shutdown;
use tokio::time::sleep;
use users_service::{Listeners, UsersService};

use crate::crashes::BINARIES;

const REPLICAS: usize = 2;
/// How often each is restarted.
const TURNS: usize = 3;
const READERS: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);
/// How long a replica serves before the next one is restarted (`minReadySeconds` of a Deployment).
const BETWEEN: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Load {
    over: AtomicBool,
    calls: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn record<T>(&self, call: &str, outcome: Result<T, tonic::Status>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Err(status) = outcome {
            self.failures.lock().expect("nobody panics with it").push(format!(
                "{call}: {:?} {}",
                status.code(),
                status.message()
            ));
        }
    }

    async fn reads(&self, caller: &Caller) {
        while !self.over.load(Ordering::Relaxed) {
            self.record("GetCurrentUser", caller.raw(GetCurrentUserRequest::default()).await);
            self.record("ListUsers", caller.raw(ListUsersRequest::default()).await);
            sleep(PAUSE).await;
        }
    }

    /// Calls that may not be repeated once somebody may have begun with them.
    async fn writes(&self, super_admin: &Caller, id: &str) {
        let etag = String::new();
        while !self.over.load(Ordering::Relaxed) {
            let inactivate = InactivateUserRequest { user: by_id(id), etag: etag.clone() };
            self.record("InactivateUser", super_admin.raw(inactivate).await);
            let reactivate = ReactivateUserRequest { user: by_id(id), etag: etag.clone() };
            self.record("ReactivateUser", super_admin.raw(reactivate).await);
            sleep(PAUSE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_of_auth_service_that_are_restarted_in_turn_are_hardly_noticed() {
    let settings = Settings::replicated(REPLICAS).unlimited().auth("SERVER__LAME_DUCK", "200ms");
    let mut pair = Processes::prepared(BINARIES, settings).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let create = CreateUserRequest {
        username: "subject".into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    let subject = root.ok(create).await.message.user.expect("a user").user_id;

    let config = pair.users_of_all();
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
    let restarts = async {
        for turn in 0..TURNS * REPLICAS {
            sleep(BETWEEN).await;
            let status = pair.end_one(Service::Auth, turn % REPLICAS).await;
            assert!(status.success(), "{status}");
            pair.run(Service::Auth, None).await;
            pair.ready().await;
        }
        sleep(BETWEEN).await;
        load.over.store(true, Ordering::Relaxed);
    };
    let readers = (0..READERS).map(|_| load.reads(&super_admin));
    tokio::join!(restarts, join_all(readers), load.writes(&super_admin, &subject));
    stop.request();
    serving.await.expect("it drains");

    let (calls, failures) =
        (load.calls.into_inner(), load.failures.into_inner().expect("nobody panicked with it"));
    println!("{} restarts: {} of {calls} calls failed: {failures:?}", TURNS * REPLICAS, failures.len());
    assert!(calls > 300, "{calls} calls are no load");
    assert!(failures.len() * 1000 <= calls, "{} of {calls}: {failures:?}", failures.len());
}
