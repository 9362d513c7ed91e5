//! How many calls a connection has: what tells an idle peer from a busy one.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use tokio::{sync::watch, time::sleep};

/// The calls of one connection. Clones count the same ones.
#[derive(Clone)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl InFlight {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Counts a call, until what is returned is dropped.
    pub(super) fn count(&self) -> Counted {
        self.0.send_modify(|calls| *calls += 1);
        Counted(Arc::clone(&self.0))
    }

    /// Waits until there has been no call for this long.
    pub(super) async fn quiet_for(&self, quiet: Duration) {
        let mut calls = self.0.subscribe();
        loop {
            // The sender is in `self`: it is never closed.
            let _ = calls.wait_for(|calls| *calls == 0).await;
            tokio::select! {
                _ = calls.changed() => {}
                () = sleep(quiet) => return,
            }
        }
    }
}

/// One call.
pub(super) struct Counted(Arc<watch::Sender<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|calls| *calls -= 1);
    }
}

pin_project_lite::pin_project! {
    /// The answer of a call, which counts until it has been sent or given up.
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
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
