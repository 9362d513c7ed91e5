//! What happens to every call, once, on every listener.
//!
//! On the way in a call gets its request id and deadline, and its span where traces are recorded. On the way out its error answer is completed
//! (every error carries `ErrorInfo` and `RequestInfo`, also those that tonic makes before a handler runs),
//! its panic is answered INTERNAL, its outcome is logged in one line and counted.
//!
//! It does not authenticate, and it never sees a message.

mod answer;
mod completion;
pub(crate) mod deadline;
mod messages;
mod methods;
mod observation;
mod request_body;
mod request_id;
mod trace_context;

use std::{
    any::Any,
    convert::Infallible,
    future::pending,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Either, poll_fn},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body as _;
use opentelemetry::trace::SpanKind;
use tokio::{sync::oneshot, time::Instant};
use tonic::{Code, Status, body::Body, transport::server::TcpConnectInfo};
use tower::{Layer, Service, ServiceExt as _};

pub(crate) use self::methods::code_name;
use self::{
    answer::{AnswerBody, Open},
    completion::{Completion, Part},
    methods::{Method, Methods},
    observation::Observation,
    request_body::RequestBody,
};
use crate::trace::{CallSpan, Parent, Server};
use crate::{
    Call, Fault, MAX_REQUEST_BYTES, Shutdown, call,
    held::{self, Held, Place},
    reflection,
};

/// The deadline passed before the answer was ready.
pub const ERROR_REASON_DEADLINE_EXCEEDED: &str = "ERROR_REASON_DEADLINE_EXCEEDED";
/// The request message is larger than [`MAX_REQUEST_BYTES`].
pub const ERROR_REASON_REQUEST_TOO_LARGE: &str = "ERROR_REASON_REQUEST_TOO_LARGE";
/// The body does not decode as the method's message.
pub const ERROR_REASON_MALFORMED_REQUEST: &str = "ERROR_REASON_MALFORMED_REQUEST";
/// There is no such method on this listener.
pub const ERROR_REASON_UNKNOWN_METHOD: &str = "ERROR_REASON_UNKNOWN_METHOD";
/// Anything else, panics included.
pub const ERROR_REASON_INTERNAL: &str = "ERROR_REASON_INTERNAL";

/// A stream ends because the server does.
pub const ERROR_REASON_DRAINING: &str = "ERROR_REASON_DRAINING";

/// Every reason that the layer answers to any call by itself: the `ErrorReason` enum of every package must have them. Also of
/// one without streams, for those of health and reflection end by the same.
pub const SHARED_REASONS: [&str; 6] = [
    ERROR_REASON_DEADLINE_EXCEEDED,
    ERROR_REASON_REQUEST_TOO_LARGE,
    ERROR_REASON_MALFORMED_REQUEST,
    ERROR_REASON_UNKNOWN_METHOD,
    ERROR_REASON_INTERNAL,
    ERROR_REASON_DRAINING,
];

/// What whoever hears that reads.
const LEAVING: &str = "the server is shutting down: connect again";

/// What the oldest stream reads when there are too many.
const CROWDED: &str = "there are more streams than are held: open it again";

/// What a header takes besides its text: its places in tables and the buffers of its name and value.
const HEADER: usize = 256;

/// Metadata that names a call, in both directions.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the services of one listener; see the [module](self).
#[derive(Clone, Debug)]
pub struct CallLayer {
    domain: &'static str,
    methods: Methods,
    drain: Option<Shutdown>,
    /// The requests that have not come whole.
    unfinished: Arc<Held>,
    /// The streams that nothing is to be done for now.
    streams: Arc<Held>,
}

impl CallLayer {
    /// For a listener whose own errors have `domain` in their `ErrorInfo`, such as `auth.tandem`.
    #[must_use]
    pub fn new(domain: &'static str) -> Self {
        let unfinished = Held::at_most(held::MOST_OF_MESSAGES);
        let streams = Held::at_most(held::MOST_OF_STREAMS);
        Self { domain, methods: Methods::new(), drain: None, unfinished, streams }
    }

