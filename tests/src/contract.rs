//! The table of errors: which code and which details belong to a reason. Every error that any test meets is held
//! against it.

use tonic::Code;

/// The error domain of `AuthService`.
pub const AUTH: &str = "auth.tandem";
/// The error domain of the port.
pub const IDENTITY: &str = "identity.tandem";
/// The error domain of `UsersService`.
pub const USERS: &str = "users.tandem";

/// A detail that an error carries besides `ErrorInfo` and `RequestInfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    BadRequest,
    PreconditionFailure,
    ResourceInfo,
    RetryInfo,
}

/// The code and the details of a reason, without its prefix.
pub(crate) fn error(reason: &str) -> (Code, &'static [Detail]) {
    use Detail::{BadRequest, PreconditionFailure, ResourceInfo, RetryInfo};
    match reason {
        "UNAUTHENTICATED" | "INVALID_CREDENTIALS" | "ACCOUNT_INACTIVE" | "WORKLOAD_UNAUTHENTICATED" => {
            (Code::Unauthenticated, &[])
        }
        "ALREADY_AUTHENTICATED" => (Code::FailedPrecondition, &[PreconditionFailure]),
        "CURRENT_PASSWORD_MISMATCH" | "ROLE_TOO_LOW" | "WORKLOAD_NOT_ALLOWED" => {
            (Code::PermissionDenied, &[])
        }
        "PASSWORD_UNCHANGED" | "INVALID_FIELD" | "INVALID_PAGE_TOKEN" | "REQUEST_ID_REUSED" => {
            (Code::InvalidArgument, &[BadRequest])
        }
        "MALFORMED_REQUEST" => (Code::InvalidArgument, &[]),
        "USER_NOT_FOUND" | "SESSION_NOT_FOUND" | "ACCOUNT_NOT_FOUND" => (Code::NotFound, &[ResourceInfo]),
        "USERNAME_TAKEN" | "ACCOUNT_ID_TAKEN" => (Code::AlreadyExists, &[ResourceInfo]),
        "ETAG_MISMATCH" | "VERSION_MISMATCH" => (Code::Aborted, &[]),
        "CURSOR_UNKNOWN" => (Code::FailedPrecondition, &[]),
        "RATE_LIMITED" => (Code::ResourceExhausted, &[RetryInfo]),
        "REQUEST_TOO_LARGE" => (Code::ResourceExhausted, &[]),
        "HASHER_BUSY" | "STORAGE_UNAVAILABLE" | "IDENTITY_PROVIDER_UNAVAILABLE" | "NOT_YET_CONSISTENT" => {
            (Code::Unavailable, &[RetryInfo])
        }
        "OUTCOME_UNKNOWN" | "DRAINING" => (Code::Unavailable, &[]),
        "DEADLINE_EXCEEDED" => (Code::DeadlineExceeded, &[]),
        "UNKNOWN_METHOD" => (Code::Unimplemented, &[]),
        "INTERNAL" => panic!("INTERNAL: something is broken inside"),
        unknown => panic!("{unknown} is not in the table of errors"),
    }
}
