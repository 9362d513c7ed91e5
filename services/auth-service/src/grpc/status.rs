//! Errors of the core as gRPC statuses: one exhaustive mapping for each package, since each has its own reasons.

use std::time::Duration;

use api::auth::ErrorReason as Auth;
use api::identity::ErrorReason as Identity;
use auth_core::{Error, StoreError};
use grpc_kit::Fault;
use identity::{Rule, Violation};
use tonic::{Code, Status};

use crate::workload::Refusal;

/// Of errors of `AuthService`.
pub(super) const AUTH_DOMAIN: &str = "auth.tandem";
/// Of errors of `IdentityProviderService`.
pub(super) const IDENTITY_DOMAIN: &str = "identity.tandem";

/// When a store that was unavailable is worth another try.
const STORE_RETRY: Duration = Duration::from_secs(1);

const USER: &str = "tandem.users.v1.User";
const SESSION: &str = "tandem.auth.v1.Session";
const ACCOUNT: &str = "tandem.identity.v1.Account";

/// What `AuthService` answers.
pub(super) fn auth(error: Error) -> Status {
    let message = error.to_string();
    let fault = |code, reason: Auth| Fault::new(code, AUTH_DOMAIN, reason.as_str_name(), message);
    let fault = match error {
        Error::Unauthenticated => fault(Code::Unauthenticated, Auth::Unauthenticated),
        Error::InvalidCredentials => fault(Code::Unauthenticated, Auth::InvalidCredentials),
        Error::AccountInactive => fault(Code::Unauthenticated, Auth::AccountInactive),
        Error::AlreadyAuthenticated => fault(Code::FailedPrecondition, Auth::AlreadyAuthenticated)
            .precondition("ANONYMOUS", "authorization", "the call must carry no valid access token"),
        Error::CurrentPasswordMismatch => fault(Code::PermissionDenied, Auth::CurrentPasswordMismatch),
        Error::PasswordUnchanged => fault(Code::InvalidArgument, Auth::PasswordUnchanged)
            .violations(wire_violations([Violation::new("new_password", Rule::Unchanged)])),
        Error::InvalidFields(violations) => {
            fault(Code::InvalidArgument, Auth::InvalidField).violations(wire_violations(violations))
        }
        Error::SessionNotFound(id) => fault(Code::NotFound, Auth::SessionNotFound).resource(SESSION, id),
        Error::UsernameTaken(name) => {
            fault(Code::AlreadyExists, Auth::UsernameTaken).resource(USER, name.to_string())
        }
        Error::RequestIdReused => fault(Code::InvalidArgument, Auth::RequestIdReused)
            .violations(wire_violations([Violation::new("request_id", Rule::RequestIdReused)])),
        Error::HasherBusy { retry_after } => {
            fault(Code::Unavailable, Auth::HasherBusy).retry_after(retry_after)
        }
        Error::Store(StoreError::Unavailable(cause)) => {
            log(&*cause, "the store is unavailable");
            fault(Code::Unavailable, Auth::StorageUnavailable).retry_after(STORE_RETRY)
        }
        Error::Store(StoreError::OutcomeUnknown(cause)) => {
            log(&*cause, "the outcome of a commit is unknown");
            fault(Code::Unavailable, Auth::OutcomeUnknown)
        }
        Error::Store(StoreError::Broken(cause)) | Error::Internal(cause) => {
            log(&*cause, "internal error");
            internal(AUTH_DOMAIN, Auth::Internal.as_str_name())
        }
        misplaced @ (Error::AccountNotFound(_)
        | Error::AccountIdTaken(_)
        | Error::VersionMismatch
        | Error::CursorUnknown) => {
            log(&misplaced, "an error of the port came up in AuthService");
            internal(AUTH_DOMAIN, Auth::Internal.as_str_name())
        }
    };
    fault.into()
}

