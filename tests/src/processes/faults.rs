//! What is done to single processes while they run: they are stopped, cut off from each other and from their databases,
//! told another time, left without room in their files.

use std::fs;
use std::path::PathBuf;

use chrono::TimeDelta;
use test_kit::Proxy;
use tokio::process::Command;

use super::replica::Replica;
use super::{Processes, command};
use crate::home::Home;
use crate::settings::{by_way_of, place};
use crate::{Caller, Endpoints, Engine, Service, Settings, eventually};

/// Runs a program for which a write that has no room is an error and not the end, and which may write what it may write, even
/// where it is root's: what is ignored stays so across an `exec`.
const IN_A_MORTAL_WORLD: &str = "trap '' XFSZ
[ \"$(id -u)\" != 0 ] || exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"
exec \"$0\" \"$@\"";

/// A way out of a process, or to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Of some clients to a service's public listener.
    FromClients(Service),
    /// Of users-service to auth-service.
    ToAuth,
    /// Of a service to its database on PostgreSQL.
    ToDatabase(Service),
}

impl Processes {
    /// The proxy on a way out of one process or to it, where the settings are [`proxied`](Settings::proxied).
    #[must_use]
    pub fn proxy(&self, way: Way, number: usize) -> &Proxy {
        let hooks = &self.hooks[number];
        let proxy = match way {
            Way::FromClients(service) => hooks.from_clients[service as usize].as_ref(),
            Way::ToAuth => hooks.to_auth.as_ref(),
            Way::ToDatabase(service) => hooks.to_databases[service as usize].as_ref(),
        };
        proxy.unwrap_or_else(|| panic!("there is no proxy {way:?}"))
    }

    /// Nobody, over a connection to each process, and after these over others, of which each goes by the proxy
    /// [of clients](Way::FromClients). The settings have to be [`proxied`](Settings::proxied).
    #[must_use]
    pub fn by_every_way(&self) -> Caller {
        let proxied = (0..self.replicas()).map(|number| {
            let [auth, users] = [Service::Auth, Service::Users]
                .map(|service| self.proxy(Way::FromClients(service), number).address());
            let [_, internal, _] = self.replicas[number].addresses.listeners();
            Endpoints::new(auth, internal, users, self.settings.client_tls())
        });
        self.anonymous.over(self.all_endpoints().into_iter().chain(proxied))
    }

    /// The proxies on this way out of every process.
    pub fn proxies(&self, way: Way) -> impl Iterator<Item = &Proxy> {
        (0..self.replicas()).map(move |number| self.proxy(way, number))
    }

    /// Stops one process where it is, and returns when it has stopped: its connections stay, and nobody answers on them.
    pub async fn freeze_one(&mut self, service: Service, number: usize) {
        let process = self.process_of(service, number);
        process.freeze();
        eventually("the process to stop", async || process.is_frozen().then_some(())).await;
    }

    /// Lets one process go on.
    pub fn thaw_one(&mut self, service: Service, number: usize) {
        self.process_of(service, number).thaw();
    }

    /// Tells one process that it is so much later or earlier than it is, from now on and after a restart too; the settings have
    /// to be [`open_to_faults`](Settings::open_to_faults). On PostgreSQL it takes the server's time for that much off as well.
    pub fn move_clock(&self, service: Service, number: usize, offset: TimeDelta) {
        let file = self.hooks[number].clocks[service as usize].as_ref();
        let file = file.expect("the settings are open to faults");
        let beside = file.with_extension("new");
        let micros = offset.num_microseconds().expect("less than an age");
        fs::write(&beside, micros.to_string()).expect("written");
        fs::rename(beside, file).expect("put in its place");
    }

    /// Lets no file of one process grow beyond so many bytes, as a full disk does, or lets them grow again; the settings have
    /// to be [`open_to_faults`](Settings::open_to_faults).
    pub fn limit_file_size(&mut self, service: Service, number: usize, limit: Option<u64>) {
        assert!(self.settings.is_open_to_faults(), "the process would die of it");
        self.process_of(service, number).limit_file_size(limit);
    }
}

/// What the processes of one replica were started with for that, by service.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    from_clients: [Option<Proxy>; 2],
    to_auth: Option<Proxy>,
    to_databases: [Option<Proxy>; 2],
    clocks: [Option<PathBuf>; 2],
}

impl Hooks {
    pub(super) async fn of_all(settings: &Settings, home: &Home, replicas: &[Replica]) -> Vec<Self> {
        let mut all = Vec::new();
        for (number, replica) in replicas.iter().enumerate() {
            let mut hooks = Self::default();
            if settings.is_proxied() {
                let [public, internal, users] = replica.addresses.listeners();
                hooks.from_clients = [Some(Proxy::to(public).await), Some(Proxy::to(users).await)];
                hooks.to_auth = Some(Proxy::to(internal).await);
                if settings.engine() == Engine::Postgres {
                    // Where they lead, the first command says.
                    hooks.to_databases = [Some(Proxy::new().await), Some(Proxy::new().await)];
                }
            }
            if settings.is_open_to_faults() {
                let clock =
                    |service: Service| Some(home.folder.write(&format!("{service:?}-{number}.clock"), "0"));
                hooks.clocks = [Service::Auth, Service::Users].map(clock);
            }
            all.push(hooks);
        }
        all
    }

    /// A command of a service with these settings, changed so that it can be done.
    pub(super) fn command(
        &self,
        service: Service,
        binary: &str,
        mut variables: Vec<(String, String)>,
    ) -> Command {
        let database = match service {
            Service::Auth => "AUTH__DATABASE__URL",
            Service::Users => "USERS__DATABASE__URL",
        };
        for (key, value) in &mut variables {
            let proxy = match key.as_str() {
                "USERS__IDENTITY_PROVIDER__URL" => self.to_auth.as_ref(),
                key if key == database => self.to_databases[service as usize].as_ref(),
                _ => None,
            };
            if let Some(proxy) = proxy {
                proxy.leads_to(place(value));
                *value = by_way_of(proxy.address(), value);
            }
        }
        let Some(clock) = &self.clocks[service as usize] else { return command(binary, variables) };
        variables.push(("TANDEM_CLOCK_OFFSET".to_owned(), clock.display().to_string()));
        let mut command = command("/bin/sh", variables);
        command.args(["-c", IN_A_MORTAL_WORLD, binary]);
        command
    }
}
