//! What the use cases need of the outside. Each port has two real implementations: the adapter and the fake of the tests.
//!
//! The stored times come from the store's own clock ([`Transaction::now`]), so replicas agree on them; there is no
//! other clock in here.

mod identity_provider;
mod store;

use identity::UserId;

pub use identity_provider::{IdentityProvider, ProviderError};
pub use store::{
    Bootstraps, Claim, FeedRows, Reader, Requests, Reservations, Roles, Store, StoredRequest, Transaction,
    UserRows,
};

/// Everything a use case needs, as one type parameter.
pub trait Ports: Send + Sync + 'static {
    /// Where users are.
    type Store: Store;
    /// Who owns accounts.
    type IdentityProvider: IdentityProvider;
    /// Where new ids come from.
    type Ids: Ids;
}

/// Makes ids that nobody has.
pub trait Ids: Send + Sync + 'static {
    /// A new one, later ones sorting after earlier ones.
    fn next(&self) -> UserId;
}
