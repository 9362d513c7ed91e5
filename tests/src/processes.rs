//! Both services as real processes, in as many replicas as the run is about, which a test can kill in the middle of
//! something and start again on the same data and the same addresses.

mod endings;
mod faults;
mod logs;
mod operator;
mod replica;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use configuration::Layers;
use futures::future::join_all;
use grpc_kit::client::Names;
use tokio::process::Command;

pub use self::faults::Way;
pub use self::operator::Operator;

use self::faults::Hooks;
use self::replica::Replica;
use crate::addresses::Addresses;
use crate::data::Begins;
use crate::home::{ANY, Home};
use crate::{Caller, Data, Endpoints, PASSWORD, Person, Process, Settings, discretion};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// auth-service.
    Auth,
    /// users-service.
    Users,
}

/// Where the two binaries are; only the test binary is told by cargo.
#[derive(Clone, Copy, Debug)]
pub struct Binaries {
    /// Of auth-service.
    pub auth: &'static str,
    /// Of users-service.
    pub users: &'static str,
}

/// Processes of the two, some of the time.
pub struct Processes {
    /// Nobody.
    pub anonymous: Caller,
    binaries: Binaries,
    settings: Settings,
    // They end before what they use does.
    replicas: Vec<Replica>,
    hooks: Vec<Hooks>,
    home: Home,
    were_ready: bool,
}

impl Processes {
    /// A home for processes that do not run yet, and nothing stored.
    pub async fn prepared(binaries: Binaries, settings: Settings) -> Self {
        Box::pin(Self::new(binaries, settings, Begins::Empty)).await
    }

    /// Starts all of them.
    pub async fn start(binaries: Binaries) -> Self {
        Self::start_with(binaries, Settings::default()).await
    }

    /// Starts all of them, told something else.
    pub async fn start_with(binaries: Binaries, settings: Settings) -> Self {
        // Boxed, because the starting of processes is larger than most tests.
        Box::pin(Self::started(binaries, settings)).await
    }

    async fn started(binaries: Binaries, settings: Settings) -> Self {
        let mut processes = Self::new(binaries, settings, Begins::Prepared).await;
        processes.run(Service::Auth, None).await;
        processes.run(Service::Users, None).await;
        processes.ready().await;
        processes
    }

    async fn new(binaries: Binaries, settings: Settings, begins: Begins) -> Self {
        if settings.is_watched() {
            discretion::watch();
        }
        let home = Home::new(&settings, begins).await;
        let replicas: Vec<_> = (0..settings.replicas()).map(|_| Replica::new()).collect();
        let hooks = Hooks::of_all(&settings, &home, &replicas).await;
        let nowhere = Endpoints::new(ANY, ANY, ANY, None);
        Self {
            anonymous: Caller::anonymous([nowhere]),
            binaries,
            settings,
            home,
            replicas,
            hooks,
            were_ready: false,
        }
    }

    /// Tells processes of a service something else when they start the next time; nothing takes back what they were told.
    pub fn tell(&mut self, service: Service, key: &str, value: &str) {
        let settings = self.settings.clone();
        self.settings = match service {
            Service::Auth => settings.auth(key, value),
            Service::Users => settings.users(key, value),
        };
    }

    /// How many processes of each service there are.
    #[must_use]
    pub const fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Starts whichever processes of a service do not run, all at once, the first of them to die at a point if one is
    /// named.
    pub async fn run(&mut self, service: Service, fail_point: Option<&str>) {
        self.run_armed(service, fail_point.map(|point| (point, 1))).await;
    }

    /// The same, whichever of them comes to a point first to die there.
    pub async fn run_to_die(&mut self, service: Service, fail_point: &str) {
        self.run_armed(service, Some((fail_point, self.replicas.len()))).await;
    }

