//! When a call can have no effect any more: not when it was answered, but when nothing of it is under way, neither a message
//! nor a unit of work nor a commit whose outcome nobody has heard. Only a simulation can know.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
pub(crate) struct End(Arc<Fate>);

struct Fate {
    tick: AtomicU64,
    was_doubled: AtomicBool,
}

impl End {
    /// None while it is under way.
    pub(crate) fn tick(&self) -> Option<u64> {
        Some(self.0.tick.load(Ordering::Relaxed)).filter(|tick| *tick != u64::MAX)
    }

    /// Whether any change that belongs to it was asked for twice: what the one was refused for, the other may not have
    /// been.
    pub(crate) fn was_doubled(&self) -> bool {
        self.0.was_doubled.load(Ordering::Relaxed)
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
pub(crate) struct Effect(Arc<Guard>);

struct Guard {
    ticks: Ticks,
    end: End,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end.0.tick.store(self.ticks.now(), Ordering::Relaxed);
    }
}

impl Effect {
    pub(crate) fn begin(ticks: &Ticks) -> (Self, End) {
        let fate = Fate { tick: AtomicU64::new(u64::MAX), was_doubled: AtomicBool::new(false) };
        let end = End(Arc::new(fate));
        (Self(Arc::new(Guard { ticks: ticks.clone(), end: end.clone() })), end)
    }

    /// A change that belongs to it is asked for twice.
    pub(crate) fn mark_doubled(&self) {
        self.0.end.0.was_doubled.store(true, Ordering::Relaxed);
    }
}
