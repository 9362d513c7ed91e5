//! What operators do by commands of the process, each of which may be killed.

use tokio::sync::oneshot;
use users_core::AdministrationError;
use users_core::commands::{BootstrapSuperAdmin, Context, DemoteSuperAdmin, ResetSuperAdminPassword};
use users_core::domain::{Role, User};

use super::{Client, REPEATS};
use crate::failure::Failure;
use crate::model::{Ender, Ends, Invariant, Outcome};
use crate::scheduler::{Node, lock};
use crate::users::{UsersPorts, UsersProcess};
use identity::{RawPassword, Username};

impl From<AdministrationError> for Failure {
    fn from(error: AdministrationError) -> Self {
        match error {
            AdministrationError::SuperAdminExists => Self::ByTheRules("a super admin exists"),
            AdministrationError::BootstrapRunning => Self::ByTheRules("another bootstrap is running"),
            AdministrationError::BootstrapUnfinished(_) => Self::ByTheRules("another one is unfinished"),
            AdministrationError::DemotedSince(_) => Self::ByTheRules("it was demoted since"),
            AdministrationError::NotASuperAdmin(_) => Self::ByTheRules("not a super admin"),
            AdministrationError::LastActiveSuperAdmin(_) => Self::ByTheRules("the last super admin"),
            AdministrationError::Failed(error) => error.into(),
        }
    }
}

async fn bootstrap(
    cx: Context<UsersPorts>,
    username: Username,
    password: RawPassword,
) -> Result<User, AdministrationError> {
    let prepared = BootstrapSuperAdmin { username, force: true }.prepare(&cx).await?;
    prepared.finish(&cx, &password).await
}

impl Client {
    /// Runs a command in a process of its own; none if that was killed.
    async fn command<F>(
        &self,
        name: &'static str,
        work: impl FnOnce(Context<UsersPorts>) -> F,
    ) -> Result<User, Failure>
    where
        F: Future<Output = Result<User, AdministrationError>> + Send + 'static,
    {
        let number = u8::try_from(self.sim.below(200)).unwrap_or(0);
        let node = Node::Operator(number);
        if self.sim.is_up(node) {
            return Err(Failure::Busy);
        }
        self.sim.boot(node);
        let cx = UsersProcess::new(&self.sim, &self.cluster).commands;
        let (sender, answer) = oneshot::channel();
        let running = work(cx);
        self.sim.spawn(node, name, async move {
            let _ = sender.send(running.await);
        });
        let answer = super::heard(answer.await.ok());
        self.sim.kill(node);
        answer
    }

    /// One, as often as it takes, and most often a second one.
    pub(crate) async fn make_super_admins(&self) {
        self.make_super_admin("Root-one", 1_000).await;
        if self.sim.below(4) > 0 {
            self.make_super_admin("Root-two", REPEATS).await;
        }
        let known = self.model().known_people();
        for person in known {
            self.log_in(person).await;
        }
    }

    /// Repeats what was cut off, as an operator would.
    async fn make_super_admin(&self, name: &str, repeats: u32) {
        let password = self.new_password();
        let mut open = self.begin(format!("bootstrap_super_admin {name}"));
        let person = self.model().expect_person(name, &password, Role::SuperAdmin, open.call);
        for _ in 0..=repeats {
            let (username, secret) = (Username::parse(name), RawPassword::parse(password.clone()));
            let (Ok(username), Ok(secret)) = (username, secret) else { return };
            let answer = self.command("bootstrap", |cx| bootstrap(cx, username, secret)).await;
            // Its answer was lost with the process before, which had done it all.
            let found = self
                .cluster
                .users_database
                .kept
                .users()
                .into_iter()
                .find(|user| user.username.as_str() == name && user.role == Role::SuperAdmin);
            let done = match (&answer, found) {
                (Ok(user), _) => Some(user.clone()),
                (Err(Failure::Taken), Some(user)) => Some(user),
                _ => None,
            };
            let outcome = if done.is_some() { Outcome::Acknowledged } else { Outcome::Unknown };
            self.end_as(open, &answer, outcome);
            if let Some(user) = done {
                self.model().people[person].id = Some(user.id);
                self.model().saw_role(person, user.role, open.call, Invariant::I2);
                return;
            }
            self.sim.sleep(std::time::Duration::from_millis(300)).await;
            open = self.repeat(open);
        }
        self.sim.end_call();
    }