    /// Names the services of the listener, and where their methods are described: in these encoded descriptor sets, or,
    /// for health and reflection, in those that come with them. Only these methods are known by name in metrics, and only
    /// the unary ones have a deadline. Calls of others are refused, and their bodies never come to anybody.
    ///
    /// # Errors
    /// When a descriptor set does not decode.
    pub fn serving(
        mut self,
        descriptor_sets: &[&[u8]],
        services: &[&str],
    ) -> Result<Self, reflection::Error> {
        for set in descriptor_sets.iter().chain(&reflection::OWN_DESCRIPTORS) {
            self.methods.add(set, services)?;
        }
        Ok(self)
    }

    /// Ends streaming answers with UNAVAILABLE once the shutdown is requested: they would end by themselves
    /// only when their clients want, and a drain would wait for that.
    #[must_use]
    pub(crate) fn ending_streams_on(mut self, shutdown: Shutdown) -> Self {
        self.drain = Some(shutdown);
        self
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, layer: Arc::new(self.clone()) }
    }
}

/// The services of one listener inside a [`CallLayer`].
#[derive(Clone, Debug)]
pub struct CallService<S> {
    inner: S,
    layer: Arc<CallLayer>,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is asked of the clone that takes the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.handle(request).map(Ok).boxed()
    }
}

impl<S> CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    /// Handles a call. On the heap, in two parts: what is handed from one to the next on the way is moved each time, and
    /// a call with all that it waits for is some kilobytes.
    pub(crate) fn handle(&self, mut request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        // One look at the clock, from which the deadline, the wait for the request and the duration all count.
        let begins = Instant::now();
        let method = self.layer.methods.at(request.uri().path());
        let (kind, is_known) = (method.kind, method.is_known());
        let mut call = admit(&mut request, &method, begins);
        let traced = trace(&mut call, &request, &method);
        let call = Arc::new(call);
        let CallLayer { domain, unfinished, streams, .. } = &*self.layer;
        let metadata = size(request.headers());
        let place = Place::new(unfinished, call.peer);
        let mut sends = None;
        let request = request.map(|body| {
            Body::new(if kind.client_streams() {
                let (open, answered) = oneshot::channel();
                sends = Some(open);
                RequestBody::of_many(body, domain, place, method.received(), answered)
            } else {
                let until = deadline::of_request(begins, call.deadline);
                RequestBody::of_one(body, domain, place, metadata, until)
            })
        });
        let completion = Completion::new(domain, &call);
        let observation = Observation::begin(method, &call, begins, traced);
        let drain = self.layer.drain.clone().filter(|_| kind.streams());
        let open = kind.streams().then(|| {
            // What the next message of a client may leave in the buffer that it is decoded from.
            let messages = if kind.client_streams() { MAX_REQUEST_BYTES } else { 0 };
            Open::new(Place::new(streams, call.peer), metadata + messages, sends)
        });
        let inner = self.inner.clone();
        let handler = if is_known {
            Either::Left(inner.oneshot(request))
        } else {
            Either::Right(async { inner.oneshot(without_body(request).await).await })
        };
        let handler = AssertUnwindSafe(handler).catch_unwind().boxed();
        let answered = Arc::clone(&call);
        let answer = async move {
            let response = outcome(handler, answered.deadline, drain.as_ref(), completion.domain()).await;
            finish(response, answered, completion, observation, drain, open)
        };
        call::scope_shared(call, answer).boxed()
    }
}

/// The request of a call that nobody reads, once its body has come: answered before, what comes of it resets a stream that is
/// closed, which counts as an error of the connection's, and a thousand of those end it.
async fn without_body(request: Request<Body>) -> Request<Body> {
    let (head, body) = request.into_parts();
    let (mut body, mut seen) = (pin!(body), 0);
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        seen += frame.data_ref().map_or(0, hyper::body::Bytes::len);
        if seen > MAX_REQUEST_BYTES {
            break;
        }
    }
    Request::from_parts(head, Body::empty())
}

