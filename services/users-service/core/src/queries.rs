//! What only reads: one file for each. A query has a reader and nothing else, so it cannot change anything.

mod get_current_user;
mod get_user;
mod list_users;

use crate::commands::CaughtUp;
use crate::ports::{Ports, Reader as _, Store};

pub use get_current_user::GetCurrentUser;
pub use get_user::{GetUser, Named};
pub use list_users::{Direction, ListUsers, MAX_SKIP, Order, Place, SortBy, SortKey, UserFilter, UserPage};

/// What a query may use. Cheap to clone.
///
/// A reader is given only to who has caught up, so no query can forget what its caller has seen.
pub struct Context<P: Ports> {
    reader: <P::Store as Store>::Reader,
}

impl<P: Ports> Context<P> {
    /// One that reads here.
    pub const fn new(reader: <P::Store as Store>::Reader) -> Self {
        Self { reader }
    }

    /// What may be a little old, but not older than what the caller has seen.
    pub(crate) async fn reader(&self, caught_up: &CaughtUp) -> <P::Store as Store>::Reader {
        match caught_up.token() {
            Some(token) => self.reader.at_least(token).await,
            None => self.reader.clone(),
        }
    }

    /// What is never old. The primary has whatever the caller has seen.
    pub(crate) fn primary(&self, _: &CaughtUp) -> <P::Store as Store>::Reader {
        self.reader.primary()
    }
}

impl<P: Ports> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone() }
    }
}
