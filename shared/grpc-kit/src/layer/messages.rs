//! Counts the messages of a stream as they go by. Knows how they are framed, not what they say.

use metrics::Counter;

/// What stands before each message: whether it is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// Counts in a sequence of pieces, which need not end where messages do.
pub(super) struct Messages {
    count: Counter,
    prefix: [u8; PREFIX],
    /// How much of the prefix has come.
    begun: usize,
    /// How long the last message is of which the prefix has come.
    length: usize,
    /// How much of it has not.
    left: usize,
}

impl Messages {
    pub(super) fn new(count: Counter) -> Self {
        Self { count, prefix: [0; PREFIX], begun: 0, length: 0, left: 0 }
    }

    /// How long the message is that has begun and not ended; 0 until its prefix has come.
    pub(super) fn unfinished(&self) -> Option<usize> {
        match (self.left, self.begun) {
            (0, 0) => None,
            (0, _) => Some(0),
            _ => Some(self.length),
        }
    }

    /// The next piece. Returns whether a message has ended with it, or in it.
    pub(super) fn pass(&mut self, mut piece: &[u8]) -> bool {
        let mut one_ended = false;
        loop {
            let passed = piece.len().min(self.left);
            self.left -= passed;
            one_ended |= passed > 0 && self.left == 0;
            piece = &piece[passed..];
            if piece.is_empty() {
                return one_ended;
            }
            let taken = piece.len().min(PREFIX - self.begun);
            self.prefix[self.begun..self.begun + taken].copy_from_slice(&piece[..taken]);
            self.begun += taken;
            piece = &piece[taken..];
            if self.begun == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.begun = 0;
                self.length = u32::from_be_bytes(length) as usize;
                self.left = self.length;
                one_ended |= self.length == 0;
                self.count.increment(1);
            }
        }
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
            let ended = stream.chunks(size).filter(|piece| messages.pass(piece)).count();
            assert!((1..=3).contains(&ended), "in pieces of {size}");
            assert_eq!(count.load(Ordering::Relaxed), 3, "in pieces of {size}");
            assert_eq!(messages.unfinished(), None);
        }
    }

    #[test]
    fn a_message_is_unfinished_from_its_first_byte_to_its_last() {
        let mut messages = Messages::new(Counter::noop());
        let mut seen = vec![messages.unfinished()];
        for byte in [0, 0, 0, 0, 2, 7, 7, 0] {
            messages.pass(&[byte]);
            seen.push(messages.unfinished());
        }
        let (begun, known) = (Some(0), Some(2));
        assert_eq!(seen, [None, begun, begun, begun, begun, known, known, None, begun]);
    }
}
