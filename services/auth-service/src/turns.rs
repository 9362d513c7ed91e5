//! Where attempts on one account wait for each other, in this process. The store counts for all processes; this keeps those
//! who would only be told to wait from asking it again and again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::Error;
use auth_core::domain::{Attempt, ClientAddress, Purpose};
use auth_core::ports::Turns;
use grpc_kit::call;
use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::ids::random;

/// How soon the store is asked again whether others were decided; each time twice as late, up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// For so long somebody waits for others who try a password of the same account. Longer than for a hash, because each of
/// those in front needs one: fifty devices that log in at once after an outage all get in.
const PATIENCE: Duration = Duration::from_secs(5);

/// No more may wait for one account than can be served in that time by any machine.
const MAX_WAITING: usize = 1_000;

/// No more may wait for all of them: each is a call with its memory.
const MAX_PRESENT: usize = 2_000;

/// How soon a refused caller may come again at the earliest; the latest is twice that.
const RETRY: Duration = Duration::from_millis(500);

/// An account, what for, and, where that matters, from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    purpose: Purpose,
    username: String,
    address: Option<ClientAddress>,
}

/// The lines: one for each account, and in front of it one for each address. An address has half of an account's places at
/// most, so that none of them keeps the others from the front. Clones are the same lines.
#[derive(Clone, Debug)]
pub(crate) struct LocalTurns {
    of_account: Arc<Lines>,
    of_pair: Arc<Lines>,
}

impl LocalTurns {
    /// So many of each account may be in front.
    pub(crate) fn new(in_front: u32) -> Self {
        let of_width = |places: u32| Lines::of_width(places as usize);
        Self { of_account: of_width(in_front), of_pair: of_width((in_front / 2).max(1)) }
    }
}

#[derive(Debug)]
struct Lines {
    width: usize,
    book: Mutex<Book>,
}

/// Who is there.
#[derive(Debug, Default)]
struct Book {
    lines: HashMap<Key, Line>,
    /// In all lines.
    present: usize,
}

#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    /// Who waits or is in front; the last one takes the line away.
    present: usize,
}

