//! What can go wrong, once for the whole service.
//!
//! Callers see the variant; the cause inside is for operators and is logged once, where the error leaves the service.

use std::time::Duration;

use identity::{Username, Violation};

use crate::domain::{Etag, Role};
use crate::ports::ProviderError;

/// Why something failed, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How a use case fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No token, or one that admits nobody: never which.
    #[error("authentication is required")]
    Unauthenticated,
    /// The caller's role does not suffice.
    #[error("the caller's role does not allow this")]
    RoleTooLow {
        /// The role that the method asks for, when the caller has not even that; the target's role is never told.
        required: Option<Role>,
    },
    /// Fields break rules: all of them.
    #[error("{}", identity::sentence(.0))]
    InvalidField(Vec<Violation>),
    /// The page token was not made for this request.
    #[error("the page token is not one that was made for this request")]
    InvalidPageToken,
    /// There is no such user.
    #[error("there is no user {0}")]
    UserNotFound(String),
    /// The name belongs to somebody.
    #[error("the username {0} is taken")]
    UsernameTaken(Username),
    /// The user has changed since the etag was read.
    #[error("the user has changed since the etag was read")]
    EtagMismatch {
        /// The user's present etag.
        current: Etag,
    },
    /// The request id marked a request with other content.
    #[error("the request id was used for a request with other content")]
    RequestIdReused,
    /// Too many attempts.
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// Password hashing is saturated; nothing was changed.
    #[error("password hashing is busy")]
    HasherBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store cannot be reached; nothing was changed.
    #[error("the store cannot be reached: {0}")]
    StorageUnavailable(#[source] Cause),
    /// Whether the change was made could not be found out.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(#[source] Cause),
    /// The owner of accounts cannot be reached, is too slow or answers nonsense. Says nothing about the caller.
    #[error("the identity provider is unavailable: {0}")]
    IdentityProviderUnavailable(#[source] Cause),
    /// The write that a consistency token names has not become visible in time.
    #[error("the write that the consistency token names is not visible yet")]
    NotYetConsistent,
    /// The caller's deadline has passed.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// Something here is broken.
    #[error("internal error: {0}")]
    Internal(#[source] Cause),
}

impl Error {
    /// One field breaks one rule.
    #[must_use]
    pub fn invalid(field: &str, rule: identity::Rule) -> Self {
        Self::InvalidField(vec![Violation::new(field, rule)])
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::StorageUnavailable(cause),
            StoreError::DeadlineExceeded => Self::DeadlineExceeded,
            StoreError::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause),
            StoreError::Broken(cause) => Self::Internal(cause),
        }
    }
}

/// What the port answers where the use case has no meaning of its own for it. Answers that make no sense for the call
/// are the provider's fault, so they count as its absence.
impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::InvalidField(violations) => Self::InvalidField(violations),
            ProviderError::HasherBusy { retry_after } => Self::HasherBusy { retry_after },
            ProviderError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            ProviderError::RequestIdReused => Self::RequestIdReused,
            ProviderError::DeadlineExceeded => Self::DeadlineExceeded,
            ProviderError::InvalidPageToken => Self::InvalidPageToken,
            ProviderError::OutcomeUnknown(cause) => Self::OutcomeUnknown(cause),
            ProviderError::Unavailable(cause) => Self::IdentityProviderUnavailable(cause),
            unexpected @ (ProviderError::UsernameTaken
            | ProviderError::AccountIdTaken
            | ProviderError::AccountNotFound
            | ProviderError::VersionMismatch
            | ProviderError::CursorUnknown) => Self::IdentityProviderUnavailable(Box::new(unexpected)),
        }
    }
}

/// How a store fails.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached; nothing was changed.
    #[error("{0}")]
    Unavailable(#[source] Cause),
    /// The caller has no time left; nothing was changed.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// The connection was lost during a commit: it may or may not have happened.
    #[error("{0}")]
    OutcomeUnknown(#[source] Cause),
    /// It holds something that cannot be read back, or refuses a statement.
    #[error("{0}")]
    Broken(#[source] Cause),
}

/// How an operator's command fails, beyond what every use case may meet.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// There is one already, and a second one was not insisted on.
    #[error("a super admin exists already")]
    SuperAdminExists,
    /// Another process is making a super admin at this moment.
    #[error("another bootstrap is running")]
    BootstrapRunning,
    /// An earlier bootstrap of another name was cut off; it has to be finished first.
    #[error("an earlier bootstrap of {0} was not finished: run it again for that username")]
    BootstrapUnfinished(Username),
    /// An earlier bootstrap of this name was cut off after it had made the super admin, who was demoted since.
    #[error("{0} was made a super admin, was demoted since, and is none any more")]
    DemotedSince(Username),
    /// The user is not a super admin.
    #[error("{0} is not a super admin")]
    NotASuperAdmin(Username),
    /// Nobody would be left to administer.
    #[error("{0} is the last active super admin")]
    LastActiveSuperAdmin(Username),
    /// Everything else.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for AdministrationError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ProviderError> for AdministrationError {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error.into())
    }
}
