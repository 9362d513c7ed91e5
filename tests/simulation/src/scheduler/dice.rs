//! Chance, and what goes wrong by it.

use super::Sim;
use crate::weather::{Fault, Weather};

impl Sim {
    pub(crate) fn below(&self, limit: u64) -> u64 {
        self.state().dice.below(limit)
    }

    /// One of several.
    pub(crate) fn one_of<T: Clone>(&self, several: &[T]) -> Option<T> {
        if several.is_empty() {
            return None;
        }
        let index = self.below(several.len() as u64);
        several.get(usize::try_from(index).ok()?).cloned()
    }

    /// Whether this goes wrong now; it is counted when it does.
    pub(crate) fn suffers(&self, fault: Fault) -> bool {
        let mut state = self.state();
        let chance = state.weather.chance(fault);
        let suffers = state.dice.in_a_million(chance);
        if suffers {
            state.counts.fault(fault);
        }
        suffers
    }

    pub(crate) fn in_a_million(&self, times: u32) -> bool {
        self.state().dice.in_a_million(times)
    }

    pub(crate) fn weather(&self) -> Weather {
        self.state().weather.clone()
    }

    pub(crate) fn clear_up(&self) {
        self.state().weather.clear_up();
    }
}
