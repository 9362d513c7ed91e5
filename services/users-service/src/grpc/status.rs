//! What each error is on the wire: code, reason, details and a message that is understandable alone.
//!
//! The one place that maps errors. Causes are logged here, once, and never sent.

use std::time::Duration;

use api::users::{ErrorReason, UserRole};
use grpc_kit::{Fault, Violation};
use tonic::{Code, Status};
use users_core::Error;

use super::wire;

/// Whose reasons these are.
pub(super) const DOMAIN: &str = "users.tandem";

const USER_TYPE: &str = "tandem.users.v1.User";
/// When to try again after an outage, whose end nobody knows.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The reason of an error.
const fn reason(error: &Error) -> ErrorReason {
    match error {
        Error::Unauthenticated => ErrorReason::Unauthenticated,
        Error::RoleTooLow { .. } => ErrorReason::RoleTooLow,
        Error::InvalidField(_) => ErrorReason::InvalidField,
        Error::InvalidPageToken => ErrorReason::InvalidPageToken,
        Error::UserNotFound(_) => ErrorReason::UserNotFound,
        Error::UsernameTaken(_) => ErrorReason::UsernameTaken,
        Error::EtagMismatch { .. } => ErrorReason::EtagMismatch,
        Error::RequestIdReused => ErrorReason::RequestIdReused,
        Error::RateLimited { .. } => ErrorReason::RateLimited,
        Error::HasherBusy { .. } => ErrorReason::HasherBusy,
        Error::StorageUnavailable(_) => ErrorReason::StorageUnavailable,
        Error::OutcomeUnknown(_) => ErrorReason::OutcomeUnknown,
        Error::IdentityProviderUnavailable(_) => ErrorReason::IdentityProviderUnavailable,
        Error::NotYetConsistent => ErrorReason::NotYetConsistent,
        Error::DeadlineExceeded => ErrorReason::DeadlineExceeded,
        Error::Internal(_) => ErrorReason::Internal,
    }
}

/// The answer to a call that failed.
pub(super) fn of(error: Error) -> Status {
    log(&error);
    let reason = reason(&error).as_str_name();
    let fault = |code, message: &str| Fault::new(code, DOMAIN, reason, message);
    let fault = match error {
        Error::Unauthenticated => fault(
            Code::Unauthenticated,
            "authentication is required: send authorization metadata with a valid access token",
        ),
        Error::RoleTooLow { required: Some(role) } => {
            let role: UserRole = wire::role(role);
            fault(Code::PermissionDenied, &format!("this needs at least the role {}", role.as_str_name()))
                .metadata("required_role", role.as_str_name())
        }
        Error::RoleTooLow { required: None } => {
            fault(Code::PermissionDenied, "your role does not outrank the role that this is about")
        }
        Error::InvalidField(broken) => {
            fault(Code::InvalidArgument, &identity::sentence(&broken))
                .violations(broken.into_iter().map(violation))
        }
        Error::InvalidPageToken => {
            let broken = identity::Violation::new("page_token", identity::Rule::NotAPageToken);
            fault(Code::InvalidArgument, &format!("page_token {}", broken.description))
                .violations([violation(broken)])
        }
        Error::UserNotFound(name) => {
            fault(Code::NotFound, &format!("there is no user {name}")).resource(USER_TYPE, name)
        }
        Error::UsernameTaken(name) => fault(Code::AlreadyExists, &format!("the username {name} is taken"))
            .resource(USER_TYPE, name.as_str()),
        Error::EtagMismatch { current } => fault(
            Code::Aborted,
            "the user has changed since the etag was read: read it again and decide anew",
        )
        .metadata("current_etag", current.to_string()),
        Error::RequestIdReused => {
            let broken = identity::Violation::new("request_id", identity::Rule::RequestIdReused);
            fault(Code::InvalidArgument, &format!("request_id {}", broken.description))
                .violations([violation(broken)])
        }
        Error::RateLimited { retry_after } => {
            fault(Code::ResourceExhausted, "too many attempts: try again later").retry_after(retry_after)
        }
        Error::HasherBusy { retry_after } => {
            fault(Code::Unavailable, "password hashing is busy and nothing was changed: try again")
                .retry_after(retry_after)
        }
        Error::StorageUnavailable(_) => {
            fault(Code::Unavailable, "the store cannot be reached and nothing was changed: try again")
                .retry_after(RETRY_AFTER)
        }
        Error::OutcomeUnknown(_) => fault(
            Code::Unavailable,
            "it is not known whether the change was made; a repeat may answer ALREADY_EXISTS or ABORTED",
        ),
        Error::IdentityProviderUnavailable(_) => fault(
            Code::Unavailable,
            "the identity provider cannot be reached or is too slow; this says nothing about your token: try again",
        )
        .retry_after(RETRY_AFTER),
        Error::NotYetConsistent => {
            fault(Code::Unavailable, "the write that the consistency token names is not visible yet: try again")
                .retry_after(RETRY_AFTER)
        }
        Error::DeadlineExceeded => fault(Code::DeadlineExceeded, "the deadline has passed"),
        Error::Internal(_) => {
            fault(Code::Internal, "internal error; the service's log has the cause under the request id")
        }
    };
    fault.into()
}

fn log(error: &Error) {
    match error {
        Error::Internal(cause) => tracing::error!(%cause, "a call failed"),
        Error::StorageUnavailable(cause)
        | Error::OutcomeUnknown(cause)
        | Error::IdentityProviderUnavailable(cause) => {
            tracing::warn!(%cause, reason = reason(error).as_str_name(), "a call failed");
        }
        Error::Unauthenticated
        | Error::RoleTooLow { .. }
        | Error::InvalidField(_)
        | Error::InvalidPageToken
        | Error::UserNotFound(_)
        | Error::UsernameTaken(_)
        | Error::EtagMismatch { .. }
        | Error::RequestIdReused
        | Error::RateLimited { .. }
        | Error::HasherBusy { .. }
        | Error::NotYetConsistent
        | Error::DeadlineExceeded => {}
    }
}

fn violation(broken: identity::Violation) -> Violation {
    Violation { field: broken.field, reason: broken.reason, description: broken.description }
}

#[cfg(test)]
mod tests;
