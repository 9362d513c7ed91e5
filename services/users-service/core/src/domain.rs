//! Users, roles and what a role allows: pure values and decisions.
//!
//! Nothing here waits, reads a clock or knows that it is stored; time is an argument.

mod account;
mod actor;
mod etag;
mod feed;
mod role;
mod session;
mod user;

pub use account::{AccessToken, Account, Authenticated, Principal, RenewedToken};
pub use actor::Actor;
pub use etag::{Etag, Expected};
pub use feed::{FeedMessage, FeedState, Fence, LEASE_LIFETIME, Lease, LeaseOwner};
pub use role::{Permission, Role};
pub use session::{Session, SessionPage};
pub use user::{State, User, UserKey};