    pub(super) async fn run_an_operators_command(&self) {
        match self.sim.below(4) {
            0 => {
                let name = format!("Root-{:x}", self.sim.below(100_000));
                self.make_super_admin(&name, REPEATS).await;
            }
            1 => self.reset_a_password().await,
            _ => self.demote_several_at_once().await,
        }
    }

    fn super_admins(&self) -> Vec<usize> {
        let model = self.model();
        let is_one = |person: &usize| {
            model.people[*person].role.candidates(&model.calls).last() == Some(&Role::SuperAdmin)
        };
        model.known_people().into_iter().filter(is_one).collect()
    }

    async fn reset_a_password(&self) {
        let Some(person) = self.sim.one_of(&self.super_admins()) else { return };
        let (name, password) = (self.model().people[person].name.clone(), self.new_password());
        let open = self.begin(format!("reset_super_admin_password {name} {password:?}"));
        {
            let mut model = self.model();
            model.people[person].password.write(open.call, password.clone());
            let (ends, invariant) = (Ends::All, Invariant::I5);
            let ender = Ender { call: open.call, ends, invariant, password: Some(password.clone()) };
            model.people[person].enders.push(ender);
        }
        let (Ok(username), Ok(secret)) = (Username::parse(&name), RawPassword::parse(password)) else {
            return;
        };
        let answer = self.command("reset_password", |cx| async move {
            ResetSuperAdminPassword { username }.execute(&cx, &secret).await
        });
        let answer = answer.await;
        self.end(open, &answer);
    }

    /// Two operators who do not know of each other.
    async fn demote_several_at_once(&self) {
        let mut several = self.super_admins();
        // Most of the time somebody has to be left by what is asked for.
        if several.len() < 2 && self.sim.below(4) > 0 {
            return;
        }
        several.truncate(2);
        let left = std::sync::Arc::new(std::sync::Mutex::new(several.len()));
        for person in several {
            let (operator, left) = (self.clone(), std::sync::Arc::clone(&left));
            self.sim.spawn_apart(Node::Client, "demote", async move {
                operator.demote(person).await;
                *lock(&left) -= 1;
            });
        }
        while *lock(&left) > 0 {
            self.sim.sleep(std::time::Duration::from_millis(100)).await;
        }
        // A system without administrators is no longer looked at: others are made, and log in.
        if self.super_admins().is_empty() {
            let name = format!("Root-{:x}", self.sim.below(100_000));
            self.make_super_admin(&name, REPEATS).await;
        }
        if let Some(person) = self.super_admins().last().copied() {
            self.log_in(person).await;
        }
    }

    async fn demote(&self, person: usize) {
        let name = self.model().people[person].name.clone();
        let open = self.begin(format!("demote_super_admin {name}"));
        // Sessions end before the role does, and stay ended when that is refused.
        let ending = self.beside(open, format!("the sessions of {name} end before it is demoted"));
        {
            let mut model = self.model();
            model.people[person].role.write(open.call, Role::User);
            let ender = Ender { call: ending, ends: Ends::All, invariant: Invariant::I4, password: None };
            model.people[person].enders.push(ender);
        }
        let Ok(username) = Username::parse(&name) else { return };
        let answer =
            self.command("demote", |cx| async move { DemoteSuperAdmin { username }.execute(&cx).await });
        let answer = answer.await;
        let ended = if answer.is_ok() { Outcome::Acknowledged } else { Outcome::Unknown };
        let tick = self.sim.ticks.next();
        self.model().calls.answered(ending, ended, tick);
        self.end(open, &answer);
    }
}
