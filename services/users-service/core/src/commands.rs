//! What changes something, or may: one file for each, with what its caller must be and its tests.
//!
//! The order never varies: load, decide, write, commit. Whatever touches an account goes through the port first, and
//! the account in the reply is applied before anything is answered.

mod apply_account;
mod apply_feed;
mod authenticate;
mod bootstrap_super_admin;
mod catch_up;
mod create_user;
mod demote_super_admin;
mod find_user;
mod grant_admin;
mod inactivate_user;
mod list_user_sessions;
mod reactivate_user;
mod reset_super_admin_password;
mod revoke_admin;
mod revoke_user_sessions;
mod set_user_password;
mod sweep_reservations;
mod target;
mod until_known;

use std::sync::Arc;

use identity::ConsistencyToken;

use crate::domain::{Permission, User};
use crate::ports::Ports;

pub use apply_feed::{ApplyFeed, LeaseLost, StartFeedOver};
pub use authenticate::{Authenticate, Authentication};
pub use bootstrap_super_admin::{BootstrapSuperAdmin, PreparedSuperAdmin};
pub use catch_up::{CatchUp, CaughtUp};
pub use create_user::{CreateUser, CreateUserForm};
pub use demote_super_admin::DemoteSuperAdmin;
pub use find_user::FindUser;
pub use grant_admin::GrantAdmin;
pub use inactivate_user::InactivateUser;
pub use list_user_sessions::ListUserSessions;
pub use reactivate_user::ReactivateUser;
pub use reset_super_admin_password::ResetSuperAdminPassword;
pub use revoke_admin::RevokeAdmin;
pub use revoke_user_sessions::RevokeUserSessions;
pub use set_user_password::{SetUserPassword, SetUserPasswordForm};
pub use sweep_reservations::SweepReservations;

/// What a command may use: the store with its transactions, and the port. Cheap to clone.
pub struct Context<P: Ports> {
    /// Where users are.
    pub store: Arc<P::Store>,
    /// Who owns accounts.
    pub provider: Arc<P::IdentityProvider>,
    /// Where new ids come from.
    pub ids: Arc<P::Ids>,
}

impl<P: Ports> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            provider: Arc::clone(&self.provider),
            ids: Arc::clone(&self.ids),
        }
    }
}

/// A use case that a caller asks for by one rpc.
pub trait Command {
    /// What its caller must be allowed; checked before the message is parsed.
    const NEEDS: Permission;
}

/// A user as it is after a change, and the token by which queries see that change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The user.
    pub user: User,
    /// The write.
    pub token: ConsistencyToken,
}
