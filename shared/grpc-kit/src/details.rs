//! The wire form of error details: a `google.rpc.Status` in `grpc-status-details-bin`.
//!
//! `tonic-types` has a richer interface over the same messages, but it lacks `reason` in a field violation
//! and cannot append to details that are already encoded.

use prost::Message;
use prost_types::Any;
use tonic::Code;
use tonic_types::pb;

/// One error detail: a message of `google.rpc`, by its short name.
pub(crate) fn detail(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/google.rpc.{name}"), value: message.encode_to_vec() }
}

/// The detail that names the call, so that a caller can quote it.
pub(crate) fn request_info(request_id: &str) -> Any {
    let info = pb::RequestInfo { request_id: request_id.to_owned(), serving_data: String::new() };
    detail("RequestInfo", &info)
}

/// The detail that every error has: which reason, of which package.
pub(crate) fn error_info(domain: &str, reason: &str) -> pb::ErrorInfo {
    pb::ErrorInfo { reason: reason.to_owned(), domain: domain.to_owned(), ..Default::default() }
}

/// A status with these details.
pub(crate) fn status(code: Code, message: String, details: Vec<Any>) -> tonic::Status {
    let encoded = pb::Status { code: code as i32, message: message.clone(), details }.encode_to_vec();
    tonic::Status::with_details(code, message, encoded.into())
}

/// The details that `status` carries; none when it has none, or nothing that decodes.
pub(crate) fn of(status: &tonic::Status) -> Vec<Any> {
    pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default()
}
