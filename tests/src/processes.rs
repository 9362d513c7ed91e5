//! Both services as real processes, in as many replicas as the run is about, which a test can kill in the middle of
//! something and start again on the same data and the same addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};

use futures::future::join_all;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::data::Begins;
use crate::eventually::PATIENCE;
use crate::home::{ANY, Home};
use crate::{Caller, Data, Endpoints, PASSWORD, Person, Settings};

/// How often a process is started that ends before it says where it listens: since its address was last its own, it may be
/// somebody else's for a moment, who was given any that was free.
const STARTS: u32 = 10;

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
    home: Home,
    replicas: Vec<Replica>,
}

/// A process of each service. The one of users-service asks the one of auth-service.
struct Replica {
    auth: [SocketAddr; 3],
    users: [SocketAddr; 2],
    running_auth: Option<Child>,
    running_users: Option<Child>,
}

impl Processes {
    /// A home for processes that do not run yet, and nothing stored.
    pub async fn prepared(binaries: Binaries, settings: Settings) -> Self {
        Self::new(binaries, settings, Begins::Empty).await
    }

    /// Starts all of them.
    pub async fn start(binaries: Binaries) -> Self {
        // Boxed, because the starting of processes is larger than most tests.
        Box::pin(Self::start_with(binaries, Settings::default())).await
    }

    /// Starts all of them, told something else.
    pub async fn start_with(binaries: Binaries, settings: Settings) -> Self {
        let mut processes = Self::new(binaries, settings, Begins::Prepared).await;
        processes.run(Service::Auth, None).await;
        processes.run(Service::Users, None).await;
        processes.ready().await;
        processes
    }

    async fn new(binaries: Binaries, settings: Settings, begins: Begins) -> Self {
        let home = Home::new(&settings, begins).await;
        let replicas = (0..settings.replicas()).map(|_| Replica::new()).collect();
        let nowhere = Endpoints::new(ANY, ANY, ANY, None);
        Self { anonymous: Caller::anonymous([nowhere]), binaries, settings, home, replicas }
    }

    /// Starts whichever processes of a service do not run, all at once, the first of them to die at a point if one is
    /// named.
    pub async fn run(&mut self, service: Service, fail_point: Option<&str>) {
        let mut commands: Vec<_> =
            (0..self.replicas.len()).map(|number| self.command(service, number)).collect();
        if let Some(point) = fail_point {
            commands[0].env("TANDEM_FAIL_POINT", point);
        }
        let starting = self.replicas.iter_mut().zip(commands);
        let starting = starting.filter_map(|(replica, command)| {
            (!replica.is_running(service)).then(|| replica.run(service, command))
        });
        join_all(starting).await;
    }

    /// Waits until all want calls, over new connections.
    pub async fn ready(&mut self) {
        let endpoints = self.replicas.iter().map(|replica| {
            let [public, internal, _] = replica.auth;
            Endpoints::new(public, internal, replica.users[0], self.settings.client_tls())
        });
        let endpoints: Vec<_> = endpoints.collect();
        join_all(endpoints.iter().map(Endpoints::auth_serves)).await;
        join_all(endpoints.iter().map(Endpoints::users_serve)).await;
        self.anonymous = Caller::anonymous(endpoints);
    }

    /// Where operators look at each process of auth-service.
    pub fn auth_ops(&self) -> impl Iterator<Item = SocketAddr> {
        self.replicas.iter().map(|replica| replica.auth[2])
    }

    /// Ends all processes of a service as `kill -9` does.
    pub async fn kill(&mut self, service: Service) {
        for replica in &mut self.replicas {
            replica.child(service).kill().await.expect("it is killed");
        }
    }

    /// Ends one process of a service as `kill -9` does.
    pub async fn kill_one(&mut self, service: Service, number: usize) {
        self.replicas[number].child(service).kill().await.expect("it is killed");
    }

    /// Waits until the first process of a service has died by itself.
    pub async fn died(&mut self, service: Service) -> ExitStatus {
        let died = timeout(PATIENCE, self.replicas[0].child(service).wait()).await;
        died.expect("it dies where it was told to").expect("it ends")
    }

    /// Runs a command of one of them to its end.
    pub async fn command_output(&self, service: Service, arguments: &[&str]) -> Output {
        self.command(service, 0).args(arguments).output().await.expect("it runs")
    }

    /// Runs a command of one of them on the same data, but on addresses of its own.
    pub async fn elsewhere(&self, service: Service, arguments: &[&str]) -> Output {
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, [ANY; 3])),
            Service::Users => {
                (self.binaries.users, self.settings.of_users(&self.home, [ANY; 2], self.replicas[0].auth[1]))
            }
        };
        command(binary, variables).args(arguments).output().await.expect("it runs")
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
        let replica = &self.replicas[number];
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, replica.auth)),
            Service::Users => {
                let variables = self.settings.of_users(&self.home, replica.users, replica.auth[1]);
                (self.binaries.users, variables)
            }
        };
        command(binary, variables)
    }
}

impl Replica {
    const fn new() -> Self {
        Self { auth: [ANY; 3], users: [ANY; 2], running_auth: None, running_users: None }
    }

    async fn run(&mut self, service: Service, mut command: Command) {
        command.arg("serve").stdout(Stdio::piped()).kill_on_drop(true);
        let listeners = match service {
            Service::Auth => self.auth.len(),
            Service::Users => self.users.len(),
        };
        for _ in 0..STARTS {
            let mut child = command.spawn().expect("it starts");
            let addresses = said_addresses(&mut child, listeners).await;
            match (service, addresses.as_slice()) {
                (Service::Auth, [public, internal, ops]) => {
                    self.auth = [*public, *internal, *ops];
                    self.running_auth = Some(child);
                    return;
                }
                (Service::Users, [public, ops]) => {
                    self.users = [*public, *ops];
                    self.running_users = Some(child);
                    return;
                }
                _ => {}
            }
        }
        panic!("{service:?} does not say where it listens");
    }

    fn is_running(&mut self, service: Service) -> bool {
        let running = self.running(service).as_mut();
        running.is_some_and(|child| child.try_wait().expect("its status").is_none())
    }

    fn child(&mut self, service: Service) -> &mut Child {
        self.running(service).as_mut().expect("it was started")
    }

    const fn running(&mut self, service: Service) -> &mut Option<Child> {
        match service {
            Service::Auth => &mut self.running_auth,
            Service::Users => &mut self.running_users,
        }
    }
}

/// Where a process says that it listens, in so many lines; fewer if it ends before.
async fn said_addresses(child: &mut Child, listeners: usize) -> Vec<SocketAddr> {
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut addresses = Vec::new();
    while addresses.len() < listeners {
        let Some(line) = lines.next_line().await.expect("its output") else { break };
        addresses.extend(line.rsplit(' ').next().and_then(|word| word.parse::<SocketAddr>().ok()));
    }
    addresses
}

/// Knows nothing of the environment that the tests run in.
fn command(binary: &str, variables: Vec<(String, String)>) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().envs(variables).stdin(Stdio::null());
    command
}
