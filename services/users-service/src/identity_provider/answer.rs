//! What a refusal of the provider means, by the reason in its details and nothing else.

use std::time::Duration;

use api::identity::ErrorReason;
use grpc_kit::client::explained;
use identity::Violation;
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb;
use users_core::ports::ProviderError;

/// Whose reasons they are.
const DOMAIN: &str = "identity.tandem";
/// When the provider says "later" and not when.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refusal that means nothing to our callers, for the log.
#[derive(Debug, thiserror::Error)]
#[error("it answered {code:?}: {message} {reason}")]
struct Refusal {
    code: Code,
    reason: String,
    message: String,
}

/// Nothing came in time.
#[derive(Debug, thiserror::Error)]
#[error("it did not answer in time")]
pub(super) struct TooSlow;

/// The error for a provider that did not answer in the time that it is given.
pub(super) fn too_slow() -> ProviderError {
    ProviderError::Unavailable(Box::new(TooSlow))
}

/// The meaning of a refusal. That the deadline passed is the caller's concern only if it was the caller's deadline.
pub(super) fn refused(status: &Status, deadline_is_the_callers: bool) -> ProviderError {
    let details = Details::of(status);
    let retry_after = details.retry_after.unwrap_or(RETRY_AFTER);
    let reason = ErrorReason::from_str_name(&details.reason).unwrap_or(ErrorReason::Unspecified);
    match reason {
        ErrorReason::InvalidField => ProviderError::InvalidField(details.violations),
        ErrorReason::InvalidPageToken => ProviderError::InvalidPageToken,
        ErrorReason::AccountNotFound => ProviderError::AccountNotFound,
        ErrorReason::UsernameTaken => ProviderError::UsernameTaken,
        ErrorReason::AccountIdTaken => ProviderError::AccountIdTaken,
        ErrorReason::VersionMismatch => ProviderError::VersionMismatch,
        ErrorReason::CursorUnknown => ProviderError::CursorUnknown,
        ErrorReason::RateLimited => ProviderError::RateLimited { retry_after },
        ErrorReason::HasherBusy => ProviderError::HasherBusy { retry_after },
        ErrorReason::OutcomeUnknown => ProviderError::OutcomeUnknown(refusal(status, details.reason).into()),
        ErrorReason::DeadlineExceeded if deadline_is_the_callers => ProviderError::DeadlineExceeded,
        ErrorReason::DeadlineExceeded
        | ErrorReason::Unspecified
        | ErrorReason::WorkloadUnauthenticated
        | ErrorReason::WorkloadNotAllowed
        | ErrorReason::MalformedRequest
        | ErrorReason::StorageUnavailable
        | ErrorReason::Draining
        | ErrorReason::RequestTooLarge
        | ErrorReason::UnknownMethod
        | ErrorReason::Internal => ProviderError::Unavailable(refusal(status, details.reason).into()),
    }
}

fn refusal(status: &Status, reason: String) -> Refusal {
    Refusal { code: status.code(), reason, message: explained(status) }
}

/// The details of an error that we understand; the rest is passed over.
#[derive(Default)]
struct Details {
    reason: String,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

impl Details {
    fn of(status: &Status) -> Self {
        let mut known = Self::default();
        let details = pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        for detail in details {
            let bytes = detail.value.as_slice();
            match detail.type_url.rsplit('/').next() {
                Some("google.rpc.ErrorInfo") => {
                    let info = pb::ErrorInfo::decode(bytes).unwrap_or_default();
                    if info.domain == DOMAIN {
                        known.reason = info.reason;
                    }
                }
                Some("google.rpc.BadRequest") => {
                    let broken = pb::BadRequest::decode(bytes).unwrap_or_default().field_violations;
                    known.violations = broken.into_iter().map(violation).collect();
                }
                Some("google.rpc.RetryInfo") => {
                    let delay = pb::RetryInfo::decode(bytes).unwrap_or_default().retry_delay;
                    known.retry_after = delay.and_then(|delay| Duration::try_from(delay).ok());
                }
                _ => {}
            }
        }
        known
    }
}

fn violation(broken: pb::bad_request::FieldViolation) -> Violation {
    Violation { field: broken.field, reason: broken.reason, description: broken.description }
}

#[cfg(test)]
mod tests {
    use grpc_kit::Fault;

    use super::*;

    fn answer(domain: &'static str, reason: &'static str) -> Status {
        Fault::new(Code::Unavailable, domain, reason, "no").retry_after(Duration::from_secs(3)).into()
    }

    #[test]
    fn reasons_keep_their_meaning_and_their_details() {
        let busy = refused(&answer(DOMAIN, "ERROR_REASON_HASHER_BUSY"), false);
        let three = Duration::from_secs(3);
        assert!(matches!(busy, ProviderError::HasherBusy { retry_after } if retry_after == three));
        let broken = grpc_kit::Violation {
            field: "password".into(),
            reason: "TOO_SHORT".into(),
            description: "must be longer".into(),
        };
        let status = Fault::new(Code::InvalidArgument, DOMAIN, "ERROR_REASON_INVALID_FIELD", "no")
            .violations([broken]);
        let invalid = refused(&status.into(), false);
        assert!(matches!(invalid, ProviderError::InvalidField(broken) if broken[0].reason == "TOO_SHORT"));
    }

    #[test]
    fn what_is_about_this_workload_and_garbage_are_an_outage() {
        let refusals = [
            answer(DOMAIN, "ERROR_REASON_WORKLOAD_UNAUTHENTICATED"),
            answer(DOMAIN, "ERROR_REASON_INTERNAL"),
            answer(DOMAIN, "ERROR_REASON_NEVER_HEARD_OF"),
            answer("somebody.else", "ERROR_REASON_USERNAME_TAKEN"),
            Status::unauthenticated("no details at all"),
            Status::not_found("no details at all"),
        ];
        for status in refusals {
            assert!(matches!(refused(&status, true), ProviderError::Unavailable(_)), "{status:?}");
        }
    }

    #[test]
    fn a_deadline_is_passed_on_only_when_it_was_the_callers() {
        let status = answer(DOMAIN, "ERROR_REASON_DEADLINE_EXCEEDED");
        assert!(matches!(refused(&status, true), ProviderError::DeadlineExceeded));
        assert!(matches!(refused(&status, false), ProviderError::Unavailable(_)));
    }
}
