//! The use cases that only read. Their context has a reader and nothing else, so a query cannot open a unit of work.

mod check_credential;
mod get_account;
mod list_sessions;
mod watch_accounts;

pub use check_credential::check_credential;
pub use get_account::GetAccount;
pub use list_sessions::{ListSessions, SessionPage};
pub use watch_accounts::WatchAccounts;

use crate::ports::{Ports, Store};

/// What queries work with.
pub struct Context<P: Ports> {
    /// Single reads.
    pub reader: <P::Store as Store>::Reader,
}
