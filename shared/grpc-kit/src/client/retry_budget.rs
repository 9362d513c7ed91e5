//! How much may be repeated.

use std::sync::atomic::{AtomicU32, Ordering};

/// In thousandths of a call.
const FULL: u32 = 100_000;
const OF_A_FAILURE: u32 = 1_000;
const OF_A_SUCCESS: u32 = 100;

/// Keeps repeated calls from adding to the load of a server that fails under it: the throttling of retries in gRPC's
/// proposal A6, with the numbers of its examples. Each failure takes one from a hundred, each success gives a tenth back,
/// and while half or less is left nothing is repeated. So some fifty failures may be repeated at once, and after that one
/// for every ten successes.
#[derive(Debug)]
pub struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(FULL))
    }
}

impl RetryBudget {
    /// A call has succeeded.
    pub fn succeeded(&self) {
        // Most of the time it is full, and nobody else's cache has to hear of it.
        if self.0.load(Ordering::Relaxed) < FULL {
            self.change(|left| (left + OF_A_SUCCESS).min(FULL));
        }
    }

    /// A call has failed. Whether it may be repeated, as far as this is concerned.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.change(|left| left.saturating_sub(OF_A_FAILURE)) > FULL / 2
    }

    fn change(&self, change: impl Fn(u32) -> u32) -> u32 {
        let changed = |left| Some(change(left));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, changed);
        change(before.unwrap_or_else(|left| left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_not_answered_with_twice_the_load() {
        let budget = RetryBudget::default();
        let repeated = (0..1_000).filter(|_| budget.failed()).count();
        assert_eq!(repeated, 49);
    }

    #[test]
    fn while_most_calls_succeed_every_failure_is_repeated() {
        let budget = RetryBudget::default();
        for _ in 0..1_000 {
            assert!(budget.failed());
            (0..10).for_each(|_| budget.succeeded());
        }
    }

    #[test]
    fn after_an_outage_successes_allow_for_repeats_again() {
        let budget = RetryBudget::default();
        while budget.failed() {}
        (0..9).for_each(|_| budget.succeeded());
        assert!(!budget.failed());
        (0..1_000).for_each(|_| budget.succeeded());
        assert!(budget.failed());
    }
}
