//! A connection whose calls are traced: each has a span, a part of the call that is being served if there is one, and
//! tells the other end of it. Where no traces are recorded calls pass as they are.

use std::error::Error;
use std::iter::successors;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::trace::SpanKind;
use pin_project_lite::pin_project;
use tonic::{Code, TimeoutExpired};
use tower::Service;

use crate::call;
use crate::layer::deadline;
use crate::trace::{CallSpan, Parent, Server};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Calls over `S`. Clones share what `S` shares.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
    server: Option<Arc<Server>>,
}

impl<S> Traced<S> {
    /// For calls to the server at this address, which is said in each span.
    #[must_use]
    pub fn new(inner: S, server: &Uri) -> Self {
        let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("https") { 443 } else { 80 });
        let server = server.host().map(|host| Server { address: host.to_owned().into(), port });
        Self { inner, server: server.map(Arc::new) }
    }

    fn begin<B>(&self, request: &mut Request<B>) -> Option<Under> {
        let method = || Some(request.uri().path().trim_start_matches('/').to_owned());
        let served = call::shared();
        let parent = served.as_ref().and_then(|call| {
            let traceparent = call.traceparent.as_deref()?;
            Some(Parent { traceparent, tracestate: call.tracestate.as_deref() })
        });
        let span = CallSpan::begin(SpanKind::Client, method, parent, || self.server.as_deref().cloned())?;
        if let Some(value) = span.traceparent().and_then(|ids| HeaderValue::try_from(ids).ok()) {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        Some(Under { span, began: Instant::now(), limit: deadline::requested(request.headers()) })
    }
}

impl<S, B, A> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Error: Error + 'static,
{
    type Response = Response<TracedBody<A>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let under = self.begin(&mut request);
        Answer { inner: self.inner.call(request), under }
    }
}

/// A call that is under way.
struct Under {
    span: CallSpan,
    began: Instant,
    limit: Option<Duration>,
}

impl Under {
    fn end(mut self, code: Code) {
        self.span.end(code);
    }
}

impl Drop for Under {
    /// Whoever waited for it has gone, most often because its time is over.
    fn drop(&mut self) {
        if self.limit.is_some_and(|limit| self.began.elapsed() >= limit) {
            self.span.end(Code::DeadlineExceeded);
        }
    }
}

pin_project! {
    /// The answer that is waited for.
    pub struct Answer<F> {
        #[pin]
        inner: F,
        under: Option<Under>,
    }
}

impl<F, A, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<A>, E>>,
    E: Error + 'static,
{
    type Output = Result<Response<TracedBody<A>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let mut under = this.under.take();
        match &answer {
            Ok(response) => {
                // An error most often; a message has its status behind it.
                if let Some(status) = tonic::Status::from_header_map(response.headers())
                    && let Some(under) = under.take()
                {
                    under.end(status.code());
                }
            }
            Err(error) => {
                if let Some(under) = under.take() {
                    under.end(of_transport(error));
                }
            }
        }
        Poll::Ready(answer.map(|response| response.map(|inner| TracedBody { inner, under })))
    }
}

/// What a caller is told when there is no answer.
fn of_transport(error: &(dyn Error + 'static)) -> Code {
    let timed_out = successors(Some(error), |&error| error.source()).any(<dyn Error>::is::<TimeoutExpired>);
    if timed_out { Code::DeadlineExceeded } else { Code::Unavailable }
}

pin_project! {
    /// The rest of an answer.
    pub struct TracedBody<B> {
        #[pin]
        inner: B,
        under: Option<Under>,
    }
}

impl<B: Body> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(|trailers| {
                tonic::Status::from_header_map(trailers).map_or(Code::Unknown, |status| status.code())
            }),
            Some(Err(_)) => Some(Code::Unavailable),
            None => Some(Code::Unknown),
        };
        if let Some(code) = code
            && let Some(under) = this.under.take()
        {
            under.end(code);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
