//! Which methods there are: what kind they are of, and which ones may become a metric's label.
//!
//! A client can send any path, and each new label value is memory that is never given back. So a path is a
//! label only after it was answered by something other than "no such method": the set is bounded by the
//! methods that are served, and nobody has to list them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

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

/// A method's name in metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) service: Arc<str>,
    pub(super) method: Arc<str>,
}

impl Name {
    /// The one name of all methods that are not there.
    pub(super) fn unknown() -> Self {
        Self { service: "unknown".into(), method: "unknown".into() }
    }

    fn of(path: &str) -> Self {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        Self { service: service.into(), method: method.into() }
    }
}

/// The methods of one listener. Clones share what they have learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods {
    streaming: HashSet<String>,
    served: Arc<RwLock<HashMap<String, Name>>>,
}

impl Methods {
    /// These paths are of server-streaming methods.
    pub(super) fn add_streaming(&mut self, paths: &[&str]) {
        self.streaming.extend(paths.iter().map(|path| (*path).to_owned()));
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

    /// The name of the method at `path`, if it is known to be served.
    pub(super) fn served(&self, path: &str) -> Option<Name> {
        // Nothing panics while it holds the lock; what is in it is whole in any case.
        self.served.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// Remembers that there is a method at `path`.
    pub(super) fn learn(&self, path: &str) -> Name {
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        served.entry(path.to_owned()).or_insert_with(|| Name::of(path)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_has_a_name_once_it_was_served() {
        let methods = Methods::default();
        assert_eq!(methods.served("/a.B/C"), None);
        let name = methods.clone().learn("/a.B/C");
        assert_eq!((&*name.service, &*name.method), ("a.B", "C"));
        assert_eq!(methods.served("/a.B/C"), Some(name));
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
