//! Counts the messages of a stream as they go by. Knows how they are framed, not what they say.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Frame;
use metrics::Counter;
use tonic::{Status, body::Body};

type Data = <Body as http_body::Body>::Data;

/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Counts in a sequence of pieces, which need not end where messages do.
pub(super) struct Messages {
    count: Counter,
    prefix: [u8; PREFIX],
    /// How much of the prefix has come.
    begun: usize,
    /// How much of the message has not.
    left: usize,
}

impl Messages {
    pub(super) fn new(count: Counter) -> Self {
        Self { count, prefix: [0; PREFIX], begun: 0, left: 0 }
    }

    /// The next piece.
    pub(super) fn pass(&mut self, mut piece: &[u8]) {
        loop {
            let passed = piece.len().min(self.left);
            self.left -= passed;
            piece = &piece[passed..];
            if piece.is_empty() {
                return;
            }
            let taken = piece.len().min(PREFIX - self.begun);
            self.prefix[self.begun..self.begun + taken].copy_from_slice(&piece[..taken]);
            self.begun += taken;
            piece = &piece[taken..];
            if self.begun == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.begun = 0;
                self.left = u32::from_be_bytes(length) as usize;
                self.count.increment(1);
            }
        }
    }
}

/// A request with many messages.
pub(super) struct CountedBody {
    inner: Body,
    messages: Messages,
}

impl CountedBody {
    pub(super) fn new(inner: Body, count: Counter) -> Self {
        Self { inner, messages: Messages::new(count) }
    }
}

impl http_body::Body for CountedBody {
    type Data = Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.messages.pass(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        // Of 3 bytes, of none, of 300.
        let mut stream = vec![0, 0, 0, 0, 3, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 44];
        stream.extend([9; 300]);
        for size in 1..=stream.len() {
            let count = Arc::new(AtomicU64::new(0));
            let mut messages = Messages::new(Counter::from_arc(Arc::clone(&count)));
            stream.chunks(size).for_each(|piece| messages.pass(piece));
            assert_eq!(count.load(Ordering::Relaxed), 3, "in pieces of {size}");
        }
    }
}
