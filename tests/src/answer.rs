//! How a call ended, with everything that the contract says about it.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::{Code, Response, Status};
use tonic_types::pb;

use crate::contract::{self, Detail};

/// A message, and the initial metadata that came with it.
#[derive(Clone, Debug)]
pub struct Reply<M> {
    /// The message.
    pub message: M,
    /// The initial metadata.
    pub metadata: MetadataMap,
}

impl<M> Reply<M> {
    pub(crate) fn of(response: Response<M>) -> Self {
        let (metadata, message, _) = response.into_parts();
        Self { message, metadata }
    }

    /// The token that renews the caller's, and when that expires, if the call renewed the session.
    #[must_use]
    pub fn renewed(&self) -> Option<(String, String)> {
        renewed(&self.metadata)
    }
}

impl<M> Deref for Reply<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

/// An error that is as the table of errors says.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status code.
    pub code: Code,
    /// The sentence.
    pub message: String,
    /// The reason, without `ERROR_REASON_`.
    pub reason: String,
    /// What `ErrorInfo` says besides.
    pub info: HashMap<String, String>,
    /// `field` and `reason` of each violation, in order.
    pub violations: Vec<(String, String)>,
    /// Type and name of the resource that this is about.
    pub resource: Option<(String, String)>,
    /// The call's id.
    pub request_id: String,
    /// The trailing metadata.
    pub metadata: Box<MetadataMap>,
    /// All details as they came, but for the call's id: to compare two errors whole.
    pub details: Vec<prost_types::Any>,
}

impl Failure {
    /// Reads an error of a domain and holds it against the table.
    #[must_use]
    pub fn of(status: &Status, domain: &str) -> Self {
        let failure = Self::of_stream(status, domain);
        let echoed = status.metadata().get("x-request-id").expect("x-request-id is echoed");
        assert_eq!(echoed, failure.request_id.as_str(), "{}", failure.reason);
        failure
    }

    /// As [`of`](Self::of), after an answer had begun: its initial metadata had the request id.
    #[must_use]
    pub fn of_stream(status: &Status, domain: &str) -> Self {
        let mut whole = pb::Status::decode(status.details()).expect("details decode");
        let find = |name: &str| {
            let url = format!("type.googleapis.com/google.rpc.{name}");
            let found: Vec<_> = whole.details.iter().filter(|detail| detail.type_url == url).collect();
            assert!(found.len() <= 1, "{name} is attached twice: {status:?}");
            found.first().map(|detail| detail.value.clone())
        };
        let info = find("ErrorInfo").unwrap_or_else(|| panic!("an error without ErrorInfo: {status:?}"));
        let info = pb::ErrorInfo::decode(&*info).expect("ErrorInfo decodes");
        assert_eq!(info.domain, domain, "{status:?}");
        let reason = info.reason.strip_prefix("ERROR_REASON_").expect("the full name of a reason").to_owned();
        let (code, needed) = contract::error(&reason);
        assert_eq!((status.code(), whole.code), (code, code as i32), "{reason}");
        assert!(!status.message().is_empty(), "{reason} without a message");
        for (detail, name) in [
            (Detail::BadRequest, "BadRequest"),
            (Detail::PreconditionFailure, "PreconditionFailure"),
            (Detail::ResourceInfo, "ResourceInfo"),
            (Detail::RetryInfo, "RetryInfo"),
        ] {
            assert_eq!(find(name).is_some(), needed.contains(&detail), "{name} of {reason}");
        }
        let broken =
            find("BadRequest").map(|bytes| pb::BadRequest::decode(&*bytes).expect("BadRequest decodes"));
        let violations: Vec<_> = broken
            .map(|broken| broken.field_violations.into_iter().map(violation).collect())
            .unwrap_or_default();
        let resource = find("ResourceInfo").map(|bytes| {
            let resource = pb::ResourceInfo::decode(&*bytes).expect("ResourceInfo decodes");
            (resource.resource_type, resource.resource_name)
        });
        let request = find("RequestInfo").unwrap_or_else(|| panic!("{reason} without RequestInfo"));
        let request_id = pb::RequestInfo::decode(&*request).expect("RequestInfo decodes").request_id;
        whole.details.retain(|detail| !detail.type_url.ends_with("RequestInfo"));
        Self {
            code,
            message: status.message().to_owned(),
            reason,
            info: info.metadata,
            violations,
            resource,
            request_id,
            metadata: Box::new(status.metadata().clone()),
            details: whole.details,
        }
    }

    /// The token that renews the caller's, and when that expires, if the call renewed the session.
    #[must_use]
    pub fn renewed(&self) -> Option<(String, String)> {
        renewed(&self.metadata)
    }

    /// When it is worth another try.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let retry = self.details.iter().find(|detail| detail.type_url.ends_with("google.rpc.RetryInfo"));
        let retry = retry.unwrap_or_else(|| panic!("no RetryInfo: {self:?}"));
        let retry = pb::RetryInfo::decode(&*retry.value).expect("RetryInfo decodes");
        retry.retry_delay.and_then(|delay| delay.try_into().ok()).expect("a delay")
    }

    /// The names of the fields that are wrong, each with its reason.
    #[must_use]
    pub fn broken(&self) -> Vec<(&str, &str)> {
        self.violations.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect()
    }
}

fn violation(violation: pb::bad_request::FieldViolation) -> (String, String) {
    assert!(!violation.description.is_empty(), "a violation says what is wrong: {violation:?}");
    assert!(!violation.reason.is_empty(), "a violation has a reason: {violation:?}");
    (violation.field, violation.reason)
}

fn renewed(metadata: &MetadataMap) -> Option<(String, String)> {
    let text = |key| metadata.get(key).map(|value| value.to_str().expect("visible ASCII").to_owned());
    let (token, expire_time) = (text("x-session-token"), text("x-session-expire-time"));
    assert_eq!(token.is_some(), expire_time.is_some(), "one without the other");
    token.zip(expire_time)
}
