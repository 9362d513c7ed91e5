//! What only reads: one file for each. A query has a reader and nothing else, so it cannot change anything.

mod get_current_user;
mod get_user;
mod list_users;

use crate::ports::{Ports, Store};

pub use get_current_user::GetCurrentUser;
pub use get_user::{GetUser, Named};
pub use list_users::{Direction, ListUsers, MAX_SKIP, Order, Place, SortBy, SortKey, UserFilter, UserPage};

/// What a query may use. Cheap to clone.
pub struct Context<P: Ports> {
    /// Where users are read.
    pub reader: <P::Store as Store>::Reader,
}

impl<P: Ports> Clone for Context<P> {
    fn clone(&self) -> Self {
        Self { reader: self.reader.clone() }
    }
}
