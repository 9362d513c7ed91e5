//! Which methods a listener serves, of what kind they are, and their metrics.
//!
//! A client can send any path, and each new label value is memory that is never given back. So only the methods that the
//! descriptors of the listener's services name have labels of their own, from the start and each with every code, as
//! go-grpc-prometheus makes them: a counter that appears with its first increment hides that increment from `rate`. All
//! other paths are one method, `unknown`.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tonic::Code;

/// What is called a method that there is not, and its service.
const UNKNOWN: &str = "unknown";

/// Longer paths are nobody's method; the log should not carry kilobytes of them.
const MAX_PATH: usize = 128;

/// The number of codes there are.
const CODES: usize = 17;

/// How many messages flow in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One request, one response.
    Unary,
    /// Many requests, one response.
    ClientStream,
    /// One request, many responses.
    ServerStream,
    /// Many of both.
    BidiStream,
}

impl Kind {
    fn of(method: &MethodDescriptorProto) -> Self {
        match (method.client_streaming(), method.server_streaming()) {
            (false, false) => Self::Unary,
            (true, false) => Self::ClientStream,
            (false, true) => Self::ServerStream,
            (true, true) => Self::BidiStream,
        }
    }

    /// Whether the call may stay open.
    pub(super) fn streams(self) -> bool {
        self != Self::Unary
    }

    /// Whether the client sends as many messages as it likes.
    pub(super) fn client_streams(self) -> bool {
        matches!(self, Self::ClientStream | Self::BidiStream)
    }

    /// As metrics name it.
    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ClientStream => "client_stream",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// A method in metrics and logs. What is counted is looked up once, when the layer is made: the names and labels of a
/// metric make a key that takes longer to compare than the rest of the counting.
pub(super) struct Method {
    /// If there is such a method.
    path: Option<Arc<str>>,
    pub(super) service: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    started: Counter,
    received: Counter,
    sent: Counter,
    handled: [Counter; CODES],
    seconds: Histogram,
}

// Derived, it would ask for what metrics are not.
impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

impl Method {
    /// One that is served at this path.
    fn served(path: &Arc<str>, service: &str, name: &str, kind: Kind) -> Self {
        Self { path: Some(Arc::clone(path)), ..Self::counted_as(service, name, kind) }
    }

    fn counted_as(service: &str, name: &str, kind: Kind) -> Self {
        let (service, name): (Arc<str>, Arc<str>) = (service.into(), name.into());
        let labels = || {
            vec![
                metrics::Label::new("grpc_type", kind.label()),
                metrics::Label::new("grpc_service", Arc::clone(&service)),
                metrics::Label::new("grpc_method", Arc::clone(&name)),
            ]
        };
        let handled = |code: Code| {
            let mut labels = labels();
            labels.push(metrics::Label::new("grpc_code", go_name(code)));
            counter!("grpc_server_handled_total", labels)
        };
        Self {
            path: None,
            kind,
            started: counter!("grpc_server_started_total", labels()),
            received: counter!("grpc_server_msg_received_total", labels()),
            sent: counter!("grpc_server_msg_sent_total", labels()),
            handled: std::array::from_fn(|code| handled(i32::try_from(code).unwrap_or_default().into())),
            seconds: histogram!("grpc_server_handling_seconds", labels()),
            service,
            name,
        }
    }

    /// Whether there is such a method.
    pub(super) fn is_known(&self) -> bool {
        self.path.is_some()
    }

    /// Its path, if there is such a method.
    pub(super) fn path(&self) -> Option<Arc<str>> {
        self.path.clone()
    }

    /// As its path says it, if there is such a method.
    pub(super) fn known_name(&self) -> Option<String> {
        self.path.as_deref().map(|path| path[1..].to_owned())
    }

    /// A call has begun.
    pub(super) fn count_start(&self) {
        self.started.increment(1);
        if !self.kind.client_streams() {
            self.received.increment(1);
        }
    }

    /// A call has ended.
    pub(super) fn count_end(&self, code: Code, took: Duration) {
        if let Some(handled) = usize::try_from(i32::from(code)).ok().and_then(|code| self.handled.get(code)) {
            handled.increment(1);
        }
        if self.kind == Kind::Unary && code == Code::Ok {
            self.sent.increment(1);
        }
        self.seconds.record(took);
    }

    /// What counts the messages of a stream from the client.
    pub(super) fn received(&self) -> Counter {
        self.received.clone()
    }

