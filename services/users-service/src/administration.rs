//! What an operator may do and no caller: make, demote and help super admins. Commands of the process use it, beside a
//! serving one or in it.

use clock::SystemClock;
use identity::{RawPassword, Username};
use users_core::AdministrationError;
use users_core::commands::{
    BootstrapSuperAdmin, DemoteSuperAdmin, PreparedSuperAdmin, ResetSuperAdminPassword,
};
use users_core::domain::User;

use crate::security::record_operators;
use crate::{Config, Parts, Production, SqliteStore, StartError};

/// The operator's commands on one store.
#[derive(Clone)]
pub struct Administration {
    parts: Parts,
}

/// A super admin whose id is reserved and whose account is still to be registered.
pub struct Prepared {
    parts: Parts,
    username: Username,
    reserved: PreparedSuperAdmin<Production<SqliteStore>>,
}

impl Administration {
    pub(crate) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Opens the store, beside whoever serves it.
    pub async fn open(config: &Config, clock: SystemClock) -> Result<Self, StartError> {
        Ok(Self::new(Parts::beside_the_service(config, clock).await?))
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
        let outcome = command.prepare(&self.parts.commands).await;
        if outcome.is_err() {
            record_operators("bootstrap_super_admin", username.as_str(), &outcome);
        }
        Ok(Prepared { parts: self.parts.clone(), username, reserved: outcome? })
    }

    /// Makes a super admin a user; the last active one stays.
    pub async fn demote_super_admin(&self, username: Username) -> Result<User, AdministrationError> {
        let target = username.to_string();
        let outcome = DemoteSuperAdmin { username }.execute(&self.parts.commands).await;
        record_operators("demote_super_admin", &target, &outcome);
        outcome
    }

    /// Refuses whoever is no super admin, before a password for it is shown to anybody.
    pub async fn require_super_admin(&self, username: Username) -> Result<User, AdministrationError> {
        ResetSuperAdminPassword { username }.target(&self.parts.commands).await
    }

    /// Sets a super admin's password.
    pub async fn reset_super_admin_password(
        &self,
        username: Username,
        password: &RawPassword,
    ) -> Result<User, AdministrationError> {
        let target = username.to_string();
        let outcome = ResetSuperAdminPassword { username }.execute(&self.parts.commands, password).await;
        record_operators("reset_super_admin_password", &target, &outcome);
        outcome
    }
}

impl Prepared {
    /// Registers the account.
    pub async fn finish(self, password: &RawPassword) -> Result<User, AdministrationError> {
        let outcome = self.reserved.finish(&self.parts.commands, password).await;
        record_operators("bootstrap_super_admin", self.username.as_str(), &outcome);
        outcome
    }
}