    async fn run_armed(&mut self, service: Service, armed: Option<(&str, usize)>) {
        let mut commands = Vec::new();
        for number in 0..self.replicas.len() {
            let command = (!self.is_running(service, number)).then(|| self.logged_command(service, number));
            commands.push(command);
        }
        if let Some((point, first)) = armed {
            for command in commands[..first].iter_mut().flatten() {
                command.env("TANDEM_FAIL_POINT", point);
            }
        }
        let starting = self.replicas.iter_mut().zip(commands);
        join_all(starting.filter_map(|(replica, command)| Some(replica.run(service, command?)))).await;
    }

    /// Starts one process of a service, which does not run.
    pub async fn run_one(&mut self, service: Service, number: usize) {
        let command = self.logged_command(service, number);
        self.replicas[number].run(service, command).await;
    }

    /// Gives one process of a service, which does not run, addresses that are new, as whatever takes the place of a pod has:
    /// nobody finds it who does not ask where it is. Processes of users-service that run ask where auth-service was.
    pub fn move_one(&mut self, service: Service, number: usize) {
        assert!(
            !self.is_running(service, number) && !self.settings.is_proxied(),
            "it would stay where it is"
        );
        self.replicas[number].addresses.renew(service);
    }

    /// Starts the first process of a service, which does not run, and lets it say into this what it says on standard error.
    pub async fn run_saying_into(&mut self, service: Service, stderr: Stdio) {
        let mut command = self.command(service, 0);
        command.stderr(stderr);
        self.replicas[0].run(service, command).await;
    }

    /// Waits until all want calls, over new connections, and, where auth-service may have been away, until users-service has
    /// found out that it is back.
    pub async fn ready(&mut self) {
        let endpoints = self.all_endpoints();
        join_all(endpoints.iter().map(Endpoints::auth_serves)).await;
        join_all(endpoints.iter().map(Endpoints::users_serve)).await;
        if std::mem::replace(&mut self.were_ready, true) {
            join_all(endpoints.iter().map(Endpoints::users_reach_auth)).await;
        }
        self.anonymous = Caller::anonymous(endpoints);
    }

    /// Starts what a service needs to be of use, itself included, and waits until it wants calls.
    pub async fn run_up_to(&mut self, service: Service) {
        self.run(Service::Auth, None).await;
        match service {
            Service::Auth => self.auth_ready().await,
            Service::Users => {
                self.run(Service::Users, None).await;
                self.ready().await;
            }
        }
    }

    /// As [`ready`](Self::ready), where nobody runs users-service.
    pub async fn auth_ready(&mut self) {
        let endpoints = self.all_endpoints();
        join_all(endpoints.iter().map(Endpoints::auth_serves)).await;
        self.anonymous = Caller::anonymous(endpoints);
    }

    fn all_endpoints(&self) -> Vec<Endpoints> {
        let endpoints = self.replicas.iter().map(|replica| {
            let [public, internal, users] = replica.addresses.listeners();
            Endpoints::new(public, internal, users, self.settings.client_tls())
        });
        endpoints.collect()
    }

    /// The listeners of the first replica: public and internal, and the public one of users-service.
    #[must_use]
    pub fn listeners(&self) -> [SocketAddr; 3] {
        self.replicas[0].addresses.listeners()
    }

    /// The listeners of gRPC of the first process of a service.
    #[must_use]
    pub fn listeners_of(&self, service: Service) -> Vec<SocketAddr> {
        let [public, internal, users] = self.listeners();
        match service {
            Service::Auth => vec![public, internal],
            Service::Users => vec![users],
        }
    }

    /// The first process of a service, which must run.
    pub fn process(&mut self, service: Service) -> Process {
        self.process_of(service, 0)
    }

    /// One process of a service, which must run.
    pub fn process_of(&mut self, service: Service, number: usize) -> Process {
        Process::new(self.replicas[number].child(service).id().expect("it runs"))
    }

