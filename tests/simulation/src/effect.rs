//! When a call can have no effect any more: not when it was answered, but when nothing of it is under way, neither a message
//! nor a unit of work nor a commit whose outcome nobody has heard. Only a simulation can know.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The moments of a run, in the order in which they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ticks(Arc<AtomicU64>);

impl Ticks {
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// When something ended.
#[derive(Clone)]
pub(crate) struct End(Arc<AtomicU64>);

impl End {
    /// None while it is under way.
    pub(crate) fn tick(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|tick| *tick != u64::MAX)
    }

    /// Whether it was over before this moment.
    pub(crate) fn is_before(&self, tick: u64) -> bool {
        self.tick().is_some_and(|end| end < tick)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tick().fmt(f)
    }
}

/// Held by everything that belongs to a call.
#[derive(Clone)]
pub(crate) struct Effect(#[expect(dead_code, reason = "held until it is dropped")] Arc<Guard>);

struct Guard {
    ticks: Ticks,
    end: End,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end.0.store(self.ticks.now(), Ordering::Relaxed);
    }
}

impl Effect {
    pub(crate) fn begin(ticks: &Ticks) -> (Self, End) {
        let end = End(Arc::new(AtomicU64::new(u64::MAX)));
        (Self(Arc::new(Guard { ticks: ticks.clone(), end: end.clone() })), end)
    }
}
