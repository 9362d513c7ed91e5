//! Makes every error answer whole: `ErrorInfo` where there is none, `RequestInfo` always.
//!
//! Errors of ours carry details. One without was made by tonic, in its words and with its codes, whichever service was
//! called; what it means can be told from the code and from where it stands:
//!
//! | tonic's | means | becomes |
//! |---|---|---|
//! | UNIMPLEMENTED | no such service or method | UNKNOWN_METHOD |
//! | UNIMPLEMENTED with `grpc-accept-encoding` | compressed, which is off here | MALFORMED_REQUEST; the code stays, by the protocol clients try again uncompressed |
//! | OUT_OF_RANGE | message too large | RESOURCE_EXHAUSTED, REQUEST_TOO_LARGE |
//! | INTERNAL, instead of an answer | framing or protobuf does not decode, or there is no message | INVALID_ARGUMENT, MALFORMED_REQUEST |
//! | INTERNAL, after an answer began | the answer does not encode | INTERNAL |
//! | UNAVAILABLE, after an answer began | a stream ends because the server does | DRAINING |
//! | UNKNOWN, instead of an answer | the connection broke before the request had come | CANCELLED, which nobody hears, and INTERNAL as the reason |
//! | anything else | the connection failed under it | INTERNAL as the reason; the code stays |
//! | anything else, of health or reflection | their own answer, whose protocols know codes only | stays as it is |

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use tonic::{Code, Status};

use super::{
    ERROR_REASON_DRAINING, ERROR_REASON_INTERNAL, ERROR_REASON_MALFORMED_REQUEST,
    ERROR_REASON_REQUEST_TOO_LARGE, ERROR_REASON_UNKNOWN_METHOD,
};
use crate::{Call, details};

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: &str = "0";
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Where a status stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// In the headers: there is no message, the answer is "trailers only".
    Headers,
    /// In the trailers, after an answer began.
    Trailers,
}

/// Completes the answer of one call.
pub(super) struct Completion {
    domain: &'static str,
    call: Arc<Call>,
    /// The path is of a service of ours, not of health or reflection, whose own errors have no reasons.
    ours: bool,
}

impl Completion {
    pub(super) fn new(domain: &'static str, call: &Arc<Call>) -> Self {
        Self { domain, call: Arc::clone(call), ours: call.path.starts_with("/tandem.") }
    }

    pub(super) fn domain(&self) -> &'static str {
        self.domain
    }

    /// Completes the status in this part of an answer, if there is one, and says what it is.
    pub(super) fn complete(&self, headers: &mut HeaderMap, part: Part) -> Option<Code> {
        // Most calls end well; the rest of a status is read of those that do not.
        if headers.get(GRPC_STATUS)? == OK {
            return Some(Code::Ok);
        }
        let status = Status::from_header_map(headers)?;
        let found = details::of(&status);
        let (code, message, mut details) = if found.is_empty() {
            let refused_encoding = headers.contains_key(GRPC_ACCEPT_ENCODING);
            let info = |reason| details::detail("ErrorInfo", &details::error_info(self.domain, reason));
            if let Some(bare) = Bare::of(&status, part, refused_encoding) {
                (bare.code, bare.message, vec![info(bare.reason)])
            } else {
                let details = self.ours.then(|| info(ERROR_REASON_INTERNAL));
                (status.code(), status.message().to_owned(), details.into_iter().collect())
            }
        } else {
            (status.code(), status.message().to_owned(), found)
        };
        details.push(details::request_info(&self.call.request_id));
        write(&details::status(code, message, details), headers);
        Some(code)
    }

    /// The trailers that end an answer which had begun.
    pub(super) fn trailers(&self, status: &Status) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        write(status, &mut trailers);
        self.complete(&mut trailers, Part::Trailers);
        trailers
    }
}

/// Replaces the status in `headers`; other metadata of the answer stays.
fn write(status: &Status, headers: &mut HeaderMap) {
    headers.remove(GRPC_MESSAGE);
    // Fails on details that are no header value, and base64 always is one.
    if status.add_header(headers).is_err() {
        tracing::error!(target: "grpc", "a status could not be written");
    }
}

/// What a status without details means; see the [module](self).
struct Bare {
    code: Code,
    reason: &'static str,
    message: String,
}

