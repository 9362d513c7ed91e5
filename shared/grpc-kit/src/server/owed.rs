//! What has been answered and is not sent.
//!
//! Once a peer lets one byte of a message come, h2 keeps the rest of it for as long as the peer likes, on streams that are over for
//! everybody else. So each piece of an answer counts from the moment it is made until the connection writes it, and when the
//! connections of a listener owe more than [`MOST`] together, the one goes that has sent nothing for longest.

use std::{
    io::IoSlice,
    sync::atomic::{AtomicUsize, Ordering},
};

use hyper::body::Buf;
use tokio::sync::Notify;

use super::in_flight::InFlight;

/// In bytes: 32 MiB.
pub(super) const MOST: usize = 32 * 1024 * 1024;

/// What a piece of an answer takes besides its bytes: its stream, which is kept for it, and the trailers after it.
const PIECE: usize = 1024;

/// What all connections of a listener owe.
#[derive(Debug, Default)]
pub(super) struct Debts {
    bytes: AtomicUsize,
    too_much: Notify,
}

impl Debts {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until it is more than it should be.
    pub(super) async fn too_much(&self) {
        self.too_much.notified().await;
    }

    pub(super) fn grow(&self, by: usize) {
        if self.bytes.fetch_add(by, Ordering::Relaxed) + by > MOST {
            self.too_much.notify_one();
        }
    }

    pub(super) fn shrink(&self, by: usize) {
        self.bytes.fetch_sub(by, Ordering::Relaxed);
    }
}

/// A piece of an answer on its way.
#[derive(Debug)]
pub(super) struct Owed<B> {
    piece: B,
    counted: usize,
    by: InFlight,
}

impl<B: Buf> Owed<B> {
    /// By this connection.
    pub(super) fn new(piece: B, by: InFlight) -> Self {
        let counted = piece.remaining() + PIECE;
        by.owes(counted);
        Self { piece, counted, by }
    }
}

impl<B> Drop for Owed<B> {
    fn drop(&mut self) {
        self.by.has_sent(self.counted);
    }
}

impl<B: Buf> Buf for Owed<B> {
    fn remaining(&self) -> usize {
        self.piece.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.piece.chunk()
    }

    fn chunks_vectored<'a>(&'a self, pieces: &mut [IoSlice<'a>]) -> usize {
        self.piece.chunks_vectored(pieces)
    }

    fn advance(&mut self, count: usize) {
        self.piece.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_owed_counts_until_it_is_sent() {
        let all = Arc::new(Debts::default());
        let (one, other) = (InFlight::of_one(&all), InFlight::of_one(&all));
        let first = Owed::new(&[7; 100][..], one.clone());
        let mut second = Owed::new(&[7; 50][..], other.clone());
        assert_eq!((one.owed(), other.owed(), all.bytes()), (100 + PIECE, 50 + PIECE, 150 + 2 * PIECE));
        second.advance(20);
        assert_eq!((second.remaining(), second.chunk().len()), (30, 30));
        assert_eq!(one.idle_since(), None, "it has something to send");
        drop((first, second));
        assert_eq!((one.owed(), other.owed(), all.bytes()), (0, 0, 0));
        assert!(one.idle_since().is_some());
    }

    #[test]
    fn it_is_told_when_it_is_too_much() {
        let all = Arc::new(Debts::default());
        let one = InFlight::of_one(&all);
        let piece = vec![0; MOST / 4];
        let owe = || Owed::new(&*piece, one.clone());
        let _some: Vec<_> = (0..3).map(|_| owe()).collect();
        assert!(all.too_much().now_or_never().is_none());
        let _more = owe();
        assert!(all.too_much().now_or_never().is_some());
    }
}
