//! The processes of both services over what outlives them, and how they are reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::auth::{self, AuthProcess};
use crate::network::Repeats;
use crate::scheduler::{Node, Sim, lock};
use crate::users::{self, UsersProcess};

/// Both services.
pub(crate) struct Cluster {
    pub(crate) sim: Sim,
    pub(crate) auth_kept: auth::Kept,
    pub(crate) users_database: users::Database,
    auth: Mutex<BTreeMap<u8, Arc<AuthProcess>>>,
    users: Mutex<BTreeMap<u8, Arc<UsersProcess>>>,
}

impl Cluster {
    /// Starts as many processes as the weather has.
    pub(crate) fn start(sim: &Sim) -> Arc<Self> {
        let cluster = Arc::new(Self {
            sim: sim.clone(),
            auth_kept: auth::Kept::new(sim),
            users_database: users::Database::new(sim),
            auth: Mutex::default(),
            users: Mutex::default(),
        });
        let weather = sim.weather();
        for number in 0..weather.auth_processes {
            let (booted, skew) = (Arc::clone(&cluster), weather.skews[usize::from(number) % 2]);
            sim.boots_by(Node::Auth(number), move || {
                let process = Arc::new(AuthProcess::new(&booted.auth_kept, skew));
                process.work_in_the_background(&booted.sim, Node::Auth(number));
                lock(&booted.auth).insert(number, process);
            });
            sim.boot(Node::Auth(number));
        }
        for number in 0..weather.users_processes {
            let booted = Arc::clone(&cluster);
            sim.boots_by(Node::Users(number), move || {
                let process = Arc::new(UsersProcess::new(&booted.sim, &booted));
                process.work_in_the_background(&booted.sim, Node::Users(number), &booted);
                lock(&booted.users).insert(number, process);
            });
            sim.boot(Node::Users(number));
        }
        cluster
    }

    /// Whether every process lives.
    pub(crate) fn is_whole(&self) -> bool {
        let weather = self.sim.weather();
        (0..weather.auth_processes).all(|number| self.sim.is_up(Node::Auth(number)))
            && (0..weather.users_processes).all(|number| self.sim.is_up(Node::Users(number)))
    }

    /// Calls one of auth-service's processes; none if no answer came.
    pub(crate) async fn auth<A, F>(
        self: &Arc<Self>,
        rpc: &'static str,
        repeats: Repeats,
        wait: Duration,
        act: impl Fn(Arc<AuthProcess>) -> F + Send + Sync + 'static,
    ) -> Option<A>
    where
        A: Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let number = self.any_of(self.sim.weather().auth_processes);
        let cluster = Arc::clone(self);
        let handler = move || {
            let process = lock(&cluster.auth).get(&number).cloned();
            let work = process.map(&act);
            async move { Some(work?.await) }
        };
        self.sim.call(Node::Auth(number), rpc, repeats, wait, handler).await.flatten()
    }

    /// Calls one of users-service's processes; none if no answer came.
    pub(crate) async fn users<A, F>(
        self: &Arc<Self>,
        rpc: &'static str,
        repeats: Repeats,
        wait: Duration,
        act: impl Fn(Arc<UsersProcess>) -> F + Send + Sync + 'static,
    ) -> Option<A>
    where
        A: Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let number = self.any_of(self.sim.weather().users_processes);
        let cluster = Arc::clone(self);
        let handler = move || {
            let process = lock(&cluster.users).get(&number).cloned();
            let work = process.map(&act);
            async move { Some(work?.await) }
        };
        self.sim.call(Node::Users(number), rpc, repeats, wait, handler).await.flatten()
    }

    fn any_of(&self, processes: u8) -> u8 {
        u8::try_from(self.sim.below(u64::from(processes))).unwrap_or(0)
    }
}
