//! Errors of the core as gRPC statuses: one exhaustive mapping for each package, since each has its own reasons.

use std::time::Duration;

use api::auth::ErrorReason as Auth;
use api::identity::ErrorReason as Identity;
use auth_core::{Error, StoreError};
use fail_point::mutant;
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
    let error = match error {
        // A defect: an outage is answered as a denial.
        Error::Store(StoreError::Unavailable(_)) if mutant("status.outage_is_a_denial") => {
            Error::Unauthenticated
        }
        // A defect: a denial is answered as an outage.
        Error::Unauthenticated if mutant("status.denial_is_an_outage") => {
            Error::Store(StoreError::Unavailable("a defect".into()))
        }
        // A defect: a denial without its reason.
        Error::Unauthenticated if mutant("status.reason_left_out") => {
            return Status::unauthenticated("no");
        }
        error => error,
    };
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
        Error::RateLimited { retry_after } => {
            fault(Code::ResourceExhausted, Auth::RateLimited).retry_after(retry_after)
        }
        Error::HasherBusy { retry_after } => {
            fault(Code::Unavailable, Auth::HasherBusy).retry_after(retry_after)
        }
        Error::Store(StoreError::Unavailable(cause)) => {
            log_outage(&*cause, "the store is unavailable");
            fault(Code::Unavailable, Auth::StorageUnavailable).retry_after(STORE_RETRY)
        }
        Error::Store(StoreError::DeadlineExceeded) => fault(Code::DeadlineExceeded, Auth::DeadlineExceeded),
        Error::Store(StoreError::OutcomeUnknown(cause)) => {
            log_outage(&*cause, "the outcome of a commit is unknown");
            fault(Code::Unavailable, Auth::OutcomeUnknown)
        }
        Error::Store(StoreError::Broken(cause)) | Error::Internal(cause) => {
            log_failure(&*cause, "internal error");
            internal(AUTH_DOMAIN, Auth::Internal.as_str_name())
        }
        misplaced @ (Error::AccountNotFound(_)
        | Error::AccountIdTaken(_)
        | Error::VersionMismatch
        | Error::CursorUnknown) => {
            log_failure(&misplaced, "an error of the port came up in AuthService");
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
        Error::RateLimited { retry_after } => {
            fault(Code::ResourceExhausted, Identity::RateLimited).retry_after(retry_after)
        }
        Error::HasherBusy { retry_after } => {
            fault(Code::Unavailable, Identity::HasherBusy).retry_after(retry_after)
        }
        Error::Store(StoreError::Unavailable(cause)) => {
            log_outage(&*cause, "the store is unavailable");
            fault(Code::Unavailable, Identity::StorageUnavailable).retry_after(STORE_RETRY)
        }
        Error::Store(StoreError::DeadlineExceeded) => {
            fault(Code::DeadlineExceeded, Identity::DeadlineExceeded)
        }
        Error::Store(StoreError::OutcomeUnknown(cause)) => {
            log_outage(&*cause, "the outcome of a commit is unknown");
            fault(Code::Unavailable, Identity::OutcomeUnknown)
        }
        Error::Store(StoreError::Broken(cause)) | Error::Internal(cause) => {
            log_failure(&*cause, "internal error");
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
            log_failure(&misplaced, "an error of AuthService came up in the port");
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

/// A bug, or data that cannot be read. The cause is for operators: written down once, and never sent.
fn log_failure(cause: &(dyn std::error::Error + 'static), what: &str) {
    tracing::error!(cause = chain(cause), "{what}");
}

/// A database that is away: nothing here has failed.
fn log_outage(cause: &(dyn std::error::Error + 'static), what: &str) {
    tracing::warn!(cause = chain(cause), "{what}");
}

fn chain(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut chain = cause.to_string();
    let mut next = cause.source();
    while let Some(source) = next {
        chain.push_str(": ");
        chain.push_str(&source.to_string());
        next = source.source();
    }
    chain
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tonic_types::StatusExt as _;

    use super::*;

    fn every_error() -> Vec<Error> {
        let cause = || Box::<dyn std::error::Error + Send + Sync>::from("a secret cause");
        let name = identity::Username::parse("alice").unwrap();
        let id = identity::UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap();
        vec![
            Error::Unauthenticated,
            Error::InvalidCredentials,
            Error::AccountInactive,
            Error::AlreadyAuthenticated,
            Error::CurrentPasswordMismatch,
            Error::PasswordUnchanged,
            Error::invalid_field("username", Rule::Required),
            Error::SessionNotFound("session".into()),
            Error::AccountNotFound("account".into()),
            Error::UsernameTaken(name),
            Error::AccountIdTaken(id),
            Error::VersionMismatch,
            Error::CursorUnknown,
            Error::RequestIdReused,
            Error::RateLimited { retry_after: Duration::from_secs(1) },
            Error::HasherBusy { retry_after: Duration::from_secs(1) },
            Error::Store(StoreError::Unavailable(cause())),
            Error::Store(StoreError::DeadlineExceeded),
            Error::Store(StoreError::OutcomeUnknown(cause())),
            Error::Store(StoreError::Broken(cause())),
            Error::Internal(cause()),
        ]
    }

    /// Code, reason without its prefix, and the details besides `ErrorInfo`.
    fn answered(status: &Status, domain: &str) -> (Code, String, String) {
        let details = status.get_error_details();
        let info = details.error_info().expect("every error says why");
        assert_eq!(info.domain, domain);
        assert!(!status.message().contains("secret"), "{status}");
        let mut names = Vec::new();
        for (name, there) in [
            ("BR", details.bad_request().is_some()),
            ("Res", details.resource_info().is_some()),
            ("RI", details.retry_info().is_some()),
            ("PF", details.precondition_failure().is_some()),
        ] {
            if there {
                names.push(name);
            }
        }
        (status.code(), info.reason.trim_start_matches("ERROR_REASON_").to_owned(), names.join(" "))
    }

    fn expect(actual: Vec<(Code, String, String)>, expected: &[(Code, &str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(code, reason, details)| (*code, (*reason).to_owned(), (*details).to_owned()))
            .collect();
        assert_eq!(actual, expected);
    }

    #[test]
    fn auth_service_answers_every_error_as_the_contract_says() {
        let statuses = every_error().into_iter().map(auth);
        let internal = (Code::Internal, "INTERNAL", "");
        expect(
            statuses.map(|status| answered(&status, AUTH_DOMAIN)).collect(),
            &[
                (Code::Unauthenticated, "UNAUTHENTICATED", ""),
                (Code::Unauthenticated, "INVALID_CREDENTIALS", ""),
                (Code::Unauthenticated, "ACCOUNT_INACTIVE", ""),
                (Code::FailedPrecondition, "ALREADY_AUTHENTICATED", "PF"),
                (Code::PermissionDenied, "CURRENT_PASSWORD_MISMATCH", ""),
                (Code::InvalidArgument, "PASSWORD_UNCHANGED", "BR"),
                (Code::InvalidArgument, "INVALID_FIELD", "BR"),
                (Code::NotFound, "SESSION_NOT_FOUND", "Res"),
                internal,
                (Code::AlreadyExists, "USERNAME_TAKEN", "Res"),
                internal,
                internal,
                internal,
                (Code::InvalidArgument, "REQUEST_ID_REUSED", "BR"),
                (Code::ResourceExhausted, "RATE_LIMITED", "RI"),
                (Code::Unavailable, "HASHER_BUSY", "RI"),
                (Code::Unavailable, "STORAGE_UNAVAILABLE", "RI"),
                (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", ""),
                (Code::Unavailable, "OUTCOME_UNKNOWN", ""),
                internal,
                internal,
            ],
        );
    }

    #[test]
    fn the_port_answers_every_error_as_the_contract_says() {
        let statuses = every_error().into_iter().map(identity);
        let internal = (Code::Internal, "INTERNAL", "");
        expect(
            statuses.map(|status| answered(&status, IDENTITY_DOMAIN)).collect(),
            &[
                internal,
                internal,
                internal,
                internal,
                internal,
                internal,
                (Code::InvalidArgument, "INVALID_FIELD", "BR"),
                internal,
                (Code::NotFound, "ACCOUNT_NOT_FOUND", "Res"),
                (Code::AlreadyExists, "USERNAME_TAKEN", "Res"),
                (Code::AlreadyExists, "ACCOUNT_ID_TAKEN", "Res"),
                (Code::Aborted, "VERSION_MISMATCH", ""),
                (Code::FailedPrecondition, "CURSOR_UNKNOWN", ""),
                internal,
                (Code::ResourceExhausted, "RATE_LIMITED", "RI"),
                (Code::Unavailable, "HASHER_BUSY", "RI"),
                (Code::Unavailable, "STORAGE_UNAVAILABLE", "RI"),
                (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", ""),
                (Code::Unavailable, "OUTCOME_UNKNOWN", ""),
                internal,
                internal,
            ],
        );
    }

    #[test]
    fn a_workload_hears_which_of_the_two_is_wrong() {
        let answers = [Refusal::Unauthenticated, Refusal::NotAllowed].map(refused);
        expect(
            answers.iter().map(|status| answered(status, IDENTITY_DOMAIN)).collect(),
            &[
                (Code::Unauthenticated, "WORKLOAD_UNAUTHENTICATED", ""),
                (Code::PermissionDenied, "WORKLOAD_NOT_ALLOWED", ""),
            ],
        );
    }

    #[test]
    fn the_reasons_of_the_layer_are_reasons_of_every_package() {
        let auth: HashSet<_> =
            (0..64).filter_map(|n| Auth::try_from(n).ok()).map(|reason| reason.as_str_name()).collect();
        let port: HashSet<_> =
            (0..64).filter_map(|n| Identity::try_from(n).ok()).map(|reason| reason.as_str_name()).collect();
        for reason in grpc_kit::layer::SHARED_REASONS {
            assert!(auth.contains(reason) && port.contains(reason), "{reason}");
        }
    }
}
