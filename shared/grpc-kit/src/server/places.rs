//! How many connections a listener has at a time, and who gives way when more come.
//!
//! Memory and descriptors are bounded by bounding connections. Whoever came first must not keep everybody else out by staying:
//! so a newcomer takes the place of the one that has done nothing for longest. Peers that have not said yet what they speak
//! (a handshake, the first bytes of HTTP/2) have a share of their own, in which the oldest gives way: a flood of those costs
//! no peer its connection that has one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

use super::{
    ServerSettings,
    in_flight::InFlight,
    owed::{self, Debts},
};
use crate::crowd::Crowd;

/// So many of those that have done nothing for longest are picked at a time, since to find them takes a look at everybody.
const PICKED: usize = 64;

/// So many go where descriptors are short: whatever else of the process needs one must find one, too.
const MADE_ROOM: usize = 16;

/// Those of all listeners of the process, which share its descriptors.
static EVERYWHERE: Mutex<Vec<Weak<Places>>> = Mutex::new(Vec::new());

/// Lets some go, on whichever listener of the process, because there are fewer descriptors than was counted on: first where there
/// are most, for those who have few have not used them up.
pub(crate) fn make_room() {
    make_room_among(everywhere().iter().filter_map(Weak::upgrade).collect());
}

fn make_room_among(mut listeners: Vec<Arc<Places>>) {
    listeners.sort_by_cached_key(|places| Reverse(places.taken().len()));
    let mut left = MADE_ROOM;
    for places in listeners {
        left -= places.make_room(left);
    }
}

fn everywhere() -> MutexGuard<'static, Vec<Weak<Places>>> {
    EVERYWHERE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    at_most: usize,
    strangers_at_most: usize,
    /// Counts what happens: who was busy later than whom.
    clock: Arc<AtomicU64>,
    debts: Arc<Debts>,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    /// Who has not said yet what it speaks, in the order in which they came.
    strangers: BTreeMap<u64, Arc<Seat>>,
    known: HashMap<u64, Arc<Seat>>,
    /// Who was known and has been asked to go.
    leaving: HashMap<u64, Arc<Seat>>,
    /// What was owed when somebody was cut.
    owed: Crowd,
    /// Who of the known ones goes next, and when it was busy last.
    next: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
struct Seat {
    calls: InFlight,
    given_away: Notify,
    is_cut: AtomicBool,
}

/// One connection's, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    seat: Arc<Seat>,
    places: Arc<Places>,
}

impl Places {
    /// Of a listener that is served, from which others get descriptors when they are short.
    pub(super) fn of_a_listener(settings: &ServerSettings) -> Arc<Self> {
        let places = Self::new(settings);
        let mut everywhere = everywhere();
        everywhere.retain(|places| places.strong_count() > 0);
        everywhere.push(Arc::downgrade(&places));
        places
    }

    pub(super) fn new(settings: &ServerSettings) -> Arc<Self> {
        Arc::new(Self {
            at_most: settings.max_connections,
            strangers_at_most: settings.max_unestablished_connections,
            clock: Arc::default(),
            debts: Arc::default(),
            taken: Mutex::new(Taken {
                strangers: BTreeMap::new(),
                known: HashMap::new(),
                leaving: HashMap::new(),
                owed: Crowd::new(owed::MOST / 2),
                next: VecDeque::new(),
            }),
        })
    }

