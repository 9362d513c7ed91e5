//! Pure domain code: no ports, no I/O; time is an argument.

mod access_token;
mod account;
mod feed;
mod password;
mod session;
mod throttle;

pub use access_token::{AccessToken, Claims, RenewedToken};
pub use account::{Account, AccountKey, AccountState, NewAccount, PasswordHash, StoredAccount};
pub use feed::{FeedCursor, FeedEvent};
pub use password::{MIN_PASSWORD_LENGTH, NewPassword, PasswordPolicy, parse_credential};
pub use session::{Client, LiveSession, Session, SessionId, SessionPolicy, SessionPosition};
pub use throttle::{
    AddressCount, Attempt, AttemptId, ClientAddress, Decision, Failures, Purpose, SignUps, Standing,
    ThrottlePolicy, Undecided,
};
