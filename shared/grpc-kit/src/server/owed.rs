//! What has been answered and is not sent.
//!
//! Once a peer takes one byte of a message, h2 keeps the rest of it for as long as the peer likes, on streams that are over for
//! everybody else. So it is counted from the answer until the connection writes it, and when the connections of a listener owe
//! more than [`MOST`] together, the one that owes most is cut.

use std::{
    io::IoSlice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::body::Buf;
use tokio::sync::Notify;

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
}

/// What one of them owes.
#[derive(Debug)]
pub(super) struct Account {
    bytes: AtomicUsize,
    all: Arc<Debts>,
}

impl Account {
    /// Of a new connection.
    pub(super) fn new(all: &Arc<Debts>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), all: Arc::clone(all) })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a piece of an answer until it is dropped.
    pub(super) fn owes<B: Buf>(self: &Arc<Self>, piece: B) -> Owed<B> {
        let counted = piece.remaining() + PIECE;
        self.bytes.fetch_add(counted, Ordering::Relaxed);
        if self.all.bytes.fetch_add(counted, Ordering::Relaxed) + counted > MOST {
            self.all.too_much.notify_one();
        }
        Owed { piece, counted, account: Arc::clone(self) }
    }
}

/// A piece of an answer on its way.
#[derive(Debug)]
pub(super) struct Owed<B> {
    piece: B,
    counted: usize,
    account: Arc<Account>,
}

impl<B> Drop for Owed<B> {
    fn drop(&mut self) {
        self.account.bytes.fetch_sub(self.counted, Ordering::Relaxed);
        self.account.all.bytes.fetch_sub(self.counted, Ordering::Relaxed);
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
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn what_is_owed_counts_until_it_is_sent() {
        let all = Arc::new(Debts::default());
        let (one, other) = (Account::new(&all), Account::new(&all));
        let first = one.owes(&[7; 100][..]);
        let mut second = other.owes(&[7; 50][..]);
        assert_eq!((one.bytes(), other.bytes(), all.bytes()), (100 + PIECE, 50 + PIECE, 150 + 2 * PIECE));
        second.advance(20);
        assert_eq!((second.remaining(), second.chunk().len()), (30, 30));
        drop((first, second));
        assert_eq!((one.bytes(), other.bytes(), all.bytes()), (0, 0, 0));
    }

    #[test]
    fn it_is_told_when_it_is_too_much() {
        let all = Arc::new(Debts::default());
        let one = Account::new(&all);
        let piece = vec![0; MOST / 4];
        let _some: Vec<_> = (0..3).map(|_| one.owes(&*piece)).collect();
        assert!(all.too_much().now_or_never().is_none());
        let _more = one.owes(&*piece);
        assert!(all.too_much().now_or_never().is_some());
    }
}
