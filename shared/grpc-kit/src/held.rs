//! What is held for peers that let a call wait: requests that have not come whole, answers that nobody takes, streams that go on
//! for as long as whoever opened them likes. Of each kind a listener holds so much and no more.
//!
//! When it would be more, the oldest give way, as half-open connections do where many are opened: who is quick stays, however
//! many there are who are not. Nobody waits for others, and nobody is refused because of others for whom he cannot do anything.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::crowd::Crowd;

/// In bytes, of requests and of answers: 16 MiB each, some 220 of the largest request or 2,000 calls that hold nothing yet.
pub(crate) const MOST_OF_MESSAGES: usize = 16 * 1024 * 1024;

/// In bytes, of streams that nothing is to be done for now: 64 MiB, 8,000 of them. One that its client may send further messages
/// on counts as what these may be, and there are 900 of those.
pub(crate) const MOST_OF_STREAMS: usize = 64 * 1024 * 1024;

/// What a call takes by itself, of which the largest part is the buffer that its message is decoded from.
const CALL: usize = 8 * 1024;

/// Less than this is not worth giving back to the system.
const WORTH_GIVING_BACK: usize = 4 * 1024 * 1024;

/// What one listener holds of one kind.
#[derive(Debug)]
pub(crate) struct Held(Mutex<Calls>);

#[derive(Debug)]
struct Calls {
    most: usize,
    next: u64,
    bytes: usize,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    crowd: Crowd,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    waker: Waker,
}

impl Held {
    /// Nothing yet, and never more bytes than this.
    pub(crate) fn at_most(most: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Calls {
            most,
            next: 0,
            bytes: 0,
            waiting: BTreeMap::new(),
            crowd: Crowd::new(WORTH_GIVING_BACK),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn remove(&mut self, number: u64) {
        if let Some(waiting) = self.waiting.remove(&number) {
            self.bytes -= waiting.bytes;
            self.crowd.leaves(self.bytes);
        }
    }

    /// Those who have to give way, to be woken.
    fn too_many(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.bytes > self.most
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.bytes -= oldest.bytes;
            wakers.push(oldest.waker);
        }
        wakers
    }
}

/// The place of one call, which it takes only once its peer has to be waited for.
#[derive(Debug)]
pub(crate) struct Place {
    held: Arc<Held>,
    number: Option<u64>,
}

impl Place {
    pub(crate) fn new(held: &Arc<Held>) -> Self {
        Self { held: Arc::clone(held), number: None }
    }

    /// So many bytes are held while the peer is waited for. Returns whether it still has its place; it is woken when it has not.
    pub(crate) fn hold(&mut self, bytes: usize, waker: &Waker) -> bool {
        let bytes = CALL + bytes;
        let mut calls = self.held.lock();
        let number = if let Some(number) = self.number {
            let Some(waiting) = calls.waiting.get_mut(&number) else { return false };
            waiting.waker.clone_from(waker);
            let before = mem::replace(&mut waiting.bytes, bytes);
            calls.bytes = calls.bytes - before + bytes;
            number
        } else {
            let number = calls.next;
            calls.next += 1;
            calls.waiting.insert(number, Waiting { bytes, waker: waker.clone() });
            calls.bytes += bytes;
            self.number = Some(number);
            number
        };
        let given_way = calls.too_many();
        let stays = calls.waiting.contains_key(&number);
        let now = calls.bytes;
        calls.crowd.comes(now);
        drop(calls);
        given_way.into_iter().for_each(Waker::wake);
        stays
    }

    /// Nothing is waited for any more.
    pub(crate) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.held.lock().remove(number);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 64 * 1024;

    fn places(held: &Arc<Held>, count: usize) -> Vec<Place> {
        (0..count).map(|_| Place::new(held)).collect()
    }

    #[test]
    fn the_oldest_give_way_and_no_more_of_them_than_have_to() {
        let held = Held::at_most(MOST_OF_MESSAGES);
        let fit = MOST_OF_MESSAGES / (CALL + LARGE);
        let mut places = places(&held, fit + 3);
        assert!(places.iter_mut().all(|place| place.hold(LARGE, Waker::noop())));
        let stay: Vec<_> = places.iter_mut().map(|place| place.hold(LARGE, Waker::noop())).collect();
        assert!(stay[..3].iter().all(|stays| !stays));
        assert!(stay[3..].iter().all(|stays| *stays));
    }

    #[test]
    fn what_is_held_is_counted_once_and_given_back() {
        let held = Held::at_most(MOST_OF_MESSAGES);
        let mut places = places(&held, 3);
        for bytes in [1, LARGE, 7] {
            assert!(places.iter_mut().all(|place| place.hold(bytes, Waker::noop())));
            assert_eq!(held.lock().bytes, 3 * (CALL + bytes));
        }
        places[0].leave();
        places[0].leave();
        assert_eq!(held.lock().bytes, 2 * (CALL + 7));
        drop(places);
        assert_eq!(held.lock().bytes, 0);
        assert!(held.lock().waiting.is_empty());
    }
}
