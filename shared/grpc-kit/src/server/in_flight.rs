//! What a connection has to do still, its calls and what it has not sent of their answers: what tells an idle peer from a busy one.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use hyper::body::Buf;
use tokio::{sync::Notify, time::sleep};

use super::{
    owed::{Debts, Owed},
    untaken,
};

/// Of one connection. Clones count the same.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Calls>);

/// Counted on every call, and waited for at the end of a connection only.
#[derive(Debug, Default)]
struct Calls {
    now: AtomicUsize,
    /// How many began and ended so far.
    turns: AtomicUsize,
    changed: Notify,
    /// What all connections of a listener count their calls by, so that it is known who had one later.
    clock: Arc<AtomicU64>,
    /// When the last one ended.
    ended: AtomicU64,
    /// The bytes of answers that are not sent.
    owed: AtomicUsize,
    /// When some of them were sent last, or there were none.
    progressed: AtomicU64,
    debts: Arc<Debts>,
}

impl InFlight {
    /// None so far.
    pub(super) fn new(clock: Arc<AtomicU64>, debts: Arc<Debts>) -> Self {
        let ended = AtomicU64::new(clock.load(Ordering::Relaxed));
        Self(Arc::new(Calls { clock, ended, debts, ..Calls::default() }))
    }

    /// With a clock of its own.
    #[cfg(test)]
    pub(super) fn of_one(debts: &Arc<Debts>) -> Self {
        Self::new(Arc::default(), Arc::clone(debts))
    }

    /// Counts as the end of a call.
    pub(super) fn touch(&self) {
        self.0.touch();
    }

    /// Since when there has been nothing to do, by the clock that was given; none while there is.
    pub(super) fn idle_since(&self) -> Option<u64> {
        self.0.is_idle().then(|| self.0.ended.load(Ordering::Relaxed))
    }

    /// Since when it has only had to send what its peer does not take, by the same clock; none when it has a call, or nothing to
    /// send.
    pub(super) fn stuck_since(&self) -> Option<u64> {
        (!self.any() && self.owed() > 0).then(|| self.progressed())
    }

    /// When something was sent last of what is owed.
    pub(super) fn progressed(&self) -> u64 {
        self.0.progressed.load(Ordering::Relaxed)
    }

    /// Whether there is a call.
    pub(super) fn any(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > 0
    }

    /// Changes with each call that begins or ends.
    pub(super) fn turns(&self) -> usize {
        self.0.turns.load(Ordering::Relaxed)
    }

    /// How many bytes of answers are not sent.
    pub(super) fn owed(&self) -> usize {
        self.0.owed.load(Ordering::Relaxed)
    }

    /// So many more are.
    pub(super) fn owes(&self, bytes: usize) {
        if self.0.owed.fetch_add(bytes, Ordering::SeqCst) == 0 {
            self.0.progresses();
        }
        self.0.debts.grow(bytes);
    }

    /// So many have been, or never will be.
    pub(super) fn has_sent(&self, bytes: usize) {
        self.0.progresses();
        self.0.debts.shrink(bytes);
        if self.0.owed.fetch_sub(bytes, Ordering::SeqCst) == bytes {
            self.0.changed.notify_waiters();
        }
    }

    /// Counts a call, until what is returned is dropped.
    pub(super) fn count(&self) -> Counted {
        self.0.now.fetch_add(1, Ordering::SeqCst);
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        self.0.changed.notify_waiters();
        Counted(Arc::clone(&self.0))
    }

    /// Waits until there has been nothing to do for this long.
    pub(super) async fn quiet_for(&self, quiet: Duration) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed, and what was before it is looked at.
            changed.as_mut().enable();
            if !self.0.is_idle() {
                changed.await;
                continue;
            }
            tokio::select! {
                () = changed => {}
                () = sleep(quiet) => return,
            }
        }
    }
}

impl Calls {
    fn is_idle(&self) -> bool {
        self.now.load(Ordering::SeqCst) == 0 && self.owed.load(Ordering::SeqCst) == 0
    }

    fn progresses(&self) {
        self.progressed.store(self.clock.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn touch(&self) {
        self.ended.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One call.
pub(super) struct Counted(Arc<Calls>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.touch();
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

pin_project_lite::pin_project! {
    /// The answer of a call, which counts until the last of it has been handed over or given up; what was handed over is owed.
    pub(super) struct CountedBody<B> {
        #[pin]
        inner: B,
        counted: Counted,
    }
}

impl<B> CountedBody<B> {
    pub(super) fn new(inner: B, counted: Counted) -> Self {
        Self { inner, counted }
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = Owed<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Owed<B::Data>>, B::Error>>> {
        let me = self.project();
        let polled = me.inner.poll_frame(cx);
        untaken::offers(match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map(Buf::remaining),
            _ => None,
        });
        polled.map_ok(|frame| frame.map_data(|piece| Owed::new(piece, InFlight(Arc::clone(&me.counted.0)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_quiet_when_no_call_was_there_for_long_enough() {
        const QUIET: Duration = Duration::from_secs(1);
        let calls = InFlight::default();
        let first = calls.count();
        let mut quiet = pin!(calls.quiet_for(QUIET));
        assert!(quiet.as_mut().now_or_never().is_none());
        advance(QUIET * 2).await;
        assert!(quiet.as_mut().now_or_never().is_none(), "there is a call");
        drop(first);
        assert!(quiet.as_mut().now_or_never().is_none());
        advance(QUIET / 2).await;
        drop(calls.count());
        let since = Instant::now();
        quiet.await;
        assert_eq!(since.elapsed(), QUIET, "a short call in between begins it anew");
    }
}
