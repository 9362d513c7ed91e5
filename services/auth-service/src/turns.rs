//! Where attempts on one account wait for each other, in this process. The store counts for all processes; this keeps those
//! who would only be told to wait from asking it again and again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auth_core::Error;
use auth_core::domain::{Attempt, Purpose};
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

/// How soon a refused caller may come again at the earliest; the latest is twice that.
const RETRY: Duration = Duration::from_millis(500);

/// An account, and what for.
type Key = (Purpose, String);

/// The lines. Clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct LocalTurns(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    in_front: usize,
    by_account: Mutex<HashMap<Key, Line>>,
}

#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    /// Who waits or is in front; the last one takes the line away.
    present: usize,
}

impl LocalTurns {
    /// So many of each account may be in front.
    pub(crate) fn new(in_front: usize) -> Self {
        Self(Arc::new(Lines { in_front, by_account: Mutex::default() }))
    }
}

impl Lines {
    fn by_account(&self) -> MutexGuard<'_, HashMap<Key, Line>> {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refused callers are sent away each for another time, so that they do not come back all at once.
fn busy() -> Error {
    counter!("tandem_hash_refusals_total", "reason" => "account").increment(1);
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
        let mut by_account = lines.by_account();
        let line = by_account
            .entry(key.clone())
            .or_insert_with(|| Line { places: Arc::new(Semaphore::new(lines.in_front)), present: 0 });
        if line.present >= lines.in_front + MAX_WAITING {
            return Err(busy());
        }
        line.present += 1;
        let places = Arc::clone(&line.places);
        drop(by_account);
        Ok((Self { lines: Arc::clone(lines), key }, places))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Entry::Occupied(mut line) = self.lines.by_account().entry(self.key.clone()) {
            line.get_mut().present -= 1;
            if line.get().present == 0 {
                line.remove();
            }
        }
    }
}

/// A place in front. The fields are dropped in this order: whoever waits gets the place before the line may go.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    _presence: Presence,
    until: Instant,
    /// How often it has paused.
    pauses: AtomicU32,
}

impl Turns for LocalTurns {
    type Turn = Turn;

    async fn line_up(&self, attempt: &Attempt) -> Result<Turn, Error> {
        let until = Instant::now() + PATIENCE;
        let until = call::deadline().map_or(until, |deadline| until.min(deadline));
        let key = (attempt.purpose, attempt.username.canonical().to_owned());
        let (presence, places) = Presence::enter(&self.0, key)?;
        let place = tokio::select! {
            biased;
            () = call::abandoned() => return Err(busy()),
            place = timeout_at(until, places.acquire_owned()) => place,
        };
        match place {
            Ok(Ok(place)) => {
                Ok(Turn { _place: place, _presence: presence, until, pauses: AtomicU32::new(0) })
            }
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn refuse(&self) -> Error {
        busy()
    }

    async fn pause(&self, turn: &Turn) -> Result<(), Error> {
        let pauses = turn.pauses.fetch_add(1, Ordering::Relaxed);
        let next = Instant::now() + PAUSE.saturating_mul(1 << pauses.min(16)).min(LONGEST_PAUSE);
        if next > turn.until {
            return Err(busy());
        }
        tokio::select! {
            () = call::abandoned() => Err(busy()),
            () = sleep_until(next) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use auth_core::domain::ClientAddress;
    use futures::FutureExt as _;
    use identity::Username;
    use tokio::time::advance;

    use super::*;

    fn attempt(username: &str) -> Attempt {
        let username = Username::parse(username).unwrap();
        Attempt { purpose: Purpose::LogIn, username, address: ClientAddress::of(None) }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_in_front_and_the_others_follow_in_their_order() {
        let turns = LocalTurns::new(2);
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
        assert!(turns.0.by_account().is_empty());
    }
}
