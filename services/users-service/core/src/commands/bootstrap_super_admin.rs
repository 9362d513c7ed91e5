//! Makes a super admin. Only an operator may, by a command of the process: it is always a new account, never a
//! promotion, since sign-up is open before anybody administers.
//!
//! In two steps, so that a generated password can be put where it is not lost *before* the account has it: [`prepare`]
//! decides and reserves, [`finish`] registers. What is cut off in between is resumed with the same id, unless what it
//! made was demoted since: that is not undone.
//!
//! [`prepare`]: BootstrapSuperAdmin::prepare
//! [`finish`]: PreparedSuperAdmin::finish

use fail_point::mutant;
use identity::{RawPassword, UserId, Username};

use crate::commands::create_user::give_up;
use crate::commands::{Context, target};
use crate::domain::{Account, Role, User, UserKey};
use crate::error::{AdministrationError, Error};
use crate::ports::{
    Bootstraps as _, IdentityProvider as _, Ids as _, Ports, ProviderError, Reservations as _, Roles as _,
    Store, Transaction as _, UserRows as _,
};

/// Asks for a super admin.
#[derive(Clone, Debug)]
pub struct BootstrapSuperAdmin {
    /// Its name.
    pub username: Username,
    /// Whether to make one although there is one.
    pub force: bool,
}

/// A super admin whose id is reserved, and the lock that keeps others from making one meanwhile.
pub struct PreparedSuperAdmin<P: Ports> {
    id: UserId,
    username: Username,
    resumed: bool,
    _lock: <P::Store as Store>::BootstrapLock,
}

impl BootstrapSuperAdmin {
    /// Reserves an id with the role, or finds the one that an unfinished attempt reserved.
    pub async fn prepare<P: Ports>(
        self,
        cx: &Context<P>,
    ) -> Result<PreparedSuperAdmin<P>, AdministrationError> {
        let lock = cx.store.bootstrap_lock().await?.ok_or(AdministrationError::BootstrapRunning)?;
        let mut tx = cx.store.begin().await?;
        let (id, username, resumed) = match tx.unfinished_bootstrap().await? {
            Some((id, name)) if name.canonical() == self.username.canonical() => {
                let user = tx.lock_user(&UserKey::Id(id)).await?;
                if user.is_some_and(|user| user.role != Role::SuperAdmin) {
                    tx.end_bootstrap().await?;
                    tx.commit().await?;
                    return Err(AdministrationError::DemotedSince(name));
                }
                (id, name, true)
            }
            Some((_, name)) => return Err(AdministrationError::BootstrapUnfinished(name)),
            None => {
                // A defect: there is one and no more.
                let force = self.force && !mutant("bootstrap_super_admin.once_only");
                if !force && !tx.lock_super_admins().await?.is_empty() {
                    return Err(AdministrationError::SuperAdminExists);
                }
                let id = cx.ids.next();
                tx.begin_bootstrap(id, &self.username).await?;
                (id, self.username, false)
            }
        };
        tx.reserve(id, Role::SuperAdmin).await?;
        tx.commit().await?;
        Ok(PreparedSuperAdmin { id, username, resumed, _lock: lock })
    }
}