    /// A place for somebody who has just come, somebody else's if there is no other; none when all are busy.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.taken();
        if taken.strangers.len() >= self.strangers_at_most {
            taken.dismiss_stranger();
        } else if taken.len() >= self.at_most
            && !taken.dismiss_idle()
            && !taken.dismiss_stranger()
            && !taken.cut_stuck()
        {
            return None;
        }
        let number = self.clock.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(Seat {
            calls: InFlight::new(Arc::clone(&self.clock), Arc::clone(&self.debts)),
            given_away: Notify::new(),
            is_cut: AtomicBool::new(false),
        });
        taken.strangers.insert(number, Arc::clone(&seat));
        drop(taken);
        Some(Place { number, seat, places: Arc::clone(self) })
    }

    /// Lets so many go, or as many as do nothing, and says how many these were: strangers while they have more than their share
    /// of what there is, and those that have done nothing for longest otherwise.
    fn make_room(&self, wanted: usize) -> usize {
        let mut taken = self.taken();
        for went in 0..wanted {
            let (strangers, all) = (taken.strangers.len(), taken.len());
            let beyond_their_share =
                strangers.saturating_mul(self.at_most) > all.saturating_mul(self.strangers_at_most);
            let one_went = beyond_their_share && taken.dismiss_stranger()
                || taken.dismiss_idle()
                || taken.dismiss_stranger();
            if !one_went {
                return went;
            }
        }
        wanted
    }

    /// Waits until the connections owe their peers more than is held for them.
    pub(super) async fn too_much_is_owed(&self) {
        self.debts.too_much().await;
    }

    /// Cuts those that have sent nothing for longest of what they owe, until what the others owe is held: who takes what it has
    /// asked for has always just taken some.
    pub(super) fn cut_debtors(&self) {
        let mut taken = self.taken();
        taken.owed.comes(self.debts.bytes());
        let (going, mut others): (Vec<_>, Vec<_>) = taken
            .known
            .values()
            .chain(taken.leaving.values())
            .partition(|seat| seat.is_cut.load(Ordering::Relaxed));
        let owed_by_those: usize = going.iter().map(|seat| seat.calls.owed()).sum();
        let mut left = self.debts.bytes().saturating_sub(owed_by_those);
        if left <= owed::MOST {
            return;
        }
        others.retain(|seat| seat.calls.owed() > 0);
        others.sort_by_cached_key(|seat| Reverse(seat.calls.progressed()));
        while left > owed::MOST
            && let Some(seat) = others.pop()
        {
            left -= seat.calls.owed().min(left);
            seat.cut();
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it holds the lock; what is in it is whole in any case.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Tells the connection to end as it is.
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        self.given_away.notify_one();
    }
}

impl Taken {
    fn len(&self) -> usize {
        self.strangers.len() + self.known.len()
    }

    /// Asks the oldest stranger to go.
    fn dismiss_stranger(&mut self) -> bool {
        let Some((_, seat)) = self.strangers.pop_first() else { return false };
        seat.given_away.notify_one();
        true
    }

    /// Asks the one to go that has done nothing for longest.
    fn dismiss_idle(&mut self) -> bool {
        self.dismiss_picked() || {
            self.pick();
            self.dismiss_picked()
        }
    }

    /// Cuts the one that has had nothing to do for longest but to send what its peer does not take.
    fn cut_stuck(&mut self) -> bool {
        let stuck = self.known.iter().filter_map(|(number, seat)| Some((seat.calls.stuck_since()?, *number)));
        let Some((_, number)) = stuck.min() else { return false };
        if let Some(seat) = self.known.remove(&number) {
            seat.cut();
            self.leaving.insert(number, seat);
        }
        true
    }

    /// Of those that were picked, the first that has done nothing since.
    fn dismiss_picked(&mut self) -> bool {
        while let Some((number, was)) = self.next.pop_front() {
            let still = self.known.get(&number).is_some_and(|seat| seat.calls.idle_since() == Some(was));
            if still && let Some(seat) = self.known.remove(&number) {
                seat.given_away.notify_one();
                self.leaving.insert(number, seat);
                return true;
            }
        }
        false
    }

    fn pick(&mut self) {
        let idle = self.known.iter().filter_map(|(number, seat)| Some((seat.calls.idle_since()?, *number)));
        let mut idle: Vec<_> = idle.collect();
        if idle.len() > PICKED {
            idle.select_nth_unstable(PICKED);
            idle.truncate(PICKED);
        }
        idle.sort_unstable();
        self.next = idle.into_iter().map(|(since, number)| (number, since)).collect();
    }
}

impl Place {
    /// The calls on the connection.
    pub(super) fn calls(&self) -> &InFlight {
        &self.seat.calls
    }

