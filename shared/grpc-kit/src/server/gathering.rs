//! Answers that are ready together leave together.
//!
//! A connection is woken by the first of its answers, and runs before the tasks that make the next ones: each answer would be a
//! system call and a packet of its own. So while other calls are on their way, a write lets every task run once that is ready
//! now, and takes along what they have said by then. Whoever is alone on a connection waits for nobody, and a write after which no
//! call has begun or ended does not wait again.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::in_flight::InFlight;

/// Where a connection writes.
#[derive(Debug)]
pub(super) struct Gathering<W> {
    writer: W,
    calls: InFlight,
    /// A write has let the others run.
    waits: bool,
    /// What had begun and ended by then: as long as nothing has since, nobody is ready.
    gathered: usize,
}

impl<W> Gathering<W> {
    /// Waits for whoever else is among these calls.
    pub(super) const fn new(writer: W, calls: InFlight) -> Self {
        Self { writer, calls, waits: false, gathered: 0 }
    }

    fn poll_others(&mut self, cx: &Context<'_>) -> Poll<()> {
        let turns = self.calls.turns();
        if mem::take(&mut self.waits) {
            self.gathered = turns;
        }
        if self.gathered == turns || !self.calls.any() {
            return Poll::Ready(());
        }
        self.waits = true;
        // A task that wakes itself comes after those that are ready.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Gathering<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_others(cx));
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_others(cx));
        Pin::new(&mut self.writer).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_is_alone_writes_at_once_and_whoever_is_not_lets_the_others_run_once() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let calls = InFlight::default();
        let mut writer = Gathering::new(tokio::io::sink(), calls.clone());
        let mut write = || {
            let written = Pin::new(&mut writer).poll_write(&mut cx, b"answer").is_ready();
            (written, woken.0.load(Ordering::Relaxed))
        };
        assert_eq!(write(), (true, 0));
        let other = calls.count();
        assert_eq!(write(), (false, 1));
        assert_eq!(write(), (true, 1), "it has waited");
        assert_eq!(write(), (true, 1), "and nobody has come since");
        let another = calls.count();
        assert_eq!(write(), (false, 2));
        assert_eq!(write(), (true, 2));
        drop(other);
        assert_eq!(write(), (false, 3), "whoever has ended may have had something to say");
        assert_eq!(write(), (true, 3));
        drop(another);
        assert_eq!(write(), (true, 3));
    }
}
