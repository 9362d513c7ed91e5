//! What operators see of a call: its span, one log line at its end, and metrics.
//!
//! Never metadata values (but the request id and the trace) and never a message.

use std::{sync::Arc, time::Instant};

use metrics::{counter, histogram};
use tonic::Code;
use tracing::Span;

use super::{
    methods::{Kind, Methods, Name},
    trace_context,
};
use crate::Call;

/// Longer paths are nobody's method; a log line should not carry kilobytes of them.
const MAX_PATH: usize = 128;

/// One call, from its arrival to its end. Dropped before its end, it was cancelled.
pub(super) struct Observation {
    methods: Methods,
    kind: Kind,
    path: String,
    /// Known from the start for a method that was served before, else only once it has answered.
    name: Option<Name>,
    call: Arc<Call>,
    began: Instant,
    span: Span,
    finished: bool,
}

impl Observation {
    /// A call has arrived.
    pub(super) fn begin(methods: Methods, kind: Kind, path: String, call: &Arc<Call>) -> Self {
        let span = tracing::info_span!(
            target: "grpc",
            "rpc",
            path = path.get(..MAX_PATH).unwrap_or(&path),
            request_id = %call.request_id,
        );
        let name = methods.served(&path);
        if let Some(name) = &name {
            count_start(kind, name);
        }
        let (call, began) = (Arc::clone(call), Instant::now());
        Self { methods, kind, path, name, call, began, span, finished: false }
    }

    /// The span in which everything about the call happens.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// A method of ours has answered: there is one at this path.
    pub(super) fn recognise(&mut self) {
        if self.name.is_none() {
            let name = self.methods.learn(&self.path);
            count_start(self.kind, &name);
            self.name = Some(name);
        }
    }

    /// The call has ended. Only the first end counts.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let name = self.name.take().unwrap_or_else(|| {
            let unknown = Name::unknown();
            count_start(self.kind, &unknown);
            unknown
        });
        let took = self.began.elapsed();
        self.log(&name, code, took.as_secs_f64() * 1000.0);
        let grpc_type = self.kind.label();
        counter!(
            "grpc_server_handled_total",
            "grpc_type" => grpc_type,
            "grpc_service" => Arc::clone(&name.service),
            "grpc_method" => Arc::clone(&name.method),
            "grpc_code" => code_name(code),
        )
        .increment(1);
        histogram!(
            "grpc_server_handling_seconds",
            "grpc_type" => grpc_type,
            "grpc_service" => name.service,
            "grpc_method" => name.method,
        )
        .record(took);
    }

    fn log(&self, name: &Name, code: Code, duration_ms: f64) {
        let _in_span = self.span.enter();
        let trace_id = self.call.traceparent.as_deref().and_then(trace_context::trace_id);
        tracing::info!(
            target: "grpc",
            code = code_name(code),
            rpc.service = &*name.service,
            rpc.method = &*name.method,
            duration_ms,
            request_id = self.call.request_id,
            trace_id,
            "call"
        );
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

fn count_start(kind: Kind, name: &Name) {
    counter!(
        "grpc_server_started_total",
        "grpc_type" => kind.label(),
        "grpc_service" => Arc::clone(&name.service),
        "grpc_method" => Arc::clone(&name.method),
    )
    .increment(1);
}

/// The code as the gRPC specification writes it.
fn code_name(code: Code) -> &'static str {
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