    /// The peer has said what it speaks.
    pub(super) fn is_known(&self) {
        self.seat.calls.touch();
        let mut taken = self.places.taken();
        // Who has been asked to go meanwhile is neither.
        if let Some(seat) = taken.strangers.remove(&self.number) {
            taken.known.insert(self.number, seat);
        }
    }

    /// Waits until the place is somebody else's: the connection has to end then.
    pub(super) async fn given_away(&self) {
        self.seat.given_away.notified().await;
    }

    /// Waits until it has to end as it is, whatever it was told before.
    pub(super) async fn until_cut(&self) {
        while !self.is_cut() {
            self.given_away().await;
        }
    }

    /// Whether it has to end as it is, because its peer takes no answer.
    pub(super) fn is_cut(&self) -> bool {
        self.seat.is_cut.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.owed.leaves(self.places.debts.bytes());
        if taken.strangers.remove(&self.number).is_none() {
            taken.known.remove(&self.number);
            taken.leaving.remove(&self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::server::owed::Owed;

    fn places(all: usize, strangers: usize) -> Arc<Places> {
        Places::new(&ServerSettings {
            max_connections: all,
            max_unestablished_connections: strangers,
            ..ServerSettings::default()
        })
    }

    fn known(places: &Arc<Places>) -> Place {
        let place = places.take().expect("a place");
        place.is_known();
        place
    }

    fn has_to_go(place: &Place) -> bool {
        place.given_away().now_or_never().is_some()
    }

    #[test]
    fn whoever_has_done_nothing_for_longest_gives_way() {
        let places = places(3, 3);
        let (first, second, third) = (known(&places), known(&places), known(&places));
        drop(first.calls().count());
        let _fourth = known(&places);
        assert_eq!([&first, &second, &third].map(has_to_go), [false, true, false]);
        let _fifth = known(&places);
        assert_eq!([&first, &second, &third].map(has_to_go), [false, false, true]);
    }

    #[test]
    fn whoever_was_picked_to_go_and_then_was_busy_stays() {
        let places = places(3, 3);
        let (first, second, third) = (known(&places), known(&places), known(&places));
        let _fourth = known(&places);
        drop(second.calls().count());
        let _fifth = known(&places);
        assert_eq!([&first, &second, &third].map(has_to_go), [true, false, true]);
    }

    #[test]
    fn whoever_is_busy_stays_and_a_newcomer_is_refused_only_when_all_are() {
        let places = places(2, 2);
        let (first, second) = (known(&places), known(&places));
        let busy = first.calls().count();
        let third = known(&places);
        assert_eq!([&first, &second].map(has_to_go), [false, true]);
        let also_busy = third.calls().count();
        assert!(places.take().is_none());
        drop(busy);
        assert!(places.take().is_some());
        drop(also_busy);
    }

    #[test]
    fn strangers_push_out_one_another_and_nobody_else() {
        let places = places(5, 2);
        let idle = known(&places);
        let strangers: Vec<_> = (0..10).map(|_| places.take().expect("a place")).collect();
        let went = strangers.iter().map(has_to_go).filter(|went| *went).count();
        assert_eq!((went, has_to_go(&strangers[9]), has_to_go(&strangers[8])), (8, false, false));
        assert!(!has_to_go(&idle));
        strangers[9].is_known();
        assert!(!has_to_go(&idle), "there is room for it");
    }

    #[test]
    fn where_descriptors_are_short_idle_ones_give_way_and_strangers_beyond_their_share() {
        let places = places(100, 40);
        let known: Vec<_> = (0..40).map(|_| known(&places)).collect();
        let busy = known[0].calls().count();
        let newcomers = |many| (0..many).map(|_| places.take().expect("a place")).collect::<Vec<_>>();
        let went = |all: &[Place]| all.iter().filter(|place| has_to_go(place)).count();
        let strangers = newcomers(10);
        assert_eq!(places.make_room(MADE_ROOM), MADE_ROOM);
        assert_eq!((went(&known), went(&strangers)), (MADE_ROOM, 0));
        // 24 and 30 are left, and then 23 and 15, of which the strangers' share is two fifths.
        let more = newcomers(20);
        assert_eq!(places.make_room(MADE_ROOM), MADE_ROOM);
        assert_eq!((went(&known), went(&strangers), went(&more)), (1, 10, 5));
        assert_eq!([(); 4].map(|()| places.make_room(MADE_ROOM)), [16, 16, 5, 0]);
        assert_eq!((went(&known), went(&more)), (22, 15), "all but the busy one");
        drop(busy);
    }

    #[test]
    fn those_who_have_sent_nothing_for_longest_are_cut_and_no_more_of_them_than_have_to_be() {
        let places = places(10, 5);
        let known: Vec<_> = (0..4).map(|_| known(&places)).collect();
        let piece = vec![0; owed::MOST / 8];
        let owe = |number: usize, pieces: usize| {
            let calls: &InFlight = known[number].calls();
            // Time goes by calls.
            drop(calls.count());
            (0..pieces).map(|_| Owed::new(&*piece, calls.clone())).collect::<Vec<_>>()
        };
        let cut = || known.iter().map(|place| has_to_go(place) && place.is_cut()).collect::<Vec<_>>();
        let mut all = vec![owe(0, 2), owe(1, 2), owe(2, 3)];
        places.cut_debtors();
        assert_eq!(cut(), [false; 4], "they owe seven eighths");
        all.push(owe(3, 2));
        all[0].pop();
        places.cut_debtors();
        assert_eq!(cut(), [false, true, false, false], "the first has just sent something");
        places.cut_debtors();
        assert_eq!(cut(), [false; 4], "it is on its way");
        all[1].clear();
        all[1].extend(owe(3, 2));
        places.cut_debtors();
        assert_eq!(cut(), [false, false, true, false], "and there is something besides for each piece");
    }

    #[test]
    fn whoever_only_owes_what_its_peer_does_not_take_is_not_idle_and_makes_room_last() {
        let places = places(3, 3);
        let (owing, busy, idle) = (known(&places), known(&places), known(&places));
        let _owed = Owed::new(&[7; 10][..], owing.calls().clone());
        let call = busy.calls().count();
        let fourth = known(&places);
        assert_eq!([&owing, &busy, &idle].map(has_to_go), [false, false, true]);
        let another = fourth.calls().count();
        assert!(!owing.is_cut());
        let fifth = places.take().expect("a place");
        assert!(has_to_go(&owing) && owing.is_cut());
        fifth.is_known();
        let third = fifth.calls().count();
        assert!(places.take().is_none());
        drop((call, another, third));
    }

    #[test]
    fn whichever_listener_is_short_of_descriptors_gets_them_where_most_are() {
        let (few, many) = (places(100, 40), places(100, 40));
        let (few_known, many_known): (Vec<_>, Vec<_>) = (0..20).map(|_| (known(&few), known(&many))).unzip();
        let more = known(&many);
        let went = |all: &[Place]| all.iter().filter(|place| has_to_go(place)).count();
        let both = || vec![Arc::clone(&few), Arc::clone(&many)];
        make_room_among(both());
        assert_eq!((went(&few_known), went(&many_known)), (0, MADE_ROOM));
        let busy: Vec<_> = few_known.iter().skip(3).map(|place| place.calls().count()).collect();
        make_room_among(both());
        assert_eq!((went(&few_known), went(&many_known), has_to_go(&more)), (3, 4, true));
        drop(busy);
    }

    #[test]
    fn a_place_that_was_left_is_free() {
        let places = places(2, 2);
        let first = known(&places);
        for _ in 0..10 {
            drop(known(&places));
            drop(places.take());
        }
        assert!(!has_to_go(&first));
        let counts = || {
            let taken = places.taken();
            (taken.known.len(), taken.strangers.len())
        };
        assert_eq!(counts(), (1, 0));
        drop(first);
        assert_eq!(counts(), (0, 0));
    }
}