    /// Connections to the first process of each.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        self.anonymous.first_replica()
    }

    /// Where operators look at each process of auth-service.
    pub fn auth_ops(&self) -> impl Iterator<Item = SocketAddr> {
        self.replicas.iter().map(|replica| replica.addresses.auth[2])
    }

    /// Where each process of a service is found by those that call it by the name of all: the internal listener of
    /// auth-service, the public one of users-service.
    #[must_use]
    pub fn found_at(&self, service: Service) -> Vec<SocketAddr> {
        let found = self.replicas.iter().map(|replica| match service {
            Service::Auth => replica.addresses.auth[1],
            Service::Users => replica.addresses.users[0],
        });
        found.collect()
    }

    /// Where operators look at the first process of a service.
    #[must_use]
    pub fn ops(&self, service: Service) -> SocketAddr {
        self.ops_of(service, 0)
    }

    /// Where operators look at one process of a service.
    #[must_use]
    pub fn ops_of(&self, service: Service, number: usize) -> SocketAddr {
        match service {
            Service::Auth => self.replicas[number].addresses.auth[2],
            Service::Users => self.replicas[number].addresses.users[1],
        }
    }

    /// The settings of one more process of users-service, which calls every replica of auth-service behind one name, which
    /// leads where these say.
    #[must_use]
    pub fn users_of_all(&self, names: Names) -> users_service::Config {
        let given = self.settings.of_users(&self.home, [ANY; 2], ANY);
        let given = given.into_iter().filter(|(key, _)| key != "USERS__IDENTITY_PROVIDER__URL");
        let behind_one = [
            ("USERS__IDENTITY_PROVIDER__URL", "dns:///auth.test:1"),
            ("USERS__SERVER__ALLOW_PLAINTEXT", "true"),
        ];
        let behind_one = behind_one.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let layers = Layers::new("USERS").variables(given.chain(behind_one));
        let (mut config, _) = users_service::Config::read(layers).expect("settings of users-service");
        config.identity_provider.names = names;
        config
    }

    /// Whether one process of a service runs.
    pub fn is_running(&mut self, service: Service, number: usize) -> bool {
        self.replicas[number].is_running(service)
    }

    /// Makes a super admin and logs in.
    pub async fn super_admin(&self) -> Person {
        let file = self.home.folder.write("password", PASSWORD).display().to_string();
        let arguments = ["bootstrap-super-admin", "--username", "superadmin", "--password-file", &file];
        let output = self.command_output(Service::Users, &arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Person::log_in(&self.anonymous, "superadmin").await
    }

    /// Somebody who was logged in before a restart, over the connections of after it.
    #[must_use]
    pub fn resume(&self, person: &Person) -> Person {
        Person::of(&self.anonymous, &person.username, person.token.clone(), Some(person.session.clone()))
    }

    /// The workload that may do everything.
    #[must_use]
    pub fn full(&self) -> Caller {
        self.anonymous.bearer(&self.home.folder.full)
    }

    /// The workload that may only verify.
    #[must_use]
    pub fn verify(&self) -> Caller {
        self.anonymous.bearer(&self.home.folder.verify)
    }

    /// The folder with the secrets.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.folder.path()
    }

    /// What the services have stored.
    #[must_use]
    pub const fn data(&self) -> &Data {
        &self.home.data
    }

    /// Writes a file for its owner's eyes only into the home of the two.
    #[must_use]
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        self.home.folder.write(name, content)
    }

    /// One of them, on the addresses that it had before.
    fn command(&self, service: Service, number: usize) -> Command {
        let Addresses { auth, users, .. } = self.replicas[number].addresses;
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, auth)),
            Service::Users => (self.binaries.users, self.settings.of_users(&self.home, users, auth[1])),
        };
        self.hooks[number].command(service, binary, variables)
    }
}

/// Knows nothing of the environment that the tests run in.
fn command(binary: &str, variables: Vec<(String, String)>) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().envs(variables).stdin(Stdio::null());
    command
}
