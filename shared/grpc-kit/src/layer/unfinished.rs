//! What the requests of a listener take that have not come whole, all of them together: no more than [`MOST`].
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

/// In bytes: 16 MiB, some 220 requests of the largest size or 2,000 of which nothing has come yet.
const MOST: usize = 16 * 1024 * 1024;

/// What a call takes by itself, of which the largest part is the buffer that its message is decoded from.
const CALL: usize = 8 * 1024;

/// Less than this is not worth giving back to the system.
const WORTH_GIVING_BACK: usize = 4 * 1024 * 1024;

/// The unfinished requests of one listener.
#[derive(Debug)]
pub(super) struct Unfinished(Mutex<Requests>);

#[derive(Debug)]
struct Requests {
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

impl Unfinished {
    /// None yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Requests {
            next: 0,
            bytes: 0,
            waiting: BTreeMap::new(),
            crowd: Crowd::new(WORTH_GIVING_BACK),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Requests {
    fn remove(&mut self, number: u64) {
        if let Some(waiting) = self.waiting.remove(&number) {
            self.bytes -= waiting.bytes;
            self.crowd.leaves(self.bytes);
        }
    }

    /// Those who have to give way, to be woken.
    fn too_many(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.bytes > MOST
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.bytes -= oldest.bytes;
            wakers.push(oldest.waker);
        }
        wakers
    }
}

/// The place of one request, which it takes only once it has to be waited for.
#[derive(Debug)]
pub(super) struct Place {
    unfinished: Arc<Unfinished>,
    number: Option<u64>,
}

impl Place {
    pub(super) fn new(unfinished: &Arc<Unfinished>) -> Self {
        Self { unfinished: Arc::clone(unfinished), number: None }
    }

    /// So many bytes are held while more is waited for. Returns whether it still has its place; it is woken when it has not.
    pub(super) fn hold(&mut self, bytes: usize, waker: &Waker) -> bool {
        let bytes = CALL + bytes;
        let mut requests = self.unfinished.lock();
        let number = if let Some(number) = self.number {
            let Some(waiting) = requests.waiting.get_mut(&number) else { return false };
            waiting.waker.clone_from(waker);
            let before = mem::replace(&mut waiting.bytes, bytes);
            requests.bytes = requests.bytes - before + bytes;
            number
        } else {
            let number = requests.next;
            requests.next += 1;
            requests.waiting.insert(number, Waiting { bytes, waker: waker.clone() });
            requests.bytes += bytes;
            self.number = Some(number);
            number
        };
        let given_way = requests.too_many();
        let stays = requests.waiting.contains_key(&number);
        let now = requests.bytes;
        requests.crowd.comes(now);
        drop(requests);
        given_way.into_iter().for_each(Waker::wake);
        stays
    }

    /// Nothing is waited for any more.
    pub(super) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            self.unfinished.lock().remove(number);
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

    fn places(unfinished: &Arc<Unfinished>, count: usize) -> Vec<Place> {
        (0..count).map(|_| Place::new(unfinished)).collect()
    }

    #[test]
    fn the_oldest_give_way_and_no_more_of_them_than_have_to() {
        let unfinished = Unfinished::new();
        let fit = MOST / (CALL + LARGE);
        let mut places = places(&unfinished, fit + 3);
        assert!(places.iter_mut().all(|place| place.hold(LARGE, Waker::noop())));
        let stay: Vec<_> = places.iter_mut().map(|place| place.hold(LARGE, Waker::noop())).collect();
        assert!(stay[..3].iter().all(|stays| !stays));
        assert!(stay[3..].iter().all(|stays| *stays));
    }

    #[test]
    fn what_is_held_is_counted_once_and_given_back() {
        let unfinished = Unfinished::new();
        let mut places = places(&unfinished, 3);
        for held in [1, LARGE, 7] {
            assert!(places.iter_mut().all(|place| place.hold(held, Waker::noop())));
            assert_eq!(unfinished.lock().bytes, 3 * (CALL + held));
        }
        places[0].leave();
        places[0].leave();
        assert_eq!(unfinished.lock().bytes, 2 * (CALL + 7));
        drop(places);
        assert_eq!(unfinished.lock().bytes, 0);
        assert!(unfinished.lock().waiting.is_empty());
    }
}
