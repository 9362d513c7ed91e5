//! The spans of calls, for whoever collects traces: what they are called and what they say, by OpenTelemetry's conventions
//! for gRPC (1.45). It does not know where spans go.
//!
//! Names of methods, codes and the server's address, and nothing else: no metadata, no message, nothing of a user, no text
//! that a client chose but the ids of its own trace. That is why spans are made here, and not of whatever is logged.
//!
//! Without a tracer, which is how a process begins, no call has a span.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::OnceLock;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue, StringValue};
use tonic::Code;

use crate::layer::code_name;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// What a span is called whose method is not known to be one.
const NO_METHOD: &str = "grpc";
const OTHER: &str = "_OTHER";

/// Makes a span for each call from now on. The first tracer of a process stays.
pub fn record_with(tracer: BoxedTracer) {
    let _ = TRACER.set(tracer);
}

/// What a call belongs to: a well-formed `traceparent`, and the `tracestate` beside it.
#[derive(Clone, Copy)]
pub(crate) struct Parent<'a> {
    pub(crate) traceparent: &'a str,
    pub(crate) tracestate: Option<&'a str>,
}

/// Who serves the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) address: StringValue,
    pub(crate) port: u16,
}

/// The span of one call. Dropped before its end, the call was cancelled.
pub(crate) struct CallSpan {
    span: BoxedSpan,
    kind: SpanKind,
    ended: bool,
}

impl CallSpan {
    /// A call has begun: one to us, whose method has a name if there is one, or one of ours to another service.
    pub(crate) fn begin(
        kind: SpanKind,
        method: impl FnOnce() -> Option<String>,
        parent: Option<Parent<'_>>,
        server: impl FnOnce() -> Option<Server>,
    ) -> Option<Self> {
        let tracer = TRACER.get()?;
        let mut attributes = Vec::with_capacity(6);
        attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        if let Some(Server { address, port }) = server() {
            attributes.push(KeyValue::new("server.address", address));
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        let method = method();
        // The conventions' name for all that there are not. The one that the client gave would be its own text.
        let named = method.clone().map_or(Cow::Borrowed(OTHER), Cow::Owned);
        attributes.push(KeyValue::new("rpc.method", named));
        let context = parent.and_then(span_context);
        let context =
            context.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let name = method.map_or(Cow::Borrowed(NO_METHOD), Cow::Owned);
        let builder = tracer.span_builder(name).with_kind(kind.clone()).with_attributes(attributes);
        Some(Self { span: builder.start_with_context(tracer, &context), kind, ended: false })
    }

    /// As what further calls belong to it; none when the process is about to end and makes no more spans.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let context = self.span.span_context();
        let sampled = context.trace_flags() & TraceFlags::SAMPLED;
        let ids = || format!("00-{}-{}-{sampled:02x}", context.trace_id(), context.span_id());
        context.is_valid().then(ids)
    }

    /// The call has ended. Only the first end counts.
    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) || !self.span.is_recording() {
            return;
        }
        self.span.set_attribute(KeyValue::new("rpc.response.status_code", code_name(code)));
        if is_error(&self.kind, code) {
            self.span.set_attribute(KeyValue::new("error.type", code_name(code)));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// For a server only what is not its client's doing, for a client whatever is not OK.
fn is_error(kind: &SpanKind, code: Code) -> bool {
    match kind {
        SpanKind::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
        _ => code != Code::Ok,
    }
}

/// The caller's span, of a well-formed `traceparent`. A `tracestate` that is none does not spoil it.
fn span_context(parent: Parent<'_>) -> Option<SpanContext> {
    let mut parts = parent.traceparent.split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let span_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?) & TraceFlags::SAMPLED;
    let state = parent.tracestate.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    Some(SpanContext::new(trace_id, span_id, flags, true, state))
}
