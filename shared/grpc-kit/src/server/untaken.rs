//! Answers that nobody takes are given up.
//!
//! A peer says how much it takes of an answer, and HTTP/2 knows no end to its waiting. hyper keeps what comes next for as long as
//! the connection is there, and with it whatever made the answer: a few bytes of a request each, 200 at a time on a connection.
//! So whoever takes nothing more for [`PATIENCE`] has its stream reset, and sooner when there are too many such.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::held::{Held, Peer, Place};

/// As long as a unary call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a stream offers its peer.
#[derive(Clone, Copy, Default)]
struct Offer {
    /// So many bytes; none while the stream has nothing to offer.
    bytes: Option<usize>,
    /// How often it was made: whoever takes some of an answer gets a new one.
    number: u64,
}

tokio::task_local! {
    /// Of the stream whose task this is.
    static OFFER: Cell<Offer>;
}

/// The body of this task's stream has been asked for more, which is only done when what it gave before is taken.
pub(super) fn offers(bytes: Option<usize>) {
    // Outside of such a task nobody wants to know.
    let _ = OFFER.try_with(|offer| offer.set(Offer { bytes, number: offer.get().number + 1 }));
}

/// Runs the streams of a connection, each in a task of its own.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    untaken: Arc<Held>,
    peer: Peer,
}

impl Streams {
    /// Of a connection to this peer.
    pub(super) fn new(untaken: &Arc<Held>, peer: Peer) -> Self {
        Self { untaken: Arc::clone(untaken), peer }
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let place = Place::new(&self.untaken, self.peer);
        tokio::spawn(OFFER.scope(Cell::default(), Answering { stream, place, patience: None }));
    }
}

pin_project_lite::pin_project! {
    /// One stream, from the request to the end of the answer.
    struct Answering<F> {
        #[pin]
        stream: F,
        place: Place,
        patience: Option<Patience>,
    }
}

/// How long an offer is still held.
struct Patience {
    offer: u64,
    end: Pin<Box<Sleep>>,
}

impl<F: Future<Output = ()>> Future for Answering<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let me = self.project();
        if me.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let offer = OFFER.with(Cell::get);
        if me.patience.as_ref().is_some_and(|patience| patience.offer != offer.number) {
            *me.patience = None;
            me.place.leave();
        }
        let Some(bytes) = offer.bytes else { return Poll::Pending };
        if !me.place.hold(bytes, cx.waker()) {
            tracing::debug!(bytes, "an answer is given up for others: its peer has not taken it for longest");
            return Poll::Ready(());
        }
        let patience = me
            .patience
            .get_or_insert_with(|| Patience { offer: offer.number, end: Box::pin(sleep(PATIENCE)) });
        ready!(patience.end.as_mut().poll(cx));
        tracing::debug!(bytes, "an answer is given up: its peer does not take it");
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::poll_fn, stream::FuturesUnordered};
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::held::MOST_OF_MESSAGES;

    /// A stream that offers what it is told to whenever it is asked.
    fn stream(untaken: &Arc<Held>, mut offered: impl FnMut() -> Option<usize>) -> impl Future<Output = ()> {
        let stream = poll_fn(move |_| {
            offers(offered());
            Poll::Pending
        });
        let place = Place::new(untaken, None);
        OFFER.scope(Cell::default(), Answering { stream, place, patience: None })
    }

    /// The same, but it is not asked again: nobody takes what it has offered.
    fn untaken(held: &Arc<Held>, bytes: usize) -> impl Future<Output = ()> {
        let mut once = Some(bytes);
        let stream = poll_fn(move |_| {
            if let Some(bytes) = once.take() {
                offers(Some(bytes));
            }
            Poll::Pending
        });
        OFFER.scope(Cell::default(), Answering { stream, place: Place::new(held, None), patience: None })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_is_given_up_and_one_that_has_nothing_to_offer_is_not() {
        let held = Held::at_most(MOST_OF_MESSAGES);
        let since = Instant::now();
        untaken(&held, 10).await;
        assert_eq!(since.elapsed(), PATIENCE);
        let mut waits = Box::pin(stream(&held, || None));
        assert!(waits.as_mut().now_or_never().is_none());
        advance(PATIENCE * 10).await;
        assert!(waits.as_mut().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_some_of_an_answer_is_given_time_for_the_rest() {
        let held = Held::at_most(MOST_OF_MESSAGES);
        let mut slow = Box::pin(stream(&held, || Some(10)));
        for _ in 0..10 {
            assert!(slow.as_mut().now_or_never().is_none());
            advance(PATIENCE / 2).await;
        }
        assert!(slow.as_mut().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn when_there_are_too_many_the_oldest_are_given_up_at_once() {
        const LARGE: usize = MOST_OF_MESSAGES / 4;
        let held = Held::at_most(MOST_OF_MESSAGES);
        let mut answers: FuturesUnordered<_> = (0..3).map(|_| untaken(&held, LARGE)).collect();
        assert!(futures::StreamExt::next(&mut answers).now_or_never().is_none());
        let mut newest = Box::pin(untaken(&held, LARGE));
        assert!(newest.as_mut().now_or_never().is_none(), "whoever comes last stays");
        assert!(futures::StreamExt::next(&mut answers).now_or_never().flatten().is_some());
        assert_eq!(answers.len(), 2);
        assert!(futures::StreamExt::next(&mut answers).now_or_never().is_none());
    }
}
