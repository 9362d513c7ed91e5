//! Which methods there are: what kind they are of, and which ones may become a metric's label.
//!
//! A client can send any path, and each new label value is memory that is never given back. So a path is a
//! label only after it was answered by something other than "no such method": the set is bounded by the
//! methods that are served, and nobody has to list them.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use metrics::{Counter, Histogram, counter, histogram};
use tonic::Code;

/// How many messages flow in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One request, one response.
    Unary,
    /// One request, many responses.
    ServerStream,
    /// Many of both.
    BidiStream,
}

impl Kind {
    /// Whether the answer may stay open.
    pub(super) fn streams(self) -> bool {
        self != Self::Unary
    }

    /// As metrics name it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// A method in metrics and logs. What is counted on every call is looked up once, when the method becomes known: the
/// names and labels of a metric make a key that takes longer to compare than the rest of the counting.
pub(super) struct Method {
    pub(super) service: Arc<str>,
    pub(super) name: Arc<str>,
    grpc_type: &'static str,
    started: Counter,
    succeeded: Counter,
    seconds: Histogram,
}

// Derived, it would ask for what metrics are not.
impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.name)
    }
}

impl Method {
    /// The one name of all methods that are not there.
    pub(super) fn unknown(kind: Kind) -> Self {
        Self::new("unknown", "unknown", kind)
    }

    fn of(path: &str, kind: Kind) -> Self {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        Self::new(service, method, kind)
    }

    fn new(service: &str, name: &str, kind: Kind) -> Self {
        let (service, name): (Arc<str>, Arc<str>) = (service.into(), name.into());
        let grpc_type = kind.label();
        let started = counter!(
            "grpc_server_started_total",
            "grpc_type" => grpc_type,
            "grpc_service" => Arc::clone(&service),
            "grpc_method" => Arc::clone(&name),
        );
        let seconds = histogram!(
            "grpc_server_handling_seconds",
            "grpc_type" => grpc_type,
            "grpc_service" => Arc::clone(&service),
            "grpc_method" => Arc::clone(&name),
        );
        let succeeded = handled(grpc_type, &service, &name, Code::Ok);
        Self { service, name, grpc_type, started, succeeded, seconds }
    }

    /// As its path says it.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }

    /// A call has begun.
    pub(super) fn count_start(&self) {
        self.started.increment(1);
    }

    /// A call has ended.
    pub(super) fn count_end(&self, code: Code, took: Duration) {
        if code == Code::Ok {
            self.succeeded.increment(1);
        } else {
            handled(self.grpc_type, &self.service, &self.name, code).increment(1);
        }
        self.seconds.record(took);
    }
}

fn handled(grpc_type: &'static str, service: &Arc<str>, name: &Arc<str>, code: Code) -> Counter {
    counter!(
        "grpc_server_handled_total",
        "grpc_type" => grpc_type,
        "grpc_service" => Arc::clone(service),
        "grpc_method" => Arc::clone(name),
        "grpc_code" => code_name(code),
    )
}

/// The methods of one listener. Clones share what they have learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods {
    streaming: Arc<HashSet<String>>,
    served: Arc<RwLock<HashMap<String, Arc<Method>>>>,
}

impl Methods {
    /// These paths are of server-streaming methods.
    pub(super) fn add_streaming(&mut self, paths: &[&str]) {
        Arc::make_mut(&mut self.streaming).extend(paths.iter().map(|path| (*path).to_owned()));
    }

    /// The kind of the method at `path`.
    pub(super) fn kind(&self, path: &str) -> Kind {
        match path {
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Kind::BidiStream,
            "/grpc.health.v1.Health/Watch" => Kind::ServerStream,
            _ if self.streaming.contains(path) => Kind::ServerStream,
            _ => Kind::Unary,
        }
    }

    /// The method at `path`, if it is known to be served.
    pub(super) fn served(&self, path: &str) -> Option<Arc<Method>> {
        // Nothing panics while it holds the lock; what is in it is whole in any case.
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Remembers that there is a method at `path`.
    pub(super) fn learn(&self, path: &str) -> Arc<Method> {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let method = || Arc::new(Method::of(path, self.kind(path)));
        Arc::clone(served.entry(path.to_owned()).or_insert_with(method))
    }
}

/// The code as the gRPC specification writes it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_a_name_once_it_was_served() {
        let methods = Methods::default();
        assert!(methods.served("/a.B/C").is_none());
        let learned = methods.clone().learn("/a.B/C");
        assert_eq!((&*learned.service, &*learned.name), ("a.B", "C"));
        assert!(Arc::ptr_eq(&methods.served("/a.B/C").unwrap(), &learned));
    }

    #[test]
    fn methods_are_unary_unless_said_otherwise() {
        let mut methods = Methods::default();
        methods.add_streaming(&["/a.B/Watch"]);
        assert_eq!(methods.kind("/a.B/Get"), Kind::Unary);
        assert_eq!(methods.kind("/a.B/Watch"), Kind::ServerStream);
        assert_eq!(methods.kind("/grpc.health.v1.Health/Watch"), Kind::ServerStream);
    }
}
