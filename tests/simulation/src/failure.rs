//! What a refused call means to its caller, whichever service refused it.

use auth_core::StoreError as AuthStoreError;

use crate::model::Outcome;

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody answered.
    NoAnswer,
    /// The token admits nobody.
    Denied,
    /// The password is wrong.
    WrongPassword,
    /// The account is inactive.
    Inactive,
    /// The caller's role does not suffice.
    RoleTooLow,
    /// The name is taken.
    Taken,
    /// The request id was used for something else.
    Reused,
    /// The etag is stale.
    Stale,
    /// Another refusal by the rules: nothing was changed.
    ByTheRules(&'static str),
    /// Too much is going on: nothing was changed.
    Busy,
    /// A store is away: nothing was changed.
    NothingChanged,
    /// An outage, in which it may have been done.
    Outage,
    /// What must never be answered.
    Broken(String),
}

impl Failure {
    /// What is known of the call.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::NoAnswer | Self::Outage | Self::Broken(_) => Outcome::Unknown,
            _ => Outcome::Refused,
        }
    }

    /// Whether the caller was let in before it was refused.
    pub(crate) const fn is_of_an_admitted_caller(&self) -> bool {
        match self {
            Self::WrongPassword
            | Self::Inactive
            | Self::RoleTooLow
            | Self::Taken
            | Self::Reused
            | Self::Stale
            | Self::ByTheRules(_) => true,
            Self::NoAnswer
            | Self::Denied
            | Self::Busy
            | Self::NothingChanged
            | Self::Outage
            | Self::Broken(_) => false,
        }
    }
}

impl From<auth_core::Error> for Failure {
    fn from(error: auth_core::Error) -> Self {
        use auth_core::Error;
        match error {
            Error::Unauthenticated => Self::Denied,
            Error::InvalidCredentials | Error::CurrentPasswordMismatch => Self::WrongPassword,
            Error::AccountInactive => Self::Inactive,
            Error::AlreadyAuthenticated => Self::ByTheRules("logged in already"),
            Error::PasswordUnchanged => Self::ByTheRules("the password is the current one"),
            Error::SessionNotFound(_) => Self::ByTheRules("no such session"),
            Error::UsernameTaken(_) => Self::Taken,
            Error::RequestIdReused => Self::Reused,
            Error::RateLimited { .. } | Error::HasherBusy { .. } => Self::Busy,
            Error::Store(AuthStoreError::Unavailable(_)) => Self::NothingChanged,
            Error::Store(AuthStoreError::OutcomeUnknown(_) | AuthStoreError::DeadlineExceeded) => {
                Self::Outage
            }
            Error::InvalidFields(_)
            | Error::AccountNotFound(_)
            | Error::AccountIdTaken(_)
            | Error::VersionMismatch
            | Error::CursorUnknown
            | Error::Store(AuthStoreError::Broken(_))
            | Error::Internal(_) => Self::Broken(error.to_string()),
        }
    }
}

impl From<users_core::Error> for Failure {
    fn from(error: users_core::Error) -> Self {
        use users_core::Error;
        match error {
            Error::Unauthenticated => Self::Denied,
            Error::RoleTooLow { .. } => Self::RoleTooLow,
            Error::UsernameTaken(_) => Self::Taken,
            Error::RequestIdReused => Self::Reused,
            Error::EtagMismatch { .. } => Self::Stale,
            Error::RateLimited { .. } | Error::HasherBusy { .. } => Self::Busy,
            Error::StorageUnavailable(_) => Self::NothingChanged,
            Error::OutcomeUnknown(_)
            | Error::IdentityProviderUnavailable(_)
            | Error::NotYetConsistent
            | Error::DeadlineExceeded => Self::Outage,
            Error::UserNotFound(_)
            | Error::InvalidField(_)
            | Error::InvalidPageToken
            | Error::Internal(_) => Self::Broken(error.to_string()),
        }
    }
}
