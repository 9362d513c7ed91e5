use std::error::Error as StdError;
use std::time::Duration;

use identity::{Rule, UserId, Username, Violation, sentence};

/// The cause of a fault that callers are told nothing about: for the log only.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Everything that a use case of this context can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or one that admits nobody: callers are never told which.
    #[error("the access token is missing or not valid")]
    Unauthenticated,
    /// Unknown username or wrong password: callers are never told which.
    #[error("the username or the password is wrong")]
    InvalidCredentials,
    /// The right password of an account that is disabled.
    #[error("the account is inactive")]
    AccountInactive,
    /// Sign-up or log-in with a valid token.
    #[error("the caller is logged in already: log out first")]
    AlreadyAuthenticated,
    /// The current password given to change it is wrong.
    #[error("the current password is wrong")]
    CurrentPasswordMismatch,
    /// The new password is the current one.
    #[error("the new password is the current one")]
    PasswordUnchanged,
    /// Fields that break rules: all of them.
    #[error("{}", sentence(.0))]
    InvalidFields(Vec<Violation>),
    /// A live session of somebody else.
    #[error("there is no such session")]
    SessionNotFound(String),
    /// No account with this id or name.
    #[error("there is no such account")]
    AccountNotFound(String),
    /// The name, ignoring case, belongs to an account.
    #[error("the username is taken")]
    UsernameTaken(Username),
    /// The id belongs to an account with other content.
    #[error("the account id is taken")]
    AccountIdTaken(UserId),
    /// The account changed since the version that was expected.
    #[error("the account has changed since the expected version")]
    VersionMismatch,
    /// The feed cursor is of another epoch or beyond the end.
    #[error("the cursor is unknown: start over from an empty one")]
    CursorUnknown,
    /// The request id belongs to a request with other content.
    #[error("the request id was used for a request with other content")]
    RequestIdReused,
    /// Too many attempts failed, or too many sign-ups came from one address.
    #[error("there were too many attempts, try again later")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// Password hashing is saturated.
    #[error("password hashing is saturated, try again later")]
    HasherBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that cannot happen did.
    #[error("internal error")]
    Internal(#[source] Cause),
}

impl Error {
    /// One field breaks one rule.
    #[must_use]
    pub fn invalid_field(field: &str, rule: Rule) -> Self {
        Self::InvalidFields(vec![Violation::new(field, rule)])
    }
}

/// How a store can fail. Expected conflicts (a name that is taken) are values, not failures.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be reached or is too busy, and nothing was changed.
    #[error("the store is unavailable")]
    Unavailable(#[source] Cause),
    /// The caller has no time left, and nothing was changed.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// The connection was lost during the commit.
    #[error("it is not known whether the change was made: a repeat may find it done")]
    OutcomeUnknown(#[source] Cause),
    /// The store answered something that it never should: a row that cannot be read back, a broken constraint.
    #[error("the store is broken")]
    Broken(#[source] Cause),
}