/// What is known about a call before anything runs.
fn admit(request: &mut Request<Body>, method: &Method, begins: Instant) -> Call {
    let peer = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let path = method.path().unwrap_or_else(|| methods::cut(request.uri().path()).into());
    let headers = request.headers_mut();
    let requested = deadline::take_timeout(headers);
    let deadline = (!method.kind.streams()).then(|| deadline::of_unary_call(begins, requested));
    let (traceparent, tracestate) = trace_context::read(headers).unzip();
    let tracestate = tracestate.flatten();
    Call { deadline, traceparent, tracestate, peer, ..Call::new(path, request_id::of(headers)) }
}

/// Begins the span of a call, if there are any, which takes the place of the caller's in what the call belongs to.
///
/// Calls to the health service have none: those who probe ask every second or so.
fn trace(call: &mut Call, request: &Request<Body>, method: &Method) -> Option<CallSpan> {
    if request.uri().path().starts_with("/grpc.health.") {
        return None;
    }
    let parent = call.traceparent.as_deref();
    let parent = parent.map(|traceparent| Parent { traceparent, tracestate: call.tracestate.as_deref() });
    let server = || {
        let address = request.extensions().get::<TcpConnectInfo>().and_then(TcpConnectInfo::local_addr)?;
        Some(Server { address: address.ip().to_string().into(), port: address.port() })
    };
    let span = CallSpan::begin(SpanKind::Server, || method.known_name(), parent, server)?;
    if let Some(traceparent) = span.traceparent() {
        call.traceparent = Some(traceparent);
    }
    Some(span)
}

type Answer = Result<Response<Body>, Infallible>;
type Panic = Box<dyn Any + Send>;

/// Runs the call until it answers, panics, its deadline passes or, if it streams, the server ends.
async fn outcome(
    handler: BoxFuture<'static, Result<Answer, Panic>>,
    deadline: Option<Instant>,
    drain: Option<&Shutdown>,
    domain: &'static str,
) -> Response<Body> {
    let expiry = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => pending().await,
        }
    };
    let drained = async {
        match drain {
            Some(shutdown) => shutdown.requested().await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        outcome = handler => match outcome {
            Ok(Ok(response)) => response,
            Err(panic) => panicked(panic.as_ref(), domain).into_http(),
        },
        () = expiry => expired(domain).into_http(),
        () = drained => leaving(domain).into_http(),
    }
}

/// Completes the answer, or arranges for that when its end is still to come.
fn finish(
    mut response: Response<Body>,
    call: Arc<Call>,
    completion: Completion,
    mut observation: Observation,
    drain: Option<Shutdown>,
    open: Option<Open>,
) -> Response<Body> {
    if let Ok(mut value) = HeaderValue::from_str(&call.request_id) {
        // No secret, but never the same again: header compression is to remember what comes back.
        value.set_sensitive(true);
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let trailers_only = completion.complete(response.headers_mut(), Part::Headers);
    match trailers_only {
        Some(code) => {
            observation.finish(code);
            response
        }
        None => {
            response.map(|body| Body::new(AnswerBody::new(body, call, completion, observation, drain, open)))
        }
    }
}

/// What metadata takes, in bytes.
fn size(metadata: &HeaderMap) -> usize {
    metadata.iter().map(|(name, value)| name.as_str().len() + value.len() + HEADER).sum()
}

/// The answer to a stream that the server ends.
fn leaving(domain: &'static str) -> Status {
    Fault::new(Code::Unavailable, domain, ERROR_REASON_DRAINING, LEAVING).into()
}

/// The answer to a call whose request did not come, or not as quickly as others'.
fn late(domain: &'static str) -> Status {
    let text = "the request did not come whole in time";
    Fault::new(Code::DeadlineExceeded, domain, ERROR_REASON_DEADLINE_EXCEEDED, text).into()
}

fn expired(domain: &'static str) -> Status {
    Fault::new(
        Code::DeadlineExceeded,
        domain,
        ERROR_REASON_DEADLINE_EXCEEDED,
        "the deadline passed before the answer was ready",
    )
    .into()
}

/// Logs the panic, whose text is for operators only, and makes the answer.
fn panicked(panic: &(dyn Any + Send), domain: &'static str) -> Status {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of no text");
    tracing::error!(target: "grpc", panic = text, "a handler panicked");
    Fault::new(Code::Internal, domain, ERROR_REASON_INTERNAL, "internal error").into()
}
