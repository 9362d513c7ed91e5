//! Both services in this process, in as many replicas as the run is about. They know nobody yet.
//!
//! Each replica of users-service asks the replica of auth-service that was started with it: what one learns at one
//! auth-service holds at the other, because it is in their database.

use std::sync::atomic::{AtomicUsize, Ordering};

use auth_service::AuthService;
use clock::SystemClock;
use configuration::Layers;
use futures::future::join_all;
use grpc_kit::{Shutdown, Trigger};
use identity::{RawPassword, Username};
use tokio::task::JoinHandle;
use users_service::{Administration, UsersService};

use crate::addresses::Addresses;
use crate::data::Begins;
use crate::home::Home;
use crate::{Endpoints, PASSWORD, Settings, discretion};

/// The replicas, and what they have in common.
pub(crate) struct Services {
    pub(crate) settings: Settings,
    pub(crate) home: Home,
    clock: SystemClock,
    replicas: Vec<Replica>,
    operators: AtomicUsize,
}

/// One process of each service, were they processes.
pub(crate) struct Replica {
    pub(crate) addresses: Addresses,
    pub(crate) endpoints: Endpoints,
    running_auth: Option<Running>,
    running_users: Option<Running>,
    administration: Option<Administration>,
}

/// A service that serves until it is stopped.
struct Running {
    stop: Trigger,
    serving: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.request();
        self.serving.await.expect("the service drains");
    }
}

impl Services {
    pub(crate) async fn start(settings: Settings, clock: SystemClock) -> Self {
        discretion::watch();
        discretion::log_here();
        let home = Home::new(&settings, Begins::Prepared).await;
        let replicas = (0..settings.replicas()).map(|_| Replica::new(&settings)).collect();
        let mut services = Self { settings, home, clock, replicas, operators: AtomicUsize::new(0) };
        services.run_auth().await;
        services.run_users().await;
        services.auth_serves().await;
        services.users_serve().await;
        services
    }

    /// The one that is asked where it does not matter which.
    pub(crate) fn first(&self) -> &Replica {
        &self.replicas[0]
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoints> {
        self.replicas.iter().map(|replica| &replica.endpoints)
    }

    /// One replica's after the other's.
    pub(crate) fn administration(&self) -> &Administration {
        let turn = self.operators.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        self.replicas[turn].administration.as_ref().expect("users-service runs")
    }

    /// And waits until each users-service that runs has found out.
    pub(crate) async fn start_auth(&mut self) {
        self.run_auth().await;
        self.auth_serves().await;
        let running = self.replicas.iter().filter(|replica| replica.running_users.is_some());
        join_all(running.map(|replica| replica.endpoints.users_reach_auth())).await;
    }

    pub(crate) async fn start_users(&mut self) {
        self.run_users().await;
        self.users_serve().await;
    }

    pub(crate) async fn stop_auth(&mut self) {
        let running = self.replicas.iter_mut().map(|replica| replica.running_auth.take());
        join_all(running.map(|running| running.expect("auth-service runs").stop())).await;
    }

    pub(crate) async fn stop_users(&mut self) {
        let running = self.replicas.iter_mut().map(|replica| {
            replica.administration = None;
            replica.running_users.take()
        });
        join_all(running.map(|running| running.expect("users-service runs").stop())).await;
    }

    pub(crate) async fn bootstrap(&self, username: &str) {
        let username = Username::parse(username).expect("a username");
        let password = RawPassword::parse(PASSWORD.to_owned()).expect("a password");
        let made = self.administration().bootstrap_super_admin(username, &password, true).await;
        made.expect("a super admin");
    }

    pub(crate) fn auth_config(&self, replica: &Replica) -> auth_service::Config {
        let given = self.settings.of_auth(&self.home, replica.addresses.auth);
        auth_service::Config::read(Layers::new("AUTH").variables(given)).expect("settings of auth-service").0
    }

    fn users_config(&self, replica: &Replica) -> users_service::Config {
        let Addresses { auth: [_, port, _], users, .. } = replica.addresses;
        let given = self.settings.of_users(&self.home, users, port);
        users_service::Config::read(Layers::new("USERS").variables(given))
            .expect("settings of users-service")
            .0
    }

    async fn run_auth(&mut self) {
        let configs: Vec<_> = self.replicas.iter().map(|replica| self.auth_config(replica)).collect();
        let starting = self.replicas.iter_mut().zip(configs);
        join_all(starting.map(|(replica, config)| replica.run_auth(config, self.clock.clone()))).await;
    }

    async fn run_users(&mut self) {
        let configs: Vec<_> = self.replicas.iter().map(|replica| self.users_config(replica)).collect();
        let starting = self.replicas.iter_mut().zip(configs);
        join_all(starting.map(|(replica, config)| replica.run_users(config, self.clock.clone()))).await;
    }

    async fn auth_serves(&self) {
        join_all(self.endpoints().map(Endpoints::auth_serves)).await;
    }

    async fn users_serve(&self) {
        join_all(self.endpoints().map(Endpoints::users_serve)).await;
    }
}

/// Looks for secrets in what was said, at the end of every test.
impl Drop for Services {
    fn drop(&mut self) {
        discretion::hear_log_here();
        discretion::look_into_what_was_heard();
    }
}

impl Replica {
    fn new(settings: &Settings) -> Self {
        let addresses = Addresses::new();
        let [public, internal, users] = addresses.listeners();
        let endpoints = Endpoints::new(public, internal, users, settings.client_tls());
        Self { addresses, endpoints, running_auth: None, running_users: None, administration: None }
    }

    async fn run_auth(&mut self, config: auth_service::Config, clock: SystemClock) {
        let listeners = auth_service::Listeners::bind(&config.server).await.expect("free addresses");
        let service = AuthService::open(config, clock).await.expect("auth-service opens");
        let (stop, shutdown) = Shutdown::new();
        let serving = tokio::spawn(async move {
            service.serve(listeners, None, shutdown).await.expect("auth-service serves");
        });
        self.running_auth = Some(Running { stop, serving });
    }

    async fn run_users(&mut self, config: users_service::Config, clock: SystemClock) {
        let listeners = users_service::Listeners::bind(&config.server).await.expect("free addresses");
        let service = UsersService::open(config, clock).await.expect("users-service opens");
        self.administration = Some(service.administration());
        let (stop, shutdown) = Shutdown::new();
        let serving = tokio::spawn(async move {
            service.serve(listeners, None, shutdown).await.expect("users-service serves");
        });
        self.running_users = Some(Running { stop, serving });
    }
}
