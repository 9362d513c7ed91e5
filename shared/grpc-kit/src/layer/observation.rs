//! What operators see of a call: one log line at its end, metrics, and its span in a trace.
//!
//! Never metadata values (but the request id and the trace) and never a message. Whose call it was stands in the line, and in
//! nothing else.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::Code;

use super::{
    messages::Messages,
    methods::{Method, code_name},
    trace_context,
};
use crate::{Call, trace::CallSpan};

/// One call, from its arrival to its end. Dropped before its end, it was cancelled.
pub(super) struct Observation {
    method: Arc<Method>,
    call: Arc<Call>,
    began: Instant,
    /// Where traces are recorded.
    traced: Option<CallSpan>,
    finished: bool,
}

impl Observation {
    /// A call has arrived.
    pub(super) fn begin(
        method: Arc<Method>,
        call: &Arc<Call>,
        began: Instant,
        traced: Option<CallSpan>,
    ) -> Self {
        method.count_start();
        Self { method, call: Arc::clone(call), began, traced, finished: false }
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
        // By the microsecond, as the time of the line is.
        self.log(code, (took.as_secs_f64() * 1e6).round() / 1e3);
        self.method.count_end(code, took);
        if let Some(mut traced) = self.traced.take() {
            traced.end(code);
        }
    }

    /// A line by itself, not one that is said during the call: it has all that those have of it.
    fn log(&self, code: Code, duration_ms: f64) {
        let trace_id = self.call.traceparent.as_deref().and_then(trace_context::trace_id);
        tracing::info!(
            target: "grpc",
            parent: None,
            code = code_name(code),
            rpc.service = &*self.method.service,
            rpc.method = &*self.method.name,
            // Of a method that there is not: the others are known by their names.
            path = (!self.method.is_known()).then_some(&*self.call.path),
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