    /// What counts the messages of a stream to the client.
    pub(super) fn sent(&self) -> Counter {
        self.sent.clone()
    }
}

/// The methods of one listener. Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Methods {
    served: Arc<HashMap<Arc<str>, Arc<Method>>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// None yet.
    pub(super) fn new() -> Self {
        describe();
        let unknown = Arc::new(Method::counted_as(UNKNOWN, UNKNOWN, Kind::Unary));
        Self { served: Arc::default(), unknown }
    }

    /// Adds the methods of those services in the encoded descriptor set that are named.
    pub(super) fn add(&mut self, descriptor_set: &[u8], services: &[&str]) -> Result<(), DecodeError> {
        let served = Arc::make_mut(&mut self.served);
        for file in FileDescriptorSet::decode(descriptor_set)?.file {
            for service in &file.service {
                let service_name = format!("{}.{}", file.package(), service.name());
                if !services.contains(&service_name.as_str()) {
                    continue;
                }
                for method in &service.method {
                    let path: Arc<str> = format!("/{service_name}/{}", method.name()).into();
                    let method = Method::served(&path, &service_name, method.name(), Kind::of(method));
                    served.entry(path).or_insert_with(|| Arc::new(method));
                }
            }
        }
        Ok(())
    }

    /// The method at `path`; one for all that are not served.
    pub(super) fn at(&self, path: &str) -> Arc<Method> {
        Arc::clone(self.served.get(path).unwrap_or(&self.unknown))
    }
}

/// As much of a path that is no method's as is worth telling.
pub(super) fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_PATH)]
}

fn describe() {
    describe_counter!("grpc_server_started_total", "Calls that have begun.");
    describe_counter!("grpc_server_handled_total", "Calls that have ended, by the code of their answer.");
    describe_counter!("grpc_server_msg_received_total", "Messages of clients.");
    describe_counter!("grpc_server_msg_sent_total", "Messages to clients.");
    describe_histogram!(
        "grpc_server_handling_seconds",
        "Time from the begin of a call to its end, in seconds."
    );
}

/// The code as the gRPC specification writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    names(code).0
}

/// The code as gRPC for Go writes it, and with it every dashboard and alert over these metrics.
fn go_name(code: Code) -> &'static str {
    names(code).1
}

const fn names(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Ok => ("OK", "OK"),
        Code::Cancelled => ("CANCELLED", "Canceled"),
        Code::Unknown => ("UNKNOWN", "Unknown"),
        Code::InvalidArgument => ("INVALID_ARGUMENT", "InvalidArgument"),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", "DeadlineExceeded"),
        Code::NotFound => ("NOT_FOUND", "NotFound"),
        Code::AlreadyExists => ("ALREADY_EXISTS", "AlreadyExists"),
        Code::PermissionDenied => ("PERMISSION_DENIED", "PermissionDenied"),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", "ResourceExhausted"),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", "FailedPrecondition"),
        Code::Aborted => ("ABORTED", "Aborted"),
        Code::OutOfRange => ("OUT_OF_RANGE", "OutOfRange"),
        Code::Unimplemented => ("UNIMPLEMENTED", "Unimplemented"),
        Code::Internal => ("INTERNAL", "Internal"),
        Code::Unavailable => ("UNAVAILABLE", "Unavailable"),
        Code::DataLoss => ("DATA_LOSS", "DataLoss"),
        Code::Unauthenticated => ("UNAUTHENTICATED", "Unauthenticated"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_the_descriptors_and_of_the_kind_that_these_say() {
        let mut methods = Methods::new();
        methods.add(tonic_health::pb::FILE_DESCRIPTOR_SET, &["grpc.health.v1.Health"]).unwrap();
        let watch = methods.at("/grpc.health.v1.Health/Watch");
        assert_eq!((&*watch.service, &*watch.name), ("grpc.health.v1.Health", "Watch"));
        assert_eq!(watch.kind, Kind::ServerStream);
        assert_eq!(methods.at("/grpc.health.v1.Health/Check").kind, Kind::Unary);
        assert!(Arc::ptr_eq(&methods.at("/a.B/C"), &methods.at("/grpc.health.v1.Health/Nothing")));
    }

    #[test]
    fn a_service_that_is_not_named_is_not_served() {
        let mut methods = Methods::new();
        methods.add(tonic_health::pb::FILE_DESCRIPTOR_SET, &["another.Service"]).unwrap();
        assert_eq!(&*methods.at("/grpc.health.v1.Health/Check").name, "unknown");
    }

    #[test]
    fn every_code_has_a_number_of_its_own_below_the_number_of_codes() {
        for number in 0..i32::try_from(CODES).unwrap() {
            assert_eq!(i32::from(Code::from(number)), number);
        }
        assert_eq!(Code::from(i32::try_from(CODES).unwrap()), Code::Unknown);
    }
}