impl<P: Ports> PreparedSuperAdmin<P> {
    /// Registers the account. A refusal leaves nothing behind; any other failure leaves what is needed to resume.
    pub async fn finish(self, cx: &Context<P>, password: &RawPassword) -> Result<User, AdministrationError> {
        match self.register(cx, password).await {
            Ok(account) => {
                let user = target::applied(cx, &account).await?.user;
                end(cx).await?;
                if user.role != Role::SuperAdmin {
                    return Err(
                        Error::OutcomeUnknown("the role was changed by somebody else since".into()).into()
                    );
                }
                Ok(user)
            }
            Err(ProviderError::UsernameTaken) => {
                self.abandon(cx).await?;
                Err(Error::UsernameTaken(self.username).into())
            }
            Err(ProviderError::InvalidField(violations)) => {
                self.abandon(cx).await?;
                Err(Error::InvalidField(violations).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An attempt that was cut off may have registered the account with another password, which is lost.
    async fn register(&self, cx: &Context<P>, password: &RawPassword) -> Result<Account, ProviderError> {
        match cx.provider.register_account(self.id, &self.username, password, None).await {
            Err(ProviderError::AccountIdTaken) if self.resumed => {
                cx.provider.set_password(self.id, password, None).await
            }
            reply => reply,
        }
    }

    /// Nothing is given up once there is an account: a resumed attempt may be refused for its password only.
    async fn abandon(&self, cx: &Context<P>) -> Result<(), Error> {
        if target::fetch(cx, &UserKey::Id(self.id)).await?.is_none() {
            give_up(cx, self.id).await?;
            end(cx).await?;
        }
        Ok(())
    }
}

async fn end<P: Ports>(cx: &Context<P>) -> Result<(), Error> {
    let mut tx = cx.store.begin().await?;
    tx.end_bootstrap().await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::DemoteSuperAdmin;
    use crate::testing::{Fakes, World, a_password, a_username};

    async fn prepare(
        world: &World,
        name: &str,
        force: bool,
    ) -> Result<PreparedSuperAdmin<Fakes>, AdministrationError> {
        BootstrapSuperAdmin { username: a_username(name), force }.prepare(&world.commands()).await
    }

    async fn bootstrap(world: &World, name: &str, force: bool) -> Result<User, AdministrationError> {
        let prepared = prepare(world, name, force).await?;
        prepared.finish(&world.commands(), &a_password("correct horse battery")).await
    }

    async fn found(world: &World, name: &str) -> User {
        target::find(&world.commands(), &UserKey::Username(a_username(name))).await.unwrap()
    }

    #[tokio::test]
    async fn there_is_a_super_admin_and_a_second_one_only_by_force() {
        let world = World::new();
        assert_eq!(bootstrap(&world, "superadmin", false).await.unwrap().role, Role::SuperAdmin);
        let again = bootstrap(&world, "another", false).await;
        assert!(matches!(again, Err(AdministrationError::SuperAdminExists)));
        assert_eq!(bootstrap(&world, "another", true).await.unwrap().role, Role::SuperAdmin);
    }

    #[tokio::test]
    async fn a_taken_name_is_never_promoted_and_leaves_nothing_behind() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let outcome = bootstrap(&world, "Alice", false).await;
        assert!(matches!(outcome, Err(AdministrationError::Failed(Error::UsernameTaken(_)))));
        assert_eq!(world.find(alice.id).await.unwrap().role, Role::User);
        assert_eq!(world.store.reservations(), 0);
        bootstrap(&world, "superadmin", false).await.unwrap();
    }

    #[tokio::test]
    async fn an_unfinished_one_is_resumed_with_the_same_id_and_the_new_password() {
        let world = World::new();
        world.provider.lose_the_next_reply();
        bootstrap(&world, "superadmin", false).await.unwrap_err();
        let other = bootstrap(&world, "another", false).await;
        assert!(matches!(other, Err(AdministrationError::BootstrapUnfinished(_))));
        let prepared = prepare(&world, "superadmin", false).await.unwrap();
        let password = a_password("a different long one");
        let user = prepared.finish(&world.commands(), &password).await.unwrap();
        assert_eq!((user.role, world.provider.accounts()), (Role::SuperAdmin, 1));
        assert_eq!(world.provider.password_of(user.id), password);
    }

    #[tokio::test]
    async fn one_whose_super_admin_was_demoted_since_is_over_and_changes_nothing() {
        let world = World::new();
        world.user("other", Role::SuperAdmin).await;
        world.provider.lose_the_next_reply();
        bootstrap(&world, "superadmin", true).await.unwrap_err();
        let user = found(&world, "superadmin").await;
        let password = world.provider.password_of(user.id);
        DemoteSuperAdmin { username: user.username.clone() }.execute(&world.commands()).await.unwrap();
        let resumed = bootstrap(&world, "superadmin", true).await;
        assert!(matches!(resumed, Err(AdministrationError::DemotedSince(_))));
        assert_eq!(world.find(user.id).await.unwrap().role, Role::User);
        assert_eq!(world.provider.password_of(user.id), password);
        bootstrap(&world, "another", true).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_is_demoted_while_it_goes_on_is_not_called_a_super_admin() {
        let world = World::new();
        world.user("other", Role::SuperAdmin).await;
        world.provider.lose_the_next_reply();
        bootstrap(&world, "superadmin", true).await.unwrap_err();
        let resumed = prepare(&world, "superadmin", true).await.unwrap();
        let user = found(&world, "superadmin").await;
        DemoteSuperAdmin { username: user.username.clone() }.execute(&world.commands()).await.unwrap();
        let outcome = resumed.finish(&world.commands(), &a_password("a different long one")).await;
        assert!(matches!(outcome, Err(AdministrationError::Failed(Error::OutcomeUnknown(_)))));
        assert_eq!(world.find(user.id).await.unwrap().role, Role::User);
        bootstrap(&world, "another", true).await.unwrap();
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let world = World::new();
        let first = prepare(&world, "superadmin", false).await.unwrap();
        let second = prepare(&world, "superadmin", false).await;
        assert!(matches!(second, Err(AdministrationError::BootstrapRunning)));
        drop(first);
        bootstrap(&world, "superadmin", false).await.unwrap();
    }
}
