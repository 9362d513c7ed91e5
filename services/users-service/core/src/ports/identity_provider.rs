//! The owner of accounts, credentials and sessions, as this service may use it.

use std::time::Duration;

use identity::{PageSize, RawPassword, UserId, Username, Violation};

use crate::domain::{AccessToken, Account, Authenticated, SessionPage, UserKey};
use crate::error::Cause;

/// The identity-provider port. An error of it never means that somebody was refused.
///
/// `actor` names on whose behalf a change is made, for the owner's security log; none is an operator's command.
pub trait IdentityProvider: Send + Sync + 'static {
    /// Who is behind a token. May renew it, unless that is to be skipped.
    fn authenticate(
        &self,
        token: &AccessToken,
        skip_renewal: bool,
    ) -> impl Future<Output = Result<Authenticated, ProviderError>> + Send;

    /// An account as it is now.
    fn get_account(&self, key: &UserKey) -> impl Future<Output = Result<Account, ProviderError>> + Send;

    /// What is wrong with a credential, by the whole policy; looks at no account.
    fn check_credential(
        &self,
        username: Option<&Username>,
        password: &RawPassword,
    ) -> impl Future<Output = Result<Vec<Violation>, ProviderError>> + Send;

    /// Creates an account; a repeat with the same id, name and password succeeds.
    fn register_account(
        &self,
        id: UserId,
        username: &Username,
        password: &RawPassword,
        actor: Option<UserId>,
    ) -> impl Future<Output = Result<Account, ProviderError>> + Send;

    /// Sets a password and ends the account's sessions.
    fn set_password(
        &self,
        id: UserId,
        password: &RawPassword,
        actor: Option<UserId>,
    ) -> impl Future<Output = Result<Account, ProviderError>> + Send;

    /// Makes an account usable, if it has the expected version.
    fn enable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        actor: Option<UserId>,
    ) -> impl Future<Output = Result<Account, ProviderError>> + Send;

    /// Makes an account unusable and ends its sessions, if it has the expected version.
    fn disable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        actor: Option<UserId>,
    ) -> impl Future<Output = Result<Account, ProviderError>> + Send;

    /// Ends one session, or all of them, and says how many there were.
    fn revoke_sessions(
        &self,
        id: UserId,
        session_id: Option<&str>,
        actor: Option<UserId>,
    ) -> impl Future<Output = Result<i32, ProviderError>> + Send;

    /// An account's live sessions, newest first.
    fn list_sessions(
        &self,
        id: UserId,
        page_size: PageSize,
        after: Option<&str>,
    ) -> impl Future<Output = Result<SessionPage, ProviderError>> + Send;
}

/// How the port fails.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The name belongs to somebody.
    #[error("the username is taken")]
    UsernameTaken,
    /// The id belongs to an account with another name or password.
    #[error("the account id is taken")]
    AccountIdTaken,
    /// There is no such account.
    #[error("there is no such account")]
    AccountNotFound,
    /// The account has changed since the expected version.
    #[error("the account has another version")]
    VersionMismatch,
    /// Fields break rules of the owner.
    #[error("invalid fields: {0:?}")]
    InvalidField(Vec<Violation>),
    /// Password hashing is saturated; nothing was changed.
    #[error("password hashing is busy")]
    HasherBusy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many attempts.
    #[error("too many attempts")]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The request id marked a request with other content.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// The caller's own deadline has passed.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// The page token is not one of the port's.
    #[error("the page token is not one of the port's")]
    InvalidPageToken,
    /// The feed's cursor is of another epoch or beyond its end.
    #[error("the cursor is unknown")]
    CursorUnknown,
    /// Whether the change was made is not known.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(#[source] Cause),
    /// It cannot be reached, is too slow, refuses this workload or answers nonsense.
    #[error("{0}")]
    Unavailable(#[source] Cause),
}