impl Bare {
    /// `None` where nothing can be told of it.
    fn of(status: &Status, part: Part, refused_encoding: bool) -> Option<Self> {
        let message = status.message();
        let (code, reason, message) = match (status.code(), part) {
            (Code::Unimplemented, Part::Headers) if refused_encoding => {
                (Code::Unimplemented, ERROR_REASON_MALFORMED_REQUEST, message.to_owned())
            }
            (Code::Unimplemented, Part::Headers) => {
                (Code::Unimplemented, ERROR_REASON_UNKNOWN_METHOD, "there is no such method here".to_owned())
            }
            (Code::OutOfRange, Part::Headers) => {
                let text = format!("the request is larger than {} bytes", crate::MAX_REQUEST_BYTES);
                (Code::ResourceExhausted, ERROR_REASON_REQUEST_TOO_LARGE, text)
            }
            (Code::Internal, Part::Headers) => {
                let text = format!("the request does not decode: {message}");
                (Code::InvalidArgument, ERROR_REASON_MALFORMED_REQUEST, text)
            }
            (Code::Unknown, Part::Headers) => {
                (Code::Cancelled, ERROR_REASON_INTERNAL, "the caller went away".to_owned())
            }
            (Code::Internal, Part::Trailers) => {
                tracing::error!(target: "grpc", cause = message, "an answer failed after it began");
                (Code::Internal, ERROR_REASON_INTERNAL, "internal error".to_owned())
            }
            (Code::Unavailable, Part::Trailers) => {
                (Code::Unavailable, ERROR_REASON_DRAINING, message.to_owned())
            }
            _ => return None,
        };
        Some(Self { code, reason, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;
    use tonic_types::{ErrorDetail, StatusExt as _};

    fn completed(path: &str, status: &Status, part: Part) -> (Status, Code) {
        let mut headers = HeaderMap::new();
        status.add_header(&mut headers).expect("a status that can be written");
        let call = Arc::new(Call::new(path, "r-1"));
        let end = Completion::new("probe.tandem", &call).complete(&mut headers, part).expect("an end");
        (Status::from_header_map(&headers).expect("a status"), end)
    }

    fn reason(status: &Status) -> Option<String> {
        status.get_details_error_info().map(|info| info.reason)
    }

    const OURS: &str = "/tandem.probe.v1.ProbeService/Get";

    #[test]
    fn a_fault_keeps_what_it_has_and_gets_the_request_id() {
        let fault =
            Fault::new(Code::NotFound, "probe.tandem", "ERROR_REASON_USER_NOT_FOUND", "no “ö”: 100 %");
        let (status, end) = completed(OURS, &fault.resource("user", "x").into(), Part::Headers);
        assert_eq!((status.code(), status.message()), (Code::NotFound, "no “ö”: 100 %"));
        assert_eq!(end, Code::NotFound);
        let details = status.get_error_details_vec();
        assert!(
            matches!(
                details.as_slice(),
                [ErrorDetail::ErrorInfo(_), ErrorDetail::ResourceInfo(_), ErrorDetail::RequestInfo(info)]
                    if info.request_id == "r-1"
            ),
            "{details:?}"
        );
    }

    #[test]
    fn what_tonic_refuses_is_answered_in_our_terms() {
        for (code, becomes, expected) in [
            (Code::Unimplemented, Code::Unimplemented, ERROR_REASON_UNKNOWN_METHOD),
            (Code::OutOfRange, Code::ResourceExhausted, ERROR_REASON_REQUEST_TOO_LARGE),
            (Code::Internal, Code::InvalidArgument, ERROR_REASON_MALFORMED_REQUEST),
            (Code::Unknown, Code::Cancelled, ERROR_REASON_INTERNAL),
        ] {
            let (status, end) = completed(OURS, &Status::new(code, "tonic's"), Part::Headers);
            assert_eq!((status.code(), reason(&status).as_deref()), (becomes, Some(expected)));
            assert_eq!(end, becomes);
        }
    }

    #[test]
    fn an_answer_that_fails_after_it_began_is_our_fault() {
        let (status, _) = completed(OURS, &Status::internal("too secret"), Part::Trailers);
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        assert_eq!(reason(&status).as_deref(), Some(ERROR_REASON_INTERNAL));
    }

    #[test]
    fn the_own_errors_of_foreign_services_get_no_reason_but_what_the_listener_makes_of_them_does() {
        let health = "/grpc.health.v1.Health/Watch";
        let (status, _) = completed(health, &Status::not_found("unknown service"), Part::Headers);
        assert_eq!((status.code(), reason(&status)), (Code::NotFound, None));
        assert!(status.get_details_request_info().is_some());
        let (status, _) = completed(health, &Status::unavailable("shutting down"), Part::Trailers);
        assert_eq!(
            (status.code(), reason(&status).as_deref()),
            (Code::Unavailable, Some(ERROR_REASON_DRAINING))
        );
        let (status, _) = completed(health, &Status::out_of_range("tonic's"), Part::Headers);
        let too_large = (Code::ResourceExhausted, Some(ERROR_REASON_REQUEST_TOO_LARGE));
        assert_eq!((status.code(), reason(&status).as_deref()), too_large);
        let (status, _) = completed("/nowhere", &Status::unimplemented(""), Part::Headers);
        assert_eq!(reason(&status).as_deref(), Some(ERROR_REASON_UNKNOWN_METHOD));
    }
}
