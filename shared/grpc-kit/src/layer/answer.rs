//! The body of an answer whose end is still to come: most often a message and OK in the trailers, sometimes a
//! stream that lives for hours.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, future::BoxFuture};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::sync::oneshot;
use tonic::{Code, Status, body::Body};

use super::{
    CROWDED, LEAVING,
    completion::{Completion, Part},
    messages::Messages,
    observation::Observation,
    panicked,
};
use crate::{Call, Shutdown, call, held::Place};

type Data = <Body as http_body::Body>::Data;

/// What a stream holds for as long as it is open.
pub(super) struct Open {
    place: Place,
    holds: usize,
    /// Its client is listened to until this is dropped.
    _request: Option<oneshot::Sender<Infallible>>,
}

impl Open {
    /// Holds so many bytes besides itself while there is nothing to send.
    pub(super) const fn new(
        place: Place,
        holds: usize,
        request: Option<oneshot::Sender<Infallible>>,
    ) -> Self {
        Self { place, holds, _request: request }
    }
}

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
    open: Option<Open>,
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
        open: Option<Open>,
    ) -> Self {
        let drain = drain.map(|shutdown| async move { shutdown.requested().await }.boxed());
        let messages = observation.messages();
        Self { inner, call, completion, observation, messages, drain, open, over: false }
    }

    /// What comes next, the end of the answer included.
    fn next_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        // Before the next message, so that a stream that never runs dry ends too.
        if self.drain.as_mut().is_some_and(|drain| drain.poll_unpin(cx).is_ready()) {
            let leaving = Status::unavailable(LEAVING);
            return Poll::Ready(Some(Ok(self.cut(&leaving))));
        }
        let polled = self.poll_inner(cx);
        if polled.is_pending()
            && let Some(Open { place, holds, .. }) = &mut self.open
            && !place.hold(*holds, cx.waker())
        {
            let crowded = Status::unavailable(CROWDED);
            return Poll::Ready(Some(Ok(self.cut(&crowded))));
        }
        let frame = match ready!(polled) {
            Some(Ok(frame)) => match frame.into_trailers() {
                Ok(trailers) => self.ended(trailers),
                Err(message) => {
                    if let (Some(messages), Some(data)) = (&mut self.messages, message.data_ref()) {
                        let _ = messages.pass(data);
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

    /// Asks the inner body for more.
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Status>>> {
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.inner).poll_frame(cx))) {
            Ok(polled) => polled,
            Err(panic) => Poll::Ready(Some(Err(panicked(panic.as_ref(), self.completion.domain())))),
        }
    }

    /// Ends the answer in place of the inner body.
    fn cut(&mut self, status: &Status) -> Frame<Data> {
        self.over = true;
        self.open = None;
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

    /// As a part of the call.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Status>>> {
        call::scope_step(Arc::clone(&self.call), || self.next_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }
}
