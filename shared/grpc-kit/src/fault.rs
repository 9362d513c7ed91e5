//! How a handler refuses: a status code with machine-readable details.
//!
//! Every error of Tandem carries `google.rpc.ErrorInfo` first; what else it carries depends on the case and
//! is added with the builder's methods. `RequestInfo` is missing here on purpose: the
//! [`CallLayer`](crate::CallLayer) adds it to every error answer, whoever made it.

use std::time::Duration;

use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

use crate::details::{self, detail};

/// An error answer in the making; becomes a [`tonic::Status`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    code: Code,
    message: String,
    info: pb::ErrorInfo,
    details: Vec<Any>,
}

/// An error travels in metadata, and peers bound that (16 KiB with many): an error must not grow with the request, or
/// the caller sees none at all.
const MAX_VIOLATIONS: usize = 32;
const MAX_MESSAGE: usize = 1024;

fn shortened(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE));
        message.push('…');
    }
    message
}

/// One field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, as in the protobuf definition.
    pub field: String,
    /// The rule that it breaks, for programs: `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// The rule that it breaks, for people.
    pub description: String,
}

impl Fault {
    /// An error with `reason`, the full name of a value of the `ErrorReason` enum that `domain` stands for.
    /// The message alone must be understandable; it is shown to callers as it is.
    pub fn new(code: Code, domain: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        let message = shortened(message.into());
        Self { code, message, info: details::error_info(domain, reason), details: Vec::new() }
    }

    /// Adds a pair to `ErrorInfo.metadata`.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.info.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds `BadRequest`: the fields that break a rule, the first 32 of them.
    pub fn violations(self, violations: impl IntoIterator<Item = Violation>) -> Self {
        let field_violations = violations
            .into_iter()
            .take(MAX_VIOLATIONS)
            .map(|violation| pb::bad_request::FieldViolation {
                field: violation.field,
                description: violation.description,
                reason: violation.reason,
                localized_message: None,
            })
            .collect();
        self.with("BadRequest", &pb::BadRequest { field_violations })
    }

    /// Adds `ResourceInfo`: what was not found, or exists already.
    pub fn resource(self, resource_type: impl Into<String>, resource_name: impl Into<String>) -> Self {
        let info = pb::ResourceInfo {
            resource_type: resource_type.into(),
            resource_name: resource_name.into(),
            ..Default::default()
        };
        self.with("ResourceInfo", &info)
    }

    /// Adds `RetryInfo`: how long to wait before the same call may succeed.
    pub fn retry_after(self, delay: Duration) -> Self {
        // Fails for more seconds than an i64 holds.
        let retry_delay = prost_types::Duration::try_from(delay).ok();
        self.with("RetryInfo", &pb::RetryInfo { retry_delay })
    }

    /// Adds `PreconditionFailure`: what the caller must change before it repeats the call.
    pub fn precondition(
        self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        let violation = pb::precondition_failure::Violation {
            r#type: kind.into(),
            subject: subject.into(),
            description: description.into(),
        };
        self.with("PreconditionFailure", &pb::PreconditionFailure { violations: vec![violation] })
    }

    fn with(mut self, name: &str, message: &impl prost::Message) -> Self {
        self.details.push(detail(name, message));
        self
    }
}

impl From<Fault> for tonic::Status {
    fn from(fault: Fault) -> Self {
        let mut all = vec![detail("ErrorInfo", &fault.info)];
        all.extend(fault.details);
        details::status(fault.code, fault.message, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetail, StatusExt as _};

    fn fault() -> Fault {
        Fault::new(Code::InvalidArgument, "probe.tandem", "ERROR_REASON_INVALID_FIELD", "2 fields are wrong")
    }

    #[test]
    fn error_info_comes_first_and_the_rest_in_order() {
        let status = tonic::Status::from(
            fault().retry_after(Duration::from_millis(1500)).resource("user", "alice").metadata("etag", "x"),
        );
        let details = status.get_error_details_vec();
        let [
            ErrorDetail::ErrorInfo(info),
            ErrorDetail::RetryInfo(retry),
            ErrorDetail::ResourceInfo(resource),
        ] = details.as_slice()
        else {
            panic!("unexpected details: {details:?}");
        };
        assert_eq!(
            (info.domain.as_str(), info.reason.as_str()),
            ("probe.tandem", "ERROR_REASON_INVALID_FIELD")
        );
        assert_eq!(info.metadata["etag"], "x");
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(1500)));
        assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("user", "alice"));
    }

    #[test]
    fn a_violation_keeps_its_reason() {
        let violation = Violation {
            field: "username".to_owned(),
            reason: "TOO_SHORT".to_owned(),
            description: "must have at least 5 characters".to_owned(),
        };
        let status = tonic::Status::from(fault().violations([violation]));
        let details = details::of(&status);
        let bad: pb::BadRequest = prost::Message::decode(details[1].value.as_slice()).expect("a BadRequest");
        assert_eq!(bad.field_violations[0].field, "username");
        assert_eq!(bad.field_violations[0].reason, "TOO_SHORT");
    }

    #[test]
    fn an_error_does_not_grow_with_the_request() {
        let violation = |index| Violation {
            field: format!("roles[{index}]"),
            reason: "UNKNOWN_VALUE".into(),
            description: "has a value that is not known".into(),
        };
        let message = "é".repeat(100_000);
        let status: tonic::Status = Fault::new(Code::InvalidArgument, "users.tandem", "R", message)
            .violations((0..20_000).map(violation))
            .into();
        assert!(status.message().len() < 1100);
        assert!(status.details().len() < 4096, "{}", status.details().len());
    }
}
