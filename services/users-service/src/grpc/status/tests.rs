use identity::{AccountVersion, Rule};
use tonic_types::{ErrorDetail, StatusExt as _};
use users_core::domain::{Etag, Role};
use users_core::testing::{a_username, an_epoch};

use super::*;

fn cause() -> users_core::error::Cause {
    "secret detail of the inside".into()
}

fn etag() -> Etag {
    Etag { role_version: 1, account: AccountVersion { epoch: an_epoch("e1"), number: 2 } }
}

/// Every error with its code, its reason and the details besides `ErrorInfo`.
fn cases() -> Vec<(Error, Code, &'static str, &'static [&'static str])> {
    let second = Duration::from_secs(1);
    vec![
        (Error::Unauthenticated, Code::Unauthenticated, "UNAUTHENTICATED", &[]),
        (Error::RoleTooLow { required: None }, Code::PermissionDenied, "ROLE_TOO_LOW", &[]),
        (Error::invalid("role", Rule::Unspecified), Code::InvalidArgument, "INVALID_FIELD", &["BadRequest"]),
        (Error::InvalidPageToken, Code::InvalidArgument, "INVALID_PAGE_TOKEN", &["BadRequest"]),
        (Error::UserNotFound("nobody".into()), Code::NotFound, "USER_NOT_FOUND", &["ResourceInfo"]),
        (Error::UsernameTaken(a_username("Alice")), Code::AlreadyExists, "USERNAME_TAKEN", &["ResourceInfo"]),
        (Error::EtagMismatch { current: etag() }, Code::Aborted, "ETAG_MISMATCH", &[]),
        (Error::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED", &["BadRequest"]),
        (Error::RateLimited { retry_after: second }, Code::ResourceExhausted, "RATE_LIMITED", &["RetryInfo"]),
        (Error::HasherBusy { retry_after: second }, Code::Unavailable, "HASHER_BUSY", &["RetryInfo"]),
        (Error::StorageUnavailable(cause()), Code::Unavailable, "STORAGE_UNAVAILABLE", &["RetryInfo"]),
        (Error::OutcomeUnknown(cause()), Code::Unavailable, "OUTCOME_UNKNOWN", &[]),
        (
            Error::IdentityProviderUnavailable(cause()),
            Code::Unavailable,
            "IDENTITY_PROVIDER_UNAVAILABLE",
            &["RetryInfo"],
        ),
        (Error::NotYetConsistent, Code::Unavailable, "NOT_YET_CONSISTENT", &["RetryInfo"]),
        (Error::DeadlineExceeded, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]),
        (Error::Internal(cause()), Code::Internal, "INTERNAL", &[]),
    ]
}

fn name(detail: &ErrorDetail) -> &'static str {
    match detail {
        ErrorDetail::BadRequest(_) => "BadRequest",
        ErrorDetail::ResourceInfo(_) => "ResourceInfo",
        ErrorDetail::RetryInfo(_) => "RetryInfo",
        _ => "another",
    }
}

#[test]
fn every_error_has_its_code_reason_and_details() {
    for (error, code, reason, details) in cases() {
        let shown = format!("{error:?}");
        let status = of(error);
        assert_eq!(status.code(), code, "{shown}");
        let all = status.get_error_details_vec();
        let [ErrorDetail::ErrorInfo(info), rest @ ..] = all.as_slice() else { panic!("{shown}: {all:?}") };
        assert_eq!(info.domain, DOMAIN);
        assert_eq!(info.reason, format!("ERROR_REASON_{reason}"));
        assert_eq!(rest.iter().map(name).collect::<Vec<_>>(), details, "{shown}");
    }
}

#[test]
fn no_cause_is_ever_sent() {
    for (error, ..) in cases() {
        let status = of(error);
        assert!(!status.message().contains("secret detail"));
        assert!(!String::from_utf8_lossy(status.details()).contains("secret detail"));
    }
}

#[test]
fn metadata_says_what_a_caller_can_act_on() {
    let info = |error| of(error).get_details_error_info().unwrap().metadata;
    let required = info(Error::RoleTooLow { required: Some(Role::Admin) });
    assert_eq!(required["required_role"], "USER_ROLE_ADMIN");
    assert!(info(Error::RoleTooLow { required: None }).is_empty());
    assert_eq!(info(Error::EtagMismatch { current: etag() })["current_etag"], etag().to_string());
}

#[test]
fn the_contract_has_every_reason_that_a_layer_answers_by_itself() {
    for reason in grpc_kit::layer::SHARED_REASONS {
        assert!(ErrorReason::from_str_name(reason).is_some(), "{reason}");
    }
}
