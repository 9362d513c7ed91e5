//! The body of a request, as far as it has not come: how long it is waited for, and what is held of it meanwhile.
//!
//! A request of one message is handed on when it is whole. Before that nothing is decoded, which would make much of little, and
//! whoever handles it has nothing to hold.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use futures::FutureExt as _;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use hyper::body::Bytes;
use metrics::Counter;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};
use tonic::{Status, body::Body};

use super::{
    deadline, late,
    messages::{Messages, PREFIX},
};
use crate::{MAX_REQUEST_BYTES, held::Place};

type Data = <Body as http_body::Body>::Data;
type Polled = Poll<Option<Result<Frame<Data>, Status>>>;

/// Ready when the answer is over, however it ended.
pub(super) type Answered = oneshot::Receiver<Infallible>;

/// Passes the inner body on.
pub(super) struct RequestBody {
    inner: Body,
    domain: &'static str,
    messages: Expected,
    /// Of a call that sends many: there is nobody to send them to once its answer is over, whoever still asks for them.
    answer: Option<Answered>,
    /// What the call's metadata takes, which is held for as long as the request.
    metadata: usize,
    place: Place,
    /// When what is waited for must have come; none when nothing is, or when the call is over by then.
    until: Option<Instant>,
    /// Once it is waited for.
    patience: Option<Pin<Box<Sleep>>>,
}

enum Expected {
    /// What has come of it, and the trailers that follow.
    One(Vec<u8>, Option<HeaderMap>),
    /// Each goes on as it comes.
    Many(Messages),
}

impl RequestBody {
    /// Of a call that sends one message, which must have come by then, if not before the call is over.
    pub(super) fn of_one(
        inner: Body,
        domain: &'static str,
        place: Place,
        metadata: usize,
        until: Option<Instant>,
    ) -> Self {
        let messages = Expected::One(Vec::new(), None);
        Self { inner, domain, messages, answer: None, metadata, place, until, patience: None }
    }

    /// Of a call that sends as many messages as it likes.
    pub(super) fn of_many(
        inner: Body,
        domain: &'static str,
        place: Place,
        count: Counter,
        answer: Answered,
    ) -> Self {
        let messages = Expected::Many(Messages::new(count));
        // It counts with the stream.
        let metadata = 0;
        let answer = Some(answer);
        Self { inner, domain, messages, answer, metadata, place, until: None, patience: None }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Polled {
        if self.answer.as_mut().is_some_and(|answer| answer.poll_unpin(cx).is_ready()) {
            self.answer = None;
            self.waits_no_more();
            self.inner = Body::empty();
            return Poll::Ready(None);
        }
        loop {
            // First, so that a request that comes on for ever ends too.
            if self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
                return self.broken(late(self.domain));
            }
            let polled = Pin::new(&mut self.inner).poll_frame(cx);
            let ended = self.inner.is_end_stream();
            let passed = match (polled, &mut self.messages) {
                (Poll::Pending, _) => return self.wait(cx),
                (Poll::Ready(Some(Err(status))), _) => return self.broken(status),
                (Poll::Ready(None), Expected::One(held, _)) => whole(held),
                (Poll::Ready(None), Expected::Many(_)) => None,
                (Poll::Ready(Some(Ok(frame))), Expected::Many(messages)) => {
                    if frame.data_ref().is_some_and(|data| messages.pass(data)) {
                        // Of the next one, time begins anew.
                        self.patience = None;
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                (Poll::Ready(Some(Ok(frame))), Expected::One(held, trailers)) => match frame.into_data() {
                    Ok(data) if ended && held.is_empty() => Some(Frame::data(data)),
                    Ok(data) => {
                        held.extend_from_slice(&data);
                        if held.len() > PREFIX + MAX_REQUEST_BYTES {
                            return self.broken(Status::out_of_range("larger than a request may be"));
                        }
                        if !ended {
                            continue;
                        }
                        whole(held)
                    }
                    Err(frame) if held.is_empty() => Some(frame),
                    Err(frame) => {
                        *trailers = frame.into_trailers().ok();
                        whole(held)
                    }
                },
            };
            self.waits_no_more();
            return Poll::Ready(passed.map(Ok));
        }
    }

    /// There is nothing more for now.
    fn wait(&mut self, cx: &mut Context<'_>) -> Polled {
        let held = match &self.messages {
            Expected::One(held, _) => held.capacity(),
            Expected::Many(messages) => {
                let Some(length) = messages.unfinished() else {
                    self.waits_no_more();
                    return Poll::Pending;
                };
                // As much is set aside for it.
                length.min(MAX_REQUEST_BYTES)
            }
        };
        if !self.place.hold(self.metadata + held, cx.waker()) {
            return self.broken(late(self.domain));
        }
        if self.patience.is_none() {
            if let Expected::Many(_) = self.messages {
                self.until = deadline::of_request(Instant::now(), None);
            }
            self.patience = self.until.map(|until| Box::pin(sleep_until(until)));
            if self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
                return self.broken(late(self.domain));
            }
        }
        Poll::Pending
    }

    fn waits_no_more(&mut self) {
        self.place.leave();
        self.patience = None;
    }

    /// What has come is of no use to anybody.
    fn broken(&mut self, status: Status) -> Polled {
        self.waits_no_more();
        self.inner = Body::empty();
        if let Expected::One(held, _) = &mut self.messages {
            *held = Vec::new();
        }
        Poll::Ready(Some(Err(status)))
    }
}

/// Takes what has come, if anything has.
fn whole(held: &mut Vec<u8>) -> Option<Frame<Data>> {
    (!held.is_empty()).then(|| Frame::data(Bytes::from(mem::take(held))))
}

impl http_body::Body for RequestBody {
    type Data = Data;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        if let Expected::One(_, trailers) = &mut self.messages
            && let Some(trailers) = trailers.take()
        {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.next(cx)
    }

    fn is_end_stream(&self) -> bool {
        let nothing_held = match &self.messages {
            Expected::One(held, trailers) => held.is_empty() && trailers.is_none(),
            Expected::Many(_) => true,
        };
        nothing_held && self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::{future::poll_fn, stream};
    use http_body_util::StreamBody;

    use super::*;
    use crate::held::{Held, MOST_OF_MESSAGES};

    #[tokio::test]
    async fn whoever_sends_many_is_listened_to_until_the_answer_is_over() {
        let held = Held::at_most(MOST_OF_MESSAGES);
        let inner = Body::new(StreamBody::new(stream::pending::<Result<Frame<Data>, Status>>()));
        let (open, answered) = oneshot::channel();
        let place = Place::new(&held, None);
        let mut body = RequestBody::of_many(inner, "probe.tandem", place, Counter::noop(), answered);
        let mut next = async || poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some();
        assert!(next().now_or_never().is_none(), "there may be more");
        drop(open);
        assert_eq!(next().now_or_never(), Some(false));
        assert_eq!(next().now_or_never(), Some(false), "and stays over");
    }
}
