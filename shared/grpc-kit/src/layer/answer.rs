//! The body of an answer whose end is still to come: most often a message and OK in the trailers, sometimes a
//! stream that lives for hours.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tonic::{Code, Status, body::Body};

use super::{
    completion::{Completion, Part},
    messages::Messages,
    observation::Observation,
    panicked,
};
use crate::{Call, Shutdown, call};

type Data = <Body as http_body::Body>::Data;

/// Passes the inner body on, and treats its end as the layer treats an answer that is over at once.
pub(super) struct AnswerBody {
    inner: Body,
    call: Arc<Call>,
    completion: Completion,
    observation: Observation,
    /// Of a stream; an answer of one message is counted when it ends.
    messages: Option<Messages>,
    /// Resolves when the answer must come to its end; never for a unary call.
    drain: Option<BoxFuture<'static, ()>>,
    /// Trailers were sent in place of the inner body's own: it is not to be touched again.
    over: bool,
}

impl AnswerBody {
    pub(super) fn new(
        inner: Body,
        call: Arc<Call>,
        completion: Completion,
        observation: Observation,
        drain: Option<Shutdown>,
    ) -> Self {
        let drain = drain.map(|shutdown| async move { shutdown.requested().await }.boxed());
        let messages = observation.messages();
        Self { inner, call, completion, observation, messages, drain, over: false }
    }

    /// Asks the inner body for more, as a part of the call. What is to come of a message alone says nothing to the log.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Status>>> {
        let Self { inner, call, observation, completion, messages, .. } = self;
        let _in_span = messages.is_some().then(|| observation.span().enter());
        let step = || call::scope_step(Arc::clone(call), || Pin::new(inner).poll_frame(cx));
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(polled) => polled,
            Err(panic) => {
                let status = observation.span().in_scope(|| panicked(panic.as_ref(), completion.domain()));
                Poll::Ready(Some(Err(status)))
            }
        }
    }

    /// Ends the answer in place of the inner body.
    fn cut(&mut self, status: &Status) -> Frame<Data> {
        self.over = true;
        self.observation.finish(status.code());
        Frame::trailers(self.completion.trailers(status))
    }

    /// The inner body's own end.
    fn ended(&mut self, mut trailers: HeaderMap) -> Frame<Data> {
        let code = self.completion.complete(&mut trailers, Part::Trailers);
        self.observation.finish(code.unwrap_or(Code::Unknown));
        Frame::trailers(trailers)
    }
}

impl http_body::Body for AnswerBody {
    type Data = Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // Before the next message, so that a stream that never runs dry ends too.
        if self.drain.as_mut().is_some_and(|drain| drain.poll_unpin(cx).is_ready()) {
            let leaving = Status::unavailable("the server is shutting down: connect again");
            return Poll::Ready(Some(Ok(self.cut(&leaving))));
        }
        let frame = match ready!(self.poll_inner(cx)) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => self.ended(trailers),
                Err(message) => {
                    if let (Some(messages), Some(data)) = (&mut self.messages, message.data_ref()) {
                        messages.pass(data);
                    }
                    message
                }
            },
            // A status in place of a frame would reach the client as a bare stream reset.
            Some(Err(status)) => self.cut(&status),
            None => {
                self.observation.finish(Code::Unknown);
                return Poll::Ready(None);
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }
}
