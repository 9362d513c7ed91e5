//! One process of each service, which ends with it.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::Service;
use crate::addresses::Addresses;

/// The process of users-service asks the one of auth-service. Either may be ended and started again.
pub(super) struct Replica {
    pub(super) addresses: Addresses,
    auth: Option<Child>,
    users: Option<Child>,
}

impl Replica {
    pub(super) fn new() -> Self {
        Self { addresses: Addresses::new(), auth: None, users: None }
    }

    /// Starts one of them, and returns when it listens.
    pub(super) async fn run(&mut self, service: Service, mut command: Command) {
        command.arg("serve").stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let listeners = match service {
            Service::Auth => self.addresses.auth.len(),
            Service::Users => self.addresses.users.len(),
        };
        listens(&mut child, listeners).await;
        *self.running(service) = Some(child);
    }

    pub(super) fn is_running(&mut self, service: Service) -> bool {
        let running = self.running(service).as_mut();
        running.is_some_and(|child| child.try_wait().expect("its status").is_none())
    }

    pub(super) fn child(&mut self, service: Service) -> &mut Child {
        self.running(service).as_mut().expect("it was started")
    }

    /// Those that were started, whether they run or not.
    pub(super) fn children(&mut self) -> impl Iterator<Item = &mut Child> {
        self.auth.iter_mut().chain(&mut self.users)
    }

    const fn running(&mut self, service: Service) -> &mut Option<Child> {
        match service {
            Service::Auth => &mut self.auth,
            Service::Users => &mut self.users,
        }
    }
}

/// Waits until a process has said of each of its listeners where it is.
async fn listens(child: &mut Child, listeners: usize) {
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut heard = 0;
    while heard < listeners {
        let line = lines.next_line().await.expect("its output");
        let line = line.expect("it listens before it ends: its standard error tells why it does not");
        heard += usize::from(line.contains(" listens on "));
    }
}
