//! The values that both contexts speak of: user ids, usernames, raw passwords, versions, tokens of consistency.
//!
//! Pure value types: each has private fields and one checked constructor, so what exists is valid. Nothing here does
//! I/O, reads a clock or makes an id; roles and sessions belong to one context each and are not here.

#[cfg(test)]
use overheard as _;

mod account_version;
mod consistency_token;
mod page_size;
mod raw_password;
mod request_id;
mod user_id;
mod username;
mod violation;

pub use account_version::{AccountVersion, Epoch};
pub use consistency_token::ConsistencyToken;
pub use page_size::PageSize;
pub use raw_password::{MAX_PASSWORD_CODE_POINTS, RawPassword};
pub use request_id::RequestId;
pub use user_id::UserId;
pub use username::{MAX_USERNAME_LENGTH, MIN_USERNAME_LENGTH, Username, UsernamePrefix};
pub use violation::{BrokenRules, Rule, Violation, Violations, sentence};

/// A point in time, in UTC; every store keeps it to the microsecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
