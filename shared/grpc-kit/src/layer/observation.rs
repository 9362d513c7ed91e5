//! What operators see of a call: one log line at its end with the span around it, metrics, and its span in a trace.
//!
//! Never metadata values (but the request id and the trace) and never a message. Whose call it was stands in the line, and in
//! nothing else.

use std::{sync::Arc, time::Instant};

use tonic::Code;
use tracing::Span;

use super::{
    messages::Messages,
    methods::{Method, code_name},
    trace_context,
};
use crate::{Call, trace::CallSpan};

/// Longer paths are nobody's method; a log line should not carry kilobytes of them.
const MAX_PATH: usize = 128;

/// One call, from its arrival to its end. Dropped before its end, it was cancelled.
pub(super) struct Observation {
    method: Arc<Method>,
    /// Of a method that there is not: the others are known by their names.
    path: Option<Box<str>>,
    call: Arc<Call>,
    began: Instant,
    span: Span,
    /// Where traces are recorded.
    traced: Option<CallSpan>,
    finished: bool,
}

impl Observation {
    /// A call has arrived.
    pub(super) fn begin(method: Arc<Method>, path: &str, call: &Arc<Call>, traced: Option<CallSpan>) -> Self {
        let path = &path[..path.floor_char_boundary(MAX_PATH)];
        let span = tracing::info_span!(target: "grpc", "rpc", path, request_id = call.request_id);
        method.count_start();
        let path = (!method.is_known()).then(|| path.into());
        Self { method, path, call: Arc::clone(call), began: Instant::now(), span, traced, finished: false }
    }

    /// The span in which everything about the call happens.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// What counts the messages of an answer that is a stream.
    pub(super) fn messages(&self) -> Option<Messages> {
        self.method.kind.streams().then(|| Messages::new(self.method.sent()))
    }

    /// The call has ended. Only the first end counts.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let took = self.began.elapsed();
        self.log(code, took.as_secs_f64() * 1000.0);
        self.method.count_end(code, took);
        if let Some(mut traced) = self.traced.take() {
            traced.end(code);
        }
    }

    /// Not in the span, whose fields it has all: that makes it half as long, and there is a line for each call.
    fn log(&self, code: Code, duration_ms: f64) {
        let trace_id = self.call.traceparent.as_deref().and_then(trace_context::trace_id);
        tracing::info!(
            target: "grpc",
            parent: None,
            code = code_name(code),
            rpc.service = &*self.method.service,
            rpc.method = &*self.method.name,
            path = self.path.as_deref(),
            duration_ms,
            request_id = self.call.request_id,
            trace_id,
            user_id = self.call.user_id.get().map(tracing::field::display),
            "call"
        );
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}
