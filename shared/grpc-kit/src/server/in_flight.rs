//! How many calls a connection has: what tells an idle peer from a busy one.

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
    owed::{Account, Owed},
    untaken,
};

/// The calls of one connection. Clones count the same ones.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Calls>);

/// Counted on every call, and waited for at the end of a connection only.
#[derive(Debug, Default)]
struct Calls {
    now: AtomicUsize,
    changed: Notify,
    /// What all connections of a listener count their calls by, so that it is known who had one later.
    clock: Arc<AtomicU64>,
    /// When the last one ended.
    ended: AtomicU64,
}

impl InFlight {
    /// None so far.
    pub(super) fn new(clock: Arc<AtomicU64>) -> Self {
        let ended = AtomicU64::new(clock.load(Ordering::Relaxed));
        Self(Arc::new(Calls { clock, ended, ..Calls::default() }))
    }

    /// Counts as the end of a call.
    pub(super) fn touch(&self) {
        self.0.touch();
    }

    /// Since when there has been no call, by the clock that was given; none while there is one.
    pub(super) fn idle_since(&self) -> Option<u64> {
        (self.0.now.load(Ordering::SeqCst) == 0).then(|| self.0.ended.load(Ordering::Relaxed))
    }

    /// Whether there is a call.
    pub(super) fn any(&self) -> bool {
        self.0.now.load(Ordering::Relaxed) > 0
    }

    /// Counts a call, until what is returned is dropped.
    pub(super) fn count(&self) -> Counted {
        self.0.now.fetch_add(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
        Counted(Arc::clone(&self.0))
    }

    /// Waits until there has been no call for this long.
    pub(super) async fn quiet_for(&self, quiet: Duration) {
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // From here on no change is missed, and what was before it is looked at.
            changed.as_mut().enable();
            if self.0.now.load(Ordering::SeqCst) > 0 {
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
    fn touch(&self) {
        self.ended.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One call.
pub(super) struct Counted(Arc<Calls>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.touch();
        self.0.now.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

pin_project_lite::pin_project! {
    /// The answer of a call, which counts until all of it has been taken or given up.
    pub(super) struct CountedBody<B> {
        #[pin]
        inner: B,
        counted: Counted,
        account: Arc<Account>,
    }
}

impl<B> CountedBody<B> {
    pub(super) fn new(inner: B, counted: Counted, account: Arc<Account>) -> Self {
        Self { inner, counted, account }
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
        polled.map_ok(|frame| frame.map_data(|piece| me.account.owes(piece)))
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
