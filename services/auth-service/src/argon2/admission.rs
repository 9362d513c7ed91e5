//! Who hashes next.
//!
//! There are as many cores to hash on as there are permits, and one turn more than that: whoever has it does meanwhile what
//! comes before its hash, reading the account, so that no core waits for the database. Who finds no turn free waits in one
//! fair queue, unless that is likely to take longer than the caller, or the configuration, is willing to wait: then the
//! answer is no at once, so that under load the queue stays short, those in it get what they wait for, and the others can go
//! elsewhere or come again. How long a turn takes is measured all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use grpc_kit::call;
use metrics::{counter, gauge, histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::ids::random;

/// No more may wait than this, however short the turns are: each of them is a call with its memory.
const MAX_QUEUED: usize = 10_000;

/// The share of the last turn in what the next one is expected to be like: 1 / 8, as TCP does it with round trips (RFC 6298).
const WEIGHT_OF_THE_LAST: u64 = 8;

/// How soon a refused caller may come again at the earliest.
const SHORTEST_RETRY: Duration = Duration::from_millis(100);

/// For how many times the queue a refused caller is sent away for each that is refused a turn, lately: where one is refused for
/// each that gets a turn, for twice the queue, so that no more come again than are served.
const RETRY_OF_A_CROWD: u64 = 2;

/// For how many times the queue a refused caller is sent away at most, however many are refused: those who do not wait must
/// not keep those away for long who do.
const LONGEST_RETRY: u32 = 4;

/// So many turns more than cores: whoever has one is at a core as soon as it is free.
const AHEAD_OF_THE_CORES: usize = 1;

/// The unit of what is counted for each turn, so that there are fractions.
const ONE: u32 = 1 << 16;

/// The queue. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Admission(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    /// How many there are.
    core_count: usize,
    patience: Duration,
    waiting: AtomicUsize,
    /// What a turn took lately, beside waiting for a core, in nanoseconds.
    usual_turn: AtomicU64,
    /// How many were refused since the last turn began.
    refused: AtomicU64,
    /// How many are refused, lately, for each that gets a turn; in parts of [`ONE`].
    refused_a_turn: AtomicU64,
}

/// Nobody hashes for this caller now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Why not, in a word for the metrics.
    pub(super) reason: &'static str,
    /// When it is worth another try.
    pub(super) retry_after: Duration,
}

impl Admission {
    /// `first_turn` is what a turn is taken to last before the first was measured.
    pub(super) fn new(permits: usize, queue_wait: Duration, first_turn: Duration) -> Self {
        Self(Arc::new(Queue {
            turns: Arc::new(Semaphore::new(permits + AHEAD_OF_THE_CORES)),
            cores: Arc::new(Semaphore::new(permits)),
            core_count: permits.max(1),
            patience: queue_wait,
            waiting: AtomicUsize::new(0),
            usual_turn: AtomicU64::new(nanoseconds(first_turn)),
            refused: AtomicU64::new(0),
            refused_a_turn: AtomicU64::new(0),
        }))
    }

    /// A place for somebody who will ask for a turn, if one can be expected.
    pub(super) fn expect(&self) -> Result<Place, Refused> {
        let place = Place::at_the_end_of(&self.0);
        let ends = ends_before_its_core(place.ahead, self.0.turns.available_permits());
        self.0.check(ends, Instant::now()).inspect_err(counted)?;
        Ok(place)
    }

    /// The refusal of a caller that is gone before it came to wait.
    pub(super) fn abandoned(&self) -> Refused {
        let refused = self.0.refusal("abandoned", 1);
        counted(&refused);
        refused
    }

    /// Waits for a turn.
    pub(super) async fn admit(&self) -> Result<Turn, Refused> {
        let admitted = self.wait().await;
        admitted.inspect_err(counted)
    }

    async fn wait(&self) -> Result<Turn, Refused> {
        let queue = &self.0;
        let arrived = Instant::now();
        // Looked at before: of two who come at once for the last two, the first has a core.
        let free = queue.turns.available_permits().max(1);
        // None is free while anybody waits: a turn that is given back goes to the first in the queue.
        if let Ok(permit) = Arc::clone(&queue.turns).try_acquire_owned() {
            queue.check(ends_before_its_core(0, free), arrived)?;
            return Ok(self.turn(permit, arrived));
        }
        let place = Place::at_the_end_of(queue);
        let ends = ends_before_its_core(place.ahead, 0);
        queue.check(ends, arrived)?;
        // Whoever was told to wait is not sent away when turns have become a little slower: it would have waited for nothing.
        // Only when they have come to a stop, behind a store that does not answer, say.
        let permit = tokio::select! {
            biased;
            () = call::abandoned() => return Err(queue.refusal("abandoned", ends)),
            permit = timeout(queue.patience * 2, Arc::clone(&queue.turns).acquire_owned()) => permit,
        };
        // The semaphore is never closed.
        let permit = permit.ok().and_then(Result::ok).ok_or_else(|| queue.refusal("waited", ends))?;
        Ok(self.turn(permit, arrived))
    }