impl Lines {
    fn of_width(width: usize) -> Arc<Self> {
        Arc::new(Self { width, book: Mutex::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refused callers are sent away each for another time, so that they do not come back all at once.
fn busy(reason: &'static str) -> Error {
    counter!("tandem_hash_refusals_total", "reason" => reason).increment(1);
    let [spread] = random::<1>();
    Error::HasherBusy { retry_after: RETRY.mul_f64(1.0 + f64::from(spread) / 256.0) }
}

/// Somebody in a line, who leaves it when dropped.
#[derive(Debug)]
struct Presence {
    lines: Arc<Lines>,
    key: Key,
}

impl Presence {
    fn enter(lines: &Arc<Lines>, key: Key) -> Result<(Self, Arc<Semaphore>), Error> {
        let mut book = lines.book();
        if book.present >= MAX_PRESENT {
            return Err(busy("account"));
        }
        let line = book
            .lines
            .entry(key.clone())
            .or_insert_with(|| Line { places: Arc::new(Semaphore::new(lines.width)), present: 0 });
        if line.present >= lines.width + MAX_WAITING {
            return Err(busy("account"));
        }
        line.present += 1;
        let places = Arc::clone(&line.places);
        book.present += 1;
        drop(book);
        Ok((Self { lines: Arc::clone(lines), key }, places))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut book = self.lines.book();
        book.present -= 1;
        if let Entry::Occupied(mut line) = book.lines.entry(self.key.clone()) {
            line.get_mut().present -= 1;
            if line.get().present == 0 {
                line.remove();
            }
        }
    }
}

/// A place in front of one line. The fields are dropped in this order: whoever waits gets the place before the line may go.
#[derive(Debug)]
struct Front {
    _place: OwnedSemaphorePermit,
    _presence: Presence,
}

impl Front {
    async fn reach(lines: &Arc<Lines>, key: Key, patience: Patience) -> Result<Self, Error> {
        let (presence, places) = Presence::enter(lines, key)?;
        let place = tokio::select! {
            biased;
            () = call::abandoned() => return Err(busy("abandoned")),
            place = timeout_at(patience.until, places.acquire_owned()) => place,
        };
        match place {
            Ok(Ok(place)) => Ok(Self { _place: place, _presence: presence }),
            Ok(Err(_)) | Err(_) => Err(busy(patience.ends_by)),
        }
    }
}

/// Until when somebody waits, and what a refusal is counted as that comes of it.
#[derive(Clone, Copy, Debug)]
struct Patience {
    until: Instant,
    ends_by: &'static str,
}

impl Patience {
    fn of_this_call() -> Self {
        let until = Instant::now() + PATIENCE;
        match call::deadline() {
            Some(deadline) if deadline < until => Self { until: deadline, ends_by: "deadline" },
            _ => Self { until, ends_by: "account" },
        }
    }
}

/// A place in front of both lines.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_account: Front,
    _of_pair: Front,
    patience: Patience,
    /// How often it has paused.
    pauses: AtomicU32,
}

impl Turns for LocalTurns {
    type Turn = Turn;

    async fn line_up(&self, attempt: &Attempt) -> Result<Turn, Error> {
        let patience = Patience::of_this_call();
        let key = Key {
            purpose: attempt.purpose,
            username: attempt.username.canonical().to_owned(),
            address: Some(attempt.address.clone()),
        };
        let of_pair = Front::reach(&self.of_pair, key.clone(), patience).await?;
        let of_account = Front::reach(&self.of_account, Key { address: None, ..key }, patience).await?;
        Ok(Turn { _of_account: of_account, _of_pair: of_pair, patience, pauses: AtomicU32::new(0) })
    }

    fn refuse(&self) -> Error {
        busy("address")
    }

    async fn pause(&self, turn: &Turn) -> Result<(), Error> {
        let pauses = turn.pauses.fetch_add(1, Ordering::Relaxed);
        let next = Instant::now() + PAUSE.saturating_mul(1 << pauses.min(16)).min(LONGEST_PAUSE);
        if next > turn.patience.until {
            return Err(busy(turn.patience.ends_by));
        }
        tokio::select! {
            () = call::abandoned() => Err(busy("abandoned")),
            () = sleep_until(next) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use auth_core::domain::ClientAddress;
    use futures::FutureExt as _;
    use grpc_kit::Call;
    use identity::Username;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::time::advance;

    use super::*;

    fn attempt_from(host: u8, username: &str) -> Attempt {
        let username = Username::parse(username).unwrap();
        let address = ClientAddress::of(Some([192, 0, 2, host].into()));
        Attempt { purpose: Purpose::LogIn, username, address }
    }

    fn attempt(username: &str) -> Attempt {
        attempt_from(1, username)
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_in_front_and_the_others_follow_in_their_order() {
        let turns = LocalTurns::new(4);
        let (alice, bobby) = (attempt("alice"), attempt("bobby"));
        let first = turns.line_up(&alice).await.unwrap();
        let _second = turns.line_up(&attempt("ALICE")).await.unwrap();
        let mut third = Box::pin(turns.line_up(&alice));
        let mut fourth = Box::pin(turns.line_up(&alice));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(fourth.as_mut().now_or_never().is_none());
        turns.line_up(&bobby).now_or_never().expect("another account's line").unwrap();
        drop(first);
        assert!(fourth.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_at_one_address_keeps_nobody_elsewhere_from_the_front() {
        let turns = LocalTurns::new(5);
        let (here, there) = (attempt_from(1, "alice"), attempt_from(2, "alice"));
        let mut crowd: Vec<_> = (0..50).map(|_| Box::pin(turns.line_up(&here))).collect();
        let in_front: Vec<_> = crowd.iter_mut().filter_map(|one| one.as_mut().now_or_never()).collect();
        assert_eq!(in_front.len(), 2);
        turns.line_up(&there).now_or_never().expect("there is a place for those elsewhere").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_an_end_to_how_many_wait_and_whoever_leaves_makes_room() {
        let turns = LocalTurns::new(1);
        let names: Vec<_> = (0..8).map(|number| attempt(&format!("somebody{number}"))).collect();
        let mut waiting: Vec<_> =
            (0..MAX_PRESENT).map(|number| Box::pin(turns.line_up(&names[number % names.len()]))).collect();
        let turns_had: Vec<_> = waiting.iter_mut().filter_map(|one| one.as_mut().now_or_never()).collect();
        assert_eq!(turns_had.len(), names.len());
        let refused = || turns.line_up(&attempt("alice")).now_or_never();
        assert!(matches!(refused(), Some(Err(Error::HasherBusy { .. }))));
        drop(waiting.pop());
        assert!(matches!(refused(), Some(Ok(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_counted_by_what_they_came_of() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let turns = LocalTurns::new(1);
        let alice = attempt("alice");
        let _held = turns.line_up(&alice).await.unwrap();
        let call = Call::new("/tandem.probe.v1.ProbeService/Get", "r-1");
        let hurried = Call { deadline: Some(Instant::now() + PATIENCE / 2), ..call };
        assert!(call::scope(hurried, turns.line_up(&alice)).await.is_err());
        assert!(turns.line_up(&alice).await.is_err());
        drop(turns.refuse());
        let (line, left) = (turns.clone(), alice.clone());
        let mut caller = Box::pin(call::unit_of_work(async move { line.line_up(&left).await.is_err() }));
        assert!(caller.as_mut().now_or_never().is_none(), "it waits in line");
        tokio::task::yield_now().await;
        drop(caller);
        call::units_of_work_done().await;
        let page = recorder.handle().render();
        for reason in ["deadline", "account", "address", "abandoned"] {
            let said = format!("tandem_hash_refusals_total{{reason=\"{reason}\"}} 1");
            assert!(page.contains(&said), "{reason}: {page}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_longer_than_is_said_and_no_line_is_left() {
        let turns = LocalTurns::new(1);
        let alice = attempt("alice");
        let turn = turns.line_up(&alice).await.unwrap();
        let mut waiting = Box::pin(turns.line_up(&alice));
        assert!(waiting.as_mut().now_or_never().is_none());
        advance(PATIENCE).await;
        assert!(matches!(waiting.await, Err(Error::HasherBusy { .. })));
        assert!(matches!(turns.pause(&turn).await, Err(Error::HasherBusy { .. })));
        drop(turn);
        for lines in [&turns.of_account, &turns.of_pair] {
            let book = lines.book();
            assert!(book.lines.is_empty());
            assert_eq!(book.present, 0);
        }
    }
}
