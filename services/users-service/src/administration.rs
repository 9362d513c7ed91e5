//! What an operator may do and no caller: make, demote and help super admins. Commands of the process use it, beside a
//! serving one or in it.

use clock::SystemClock;
use identity::{RawPassword, Username};
use users_core::AdministrationError;
use users_core::commands::{
    BootstrapSuperAdmin, DemoteSuperAdmin, PreparedSuperAdmin, ResetSuperAdminPassword,
};
use users_core::domain::User;

use crate::engine::{self, OnEngine, Opened, on_engine};
use crate::security::record_operators;
use crate::{Config, Parts, PgStore, Production, SqliteStore, StartError};

/// The operator's commands on one store.
#[derive(Clone)]
pub struct Administration {
    opened: Opened,
}

/// A super admin whose id is reserved and whose account is still to be registered.
pub struct Prepared {
    username: Username,
    reserved: OnEngine<Reserved<SqliteStore>, Reserved<PgStore>>,
}

type Reserved<S> = (Parts<S>, PreparedSuperAdmin<Production<S>>);

impl Administration {
    pub(crate) const fn new(opened: Opened) -> Self {
        Self { opened }
    }

    /// Opens the store, beside whoever serves it.
    pub async fn open(config: &Config, clock: SystemClock) -> Result<Self, StartError> {
        Ok(Self::new(engine::open_beside(config, clock).await?))
    }

    /// Makes a super admin with a password that is known already.
    pub async fn bootstrap_super_admin(
        &self,
        username: Username,
        password: &RawPassword,
        force: bool,
    ) -> Result<User, AdministrationError> {
        self.prepare_super_admin(username, force).await?.finish(password).await
    }

    /// Decides whether a super admin may be made, before a password for it is shown to anybody.
    pub async fn prepare_super_admin(
        &self,
        username: Username,
        force: bool,
    ) -> Result<Prepared, AdministrationError> {
        let command = BootstrapSuperAdmin { username: username.clone(), force };
        let reserved = match &self.opened {
            OnEngine::Sqlite(parts) => {
                command.prepare(&parts.commands).await.map(|one| OnEngine::Sqlite((parts.clone(), one)))
            }
            OnEngine::Postgres(parts) => {
                command.prepare(&parts.commands).await.map(|one| OnEngine::Postgres((parts.clone(), one)))
            }
        };
        if reserved.is_err() {
            record_operators("bootstrap_super_admin", username.as_str(), &reserved);
        }
        Ok(Prepared { username, reserved: reserved? })
    }

    /// Makes a super admin a user; the last active one stays.
    pub async fn demote_super_admin(&self, username: Username) -> Result<User, AdministrationError> {
        let target = username.to_string();
        let command = DemoteSuperAdmin { username };
        let outcome = on_engine!(&self.opened, parts => command.execute(&parts.commands).await);
        record_operators("demote_super_admin", &target, &outcome);
        outcome
    }

    /// Refuses whoever is no super admin, before a password for it is shown to anybody.
    pub async fn require_super_admin(&self, username: Username) -> Result<User, AdministrationError> {
        let target = username.to_string();
        let command = ResetSuperAdminPassword { username };
        let outcome = on_engine!(&self.opened, parts => command.target(&parts.commands).await);
        if outcome.is_err() {
            record_operators("reset_super_admin_password", &target, &outcome);
        }
        outcome
    }

    /// Sets a super admin's password.
    pub async fn reset_super_admin_password(
        &self,
        username: Username,
        password: &RawPassword,
    ) -> Result<User, AdministrationError> {
        let target = username.to_string();
        let command = ResetSuperAdminPassword { username };
        let outcome = on_engine!(&self.opened, parts => command.execute(&parts.commands, password).await);
        record_operators("reset_super_admin_password", &target, &outcome);
        outcome
    }
}

impl Prepared {
    /// Registers the account.
    pub async fn finish(self, password: &RawPassword) -> Result<User, AdministrationError> {
        let outcome = on_engine!(self.reserved, (parts, one) => one.finish(&parts.commands, password).await);
        record_operators("bootstrap_super_admin", self.username.as_str(), &outcome);
        outcome
    }
}