    fn turn(&self, permit: OwnedSemaphorePermit, arrived: Instant) -> Turn {
        let refused = self.0.refused.swap(0, Ordering::Relaxed);
        weigh_in(&self.0.refused_a_turn, refused.saturating_mul(ONE.into()));
        Turn {
            queue: Arc::clone(&self.0),
            waited: arrived.elapsed(),
            began: Instant::now(),
            at_a_core: AtomicBool::new(false),
            waited_for_cores: AtomicU64::new(0),
            _permit: permit,
        }
    }
}

impl Queue {
    /// Whether waiting makes sense for someone before whose hash so many turns have to end.
    fn check(&self, ends: usize, arrived: Instant) -> Result<(), Refused> {
        if ends == 0 {
            return Ok(());
        }
        let expected = self.expected_wait(ends);
        if ends > MAX_QUEUED || expected > self.patience {
            self.refused.fetch_add(1, Ordering::Relaxed);
            Err(self.refusal("queue", ends))
        } else if call::deadline().is_some_and(|deadline| arrived + expected > deadline) {
            Err(self.refusal("deadline", ends))
        } else {
            Ok(())
        }
    }

    /// Until so many turns have ended.
    fn expected_wait(&self, ends: usize) -> Duration {
        let turns = u64::try_from(ends).unwrap_or(u64::MAX);
        let cores = u64::try_from(self.core_count).unwrap_or(1);
        Duration::from_nanos(self.usual_turn.load(Ordering::Relaxed).saturating_mul(turns) / cores)
    }

    /// Refused callers are sent away for about as long as the queue is, and for longer where more of them come than there are
    /// turns: most of these would be refused again, which takes from the hashes. Each for another time, so that they do not
    /// come back all at once.
    fn refusal(&self, reason: &'static str, ends: usize) -> Refused {
        let [spread] = random::<1>();
        let queue = self.expected_wait(ends).clamp(SHORTEST_RETRY, self.patience.max(SHORTEST_RETRY));
        let crowd = self.refused_a_turn.load(Ordering::Relaxed).saturating_mul(RETRY_OF_A_CROWD);
        let crowd = u32::try_from(crowd).unwrap_or(u32::MAX);
        let wait = queue.mul_f64(f64::from(crowd.clamp(ONE, LONGEST_RETRY * ONE)) / f64::from(ONE));
        let retry_after = wait.mul_f64(0.5 + f64::from(spread) / 256.0);
        let retry_after = retry_after.max(SHORTEST_RETRY);
        tracing::debug!(reason, ahead = ends, ?queue, ?retry_after, "a hash was refused a turn");
        Refused { reason, retry_after }
    }
}

/// How many turns have to end before there is a core for whoever comes after so many, while so many turns are free. One of
/// these is for waiting at a core.
const fn ends_before_its_core(ahead: usize, free: usize) -> usize {
    (ahead + 1 + AHEAD_OF_THE_CORES).saturating_sub(free)
}

/// Lets an average follow what was seen last.
fn weigh_in(average: &AtomicU64, last: u64) {
    let _ = average.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |average| {
        Some(average - average / WEIGHT_OF_THE_LAST + last / WEIGHT_OF_THE_LAST)
    });
}

fn counted(refused: &Refused) {
    counter!("tandem_hash_refusals_total", "reason" => refused.reason).increment(1);
}

/// A century at most, so that sums do not overflow.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

/// A place in the queue, or on the way to it, left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    ahead: usize,
}

impl Place {
    fn at_the_end_of(queue: &Arc<Queue>) -> Self {
        gauge!("tandem_hash_queue_length").increment(1);
        let ahead = queue.waiting.fetch_add(1, Ordering::Relaxed);
        Self { queue: Arc::clone(queue), ahead }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Ordering::Relaxed);
        gauge!("tandem_hash_queue_length").decrement(1);
    }
}

/// The right to be at a core next, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    queue: Arc<Queue>,
    waited: Duration,
    began: Instant,
    at_a_core: AtomicBool,
    /// In nanoseconds.
    waited_for_cores: AtomicU64,
    _permit: OwnedSemaphorePermit,
}

/// A core to hash on, given back when dropped.
#[derive(Debug)]
pub(super) struct Core(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Turn {
    /// Waits for a core, for as long as anybody waits for the hash.
    pub(super) async fn core(&self) -> Result<Core, Refused> {
        let arrived = Instant::now();
        let core = tokio::select! {
            biased;
            () = call::abandoned() => None,
            core = Arc::clone(&self.queue.cores).acquire_owned() => core.ok(),
        };
        // The semaphore is never closed.
        let core = core.ok_or_else(|| self.queue.refusal("abandoned", 1)).inspect_err(counted)?;
        let waited = arrived.elapsed();
        self.waited_for_cores.fetch_add(nanoseconds(waited), Ordering::Relaxed);
        if !self.at_a_core.swap(true, Ordering::Relaxed) {
            histogram!("tandem_hash_queue_wait_seconds").record(self.waited + waited);
        }
        Ok(Core(core))
    }
}

/// A turn in which nothing is hashed (a name was taken, the store is away) says nothing of what the next ones take.
impl Drop for Turn {
    fn drop(&mut self) {
        if self.at_a_core.load(Ordering::Relaxed) {
            let took = nanoseconds(self.began.elapsed());
            weigh_in(
                &self.queue.usual_turn,
                took.saturating_sub(self.waited_for_cores.load(Ordering::Relaxed)),
            );
        }
    }
}

#[cfg(test)]
mod tests;
