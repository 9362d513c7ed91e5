//! Both services as real processes, which a test can kill in the middle of something and start again on the same data
//! and the same addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::eventually::PATIENCE;
use crate::pair::ANY;
use crate::settings::Home;
use crate::{Caller, Endpoints, Engine, PASSWORD, Person, Settings};

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

/// Two processes, some of the time.
pub struct Processes {
    /// Nobody.
    pub anonymous: Caller,
    binaries: Binaries,
    settings: Settings,
    home: Home,
    auth: [SocketAddr; 3],
    users: [SocketAddr; 2],
    running_auth: Option<Child>,
    running_users: Option<Child>,
}

impl Processes {
    /// A home for two processes that do not run yet.
    #[must_use]
    pub fn prepared(binaries: Binaries, settings: Settings) -> Self {
        Self {
            anonymous: Caller::anonymous(&Endpoints::new(ANY, ANY, ANY)),
            binaries,
            settings,
            home: Home::new(),
            auth: [ANY; 3],
            users: [ANY; 2],
            running_auth: None,
            running_users: None,
        }
    }

    /// Starts both.
    pub async fn start(binaries: Binaries) -> Self {
        let mut processes = Self::prepared(binaries, Settings::default());
        processes.run(Service::Auth, None).await;
        processes.run(Service::Users, None).await;
        processes.ready().await;
        processes
    }

    /// Starts one of them, to die at a point if one is named.
    pub async fn run(&mut self, service: Service, fail_point: Option<&str>) {
        let mut command = self.command(service);
        command.arg("serve").stdout(Stdio::piped()).kill_on_drop(true);
        if let Some(point) = fail_point {
            command.env("TANDEM_FAIL_POINT", point);
        }
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut address = async || loop {
            let line = lines.next_line().await.expect("its output").expect("it says where it listens");
            if let Some(address) = line.rsplit(' ').next().and_then(|word| word.parse().ok()) {
                return address;
            }
        };
        match service {
            Service::Auth => {
                self.auth = [address().await, address().await, address().await];
                self.running_auth = Some(child);
            }
            Service::Users => {
                self.users = [address().await, address().await];
                self.running_users = Some(child);
            }
        }
    }

    /// Waits until both want calls, over new connections.
    pub async fn ready(&mut self) {
        let [public, internal, _] = self.auth;
        let endpoints = Endpoints::new(public, internal, self.users[0]);
        endpoints.auth_serves().await;
        endpoints.users_serve().await;
        self.anonymous = Caller::anonymous(&endpoints);
    }

    /// Ends one of them as `kill -9` does.
    pub async fn kill(&mut self, service: Service) {
        self.child(service).kill().await.expect("it is killed");
    }

    /// Waits until one of them has died by itself.
    pub async fn died(&mut self, service: Service) -> ExitStatus {
        let died = timeout(PATIENCE, self.child(service).wait()).await;
        died.expect("it dies where it was told to").expect("it ends")
    }

    /// Runs a command of one of them to its end.
    pub async fn command_output(&self, service: Service, arguments: &[&str]) -> Output {
        self.command(service).args(arguments).output().await.expect("it runs")
    }

    /// Runs a command of one of them on the same data, but on addresses of its own.
    pub async fn elsewhere(&self, service: Service, arguments: &[&str]) -> Output {
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, [ANY; 3])),
            Service::Users => {
                (self.binaries.users, self.settings.of_users(&self.home, [ANY; 2], self.auth[1]))
            }
        };
        command(binary, variables).args(arguments).output().await.expect("it runs")
    }

    /// Makes a super admin and logs in.
    pub async fn super_admin(&self) -> Person {
        let file = self.home.write("password", PASSWORD).display().to_string();
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
        self.anonymous.bearer(&self.home.full)
    }

    /// Where the data is, and on which engine.
    #[must_use]
    pub fn data(&self) -> (Engine, &Path) {
        (self.settings.engine(), self.home.path())
    }

    /// Writes a file for its owner's eyes only into the home of the two.
    #[must_use]
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        self.home.write(name, content)
    }

    /// One of them, on the addresses that it had before.
    fn command(&self, service: Service) -> Command {
        let (binary, variables) = match service {
            Service::Auth => (self.binaries.auth, self.settings.of_auth(&self.home, self.auth)),
            Service::Users => {
                (self.binaries.users, self.settings.of_users(&self.home, self.users, self.auth[1]))
            }
        };
        command(binary, variables)
    }

    fn child(&mut self, service: Service) -> &mut Child {
        let running = match service {
            Service::Auth => &mut self.running_auth,
            Service::Users => &mut self.running_users,
        };
        running.as_mut().expect("it was started")
    }
}

/// Knows nothing of the environment that the tests run in.
fn command(binary: &str, variables: Vec<(String, String)>) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().envs(variables).stdin(Stdio::null());
    command
}