/// What `IdentityProviderService` answers.
pub(super) fn identity(error: Error) -> Status {
    let message = error.to_string();
    let fault = |code, reason: Identity| Fault::new(code, IDENTITY_DOMAIN, reason.as_str_name(), message);
    let fault = match error {
        Error::InvalidFields(violations) => {
            fault(Code::InvalidArgument, Identity::InvalidField).violations(wire_violations(violations))
        }
        Error::AccountNotFound(key) => {
            fault(Code::NotFound, Identity::AccountNotFound).resource(ACCOUNT, key)
        }
        Error::UsernameTaken(name) => {
            fault(Code::AlreadyExists, Identity::UsernameTaken).resource(ACCOUNT, name.to_string())
        }
        Error::AccountIdTaken(id) => {
            fault(Code::AlreadyExists, Identity::AccountIdTaken).resource(ACCOUNT, id.to_string())
        }
        Error::VersionMismatch => fault(Code::Aborted, Identity::VersionMismatch),
        Error::CursorUnknown => fault(Code::FailedPrecondition, Identity::CursorUnknown),
        Error::HasherBusy { retry_after } => {
            fault(Code::Unavailable, Identity::HasherBusy).retry_after(retry_after)
        }
        Error::Store(StoreError::Unavailable(cause)) => {
            log(&*cause, "the store is unavailable");
            fault(Code::Unavailable, Identity::StorageUnavailable).retry_after(STORE_RETRY)
        }
        Error::Store(StoreError::OutcomeUnknown(cause)) => {
            log(&*cause, "the outcome of a commit is unknown");
            fault(Code::Unavailable, Identity::OutcomeUnknown)
        }
        Error::Store(StoreError::Broken(cause)) | Error::Internal(cause) => {
            log(&*cause, "internal error");
            internal(IDENTITY_DOMAIN, Identity::Internal.as_str_name())
        }
        misplaced @ (Error::Unauthenticated
        | Error::InvalidCredentials
        | Error::AccountInactive
        | Error::AlreadyAuthenticated
        | Error::CurrentPasswordMismatch
        | Error::PasswordUnchanged
        | Error::SessionNotFound(_)
        | Error::RequestIdReused) => {
            log(&misplaced, "an error of AuthService came up in the port");
            internal(IDENTITY_DOMAIN, Identity::Internal.as_str_name())
        }
    };
    fault.into()
}

/// What the internal listener answers to a workload that it does not admit.
pub(super) fn refused(refusal: Refusal) -> Status {
    let (code, reason, message) = match refusal {
        Refusal::Unauthenticated => (
            Code::Unauthenticated,
            Identity::WorkloadUnauthenticated,
            "the calling workload has no or a bad credential",
        ),
        Refusal::NotAllowed => (
            Code::PermissionDenied,
            Identity::WorkloadNotAllowed,
            "the calling workload may not call this method",
        ),
    };
    Fault::new(code, IDENTITY_DOMAIN, reason.as_str_name(), message).into()
}

/// A page token of `AuthService` that is none.
pub(super) fn auth_page_token() -> Status {
    page_token(AUTH_DOMAIN, Auth::InvalidPageToken.as_str_name())
}

/// A page token of the port that is none.
pub(super) fn identity_page_token() -> Status {
    page_token(IDENTITY_DOMAIN, Identity::InvalidPageToken.as_str_name())
}

fn page_token(domain: &'static str, reason: &'static str) -> Status {
    Fault::new(Code::InvalidArgument, domain, reason, "the page token was not made for this request")
        .violations(wire_violations([Violation::new("page_token", Rule::NotAPageToken)]))
        .into()
}

fn internal(domain: &'static str, reason: &'static str) -> Fault {
    Fault::new(Code::Internal, domain, reason, "internal error")
}

fn wire_violations(violations: impl IntoIterator<Item = Violation>) -> Vec<grpc_kit::Violation> {
    let wire = |violation: Violation| grpc_kit::Violation {
        field: violation.field,
        reason: violation.reason,
        description: violation.description,
    };
    violations.into_iter().map(wire).collect()
}

/// The cause is for operators: written down once, here, and never sent.
fn log(cause: &(dyn std::error::Error + 'static), what: &str) {
    let mut chain = cause.to_string();
    let mut next = cause.source();
    while let Some(source) = next {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        next = source.source();
    }
    tracing::error!(cause = chain, "{what}");
}
