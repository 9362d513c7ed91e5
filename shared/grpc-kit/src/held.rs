//! What is held for peers that let a call wait: requests that have not come whole, answers that nobody takes, streams that go on
//! for as long as whoever opened them likes. Of each kind a listener holds so much and no more.
//!
//! When it would be more, the connection that holds most gives way, by the oldest that it holds; of those that hold as much the one
//! whose is oldest. So who is quick stays, and who has few, however many there are who are neither. Nobody waits for others, and
//! nobody is refused because of others for whom he cannot do anything.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::crowd::Crowd;

/// In bytes, of requests and of answers: 16 MiB each, some 220 of the largest request or 2,000 calls that hold nothing yet.
pub(crate) const MOST_OF_MESSAGES: usize = 16 * 1024 * 1024;

/// In bytes, of streams that nothing is to be done for now: 64 MiB, some 6,000 of them with their metadata. One that its client may
/// send further messages on counts as what these may be, and there are some 900 of those.
pub(crate) const MOST_OF_STREAMS: usize = 64 * 1024 * 1024;

/// What a call takes by itself, of which the largest part is the buffer that its message is decoded from.
const CALL: usize = 8 * 1024;

/// Less than this is not worth giving back to the system.
const WORTH_GIVING_BACK: usize = 4 * 1024 * 1024;

/// What one listener holds of one kind.
#[derive(Debug)]
pub(crate) struct Held(Mutex<Calls>);

/// By its address. In tests of single calls there is none.
pub(crate) type Peer = Option<SocketAddr>;

#[derive(Debug)]
struct Calls {
    most: usize,
    next: u64,
    bytes: usize,
    peers: HashMap<Peer, Theirs>,
    /// The last is the first to give way.
    ranks: BTreeMap<Rank, Peer>,
    crowd: Crowd,
}

/// What one peer has, in the order in which it came.
#[derive(Debug, Default)]
struct Theirs {
    bytes: usize,
    waiting: BTreeMap<u64, Waiting>,
}

/// By what is held for a peer, and by the oldest of it, which is nobody else's.
type Rank = (usize, Reverse<u64>);

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
            peers: HashMap::new(),
            ranks: BTreeMap::new(),
            crowd: Crowd::new(WORTH_GIVING_BACK),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Theirs {
    fn rank(&self) -> Option<Rank> {
        self.waiting.first_key_value().map(|(oldest, _)| (self.bytes, Reverse(*oldest)))
    }

    fn put(&mut self, number: u64, waiting: Waiting) {
        self.bytes += waiting.bytes;
        self.waiting.insert(number, waiting);
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.bytes -= waiting.bytes;
        Some(waiting)
    }

    fn remove_oldest(&mut self) -> Option<Waiting> {
        let oldest = *self.waiting.first_key_value()?.0;
        self.remove(oldest)
    }
}

impl Calls {
    /// Changes what a peer has, and how it ranks.
    fn change<T>(&mut self, peer: Peer, change: impl FnOnce(&mut Theirs) -> T) -> T {
        let theirs = self.peers.entry(peer).or_default();
        if let Some(rank) = theirs.rank() {
            self.ranks.remove(&rank);
        }
        self.bytes -= theirs.bytes;
        let result = change(theirs);
        self.bytes += theirs.bytes;
        match theirs.rank() {
            Some(rank) => drop(self.ranks.insert(rank, peer)),
            None => drop(self.peers.remove(&peer)),
        }
        result
    }

    /// Those who have to give way, to be woken.
    fn too_many(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.bytes > self.most
            && let Some((_, peer)) = self.ranks.last_key_value()
        {
            let peer = *peer;
            wakers.extend(self.change(peer, Theirs::remove_oldest).map(|oldest| oldest.waker));
        }
        wakers
    }
}

/// The place of one call, which it takes only once its peer has to be waited for.
#[derive(Debug)]
pub(crate) struct Place {
    held: Arc<Held>,
    peer: Peer,
    number: Option<u64>,
}

impl Place {
    pub(crate) fn new(held: &Arc<Held>, peer: Peer) -> Self {
        Self { held: Arc::clone(held), peer, number: None }
    }

    /// So many bytes are held while the peer is waited for. Returns whether it still has its place; it is woken when it has not.
    pub(crate) fn hold(&mut self, bytes: usize, waker: &Waker) -> bool {
        let waiting = Waiting { bytes: CALL + bytes, waker: waker.clone() };
        let mut calls = self.held.lock();
        let number = if let Some(number) = self.number {
            let stays = calls.change(self.peer, |theirs| {
                theirs.remove(number).inspect(|_| theirs.put(number, waiting)).is_some()
            });
            if !stays {
                return false;
            }
            number
        } else {
            let number = calls.next;
            calls.next += 1;
            calls.change(self.peer, |theirs| theirs.put(number, waiting));
            self.number = Some(number);
            number
        };
        let given_way = calls.too_many();
        let stays = calls.peers.get(&self.peer).is_some_and(|theirs| theirs.waiting.contains_key(&number));
        let now = calls.bytes;
        calls.crowd.comes(now);
        drop(calls);
        given_way.into_iter().for_each(Waker::wake);
        stays
    }

    /// Nothing is waited for any more.
    pub(crate) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            let mut calls = self.held.lock();
            if calls.change(self.peer, |theirs| theirs.remove(number)).is_some() {
                let now = calls.bytes;
                calls.crowd.leaves(now);
            }
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
        (0..count).map(|_| Place::new(held, None)).collect()
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
    fn whoever_has_few_stays_beside_those_who_have_many() {
        let peer = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let held = Held::at_most(MOST_OF_MESSAGES);
        let stays = |place: &mut Place| place.hold(LARGE, Waker::noop());
        let mut honest = Place::new(&held, peer(1));
        assert!(stays(&mut honest));
        let mut attackers: Vec<_> =
            (0..1_000).map(|number| Place::new(&held, peer(2 + number % 10))).collect();
        assert!(attackers.iter_mut().all(stays));
        assert!(stays(&mut honest));
        let left: Vec<_> = attackers.iter_mut().map(stays).collect();
        let fit = MOST_OF_MESSAGES / (CALL + LARGE) - 1;
        assert_eq!(left.iter().filter(|stays| **stays).count(), fit);
        assert!(left[1_000 - fit..].iter().all(|stays| *stays), "the newest of each");
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
        assert!(held.lock().peers.is_empty() && held.lock().ranks.is_empty());
    }
}
