//! Deliberate defects of the services, each of which the checks must find: that a suite finds nothing means something only
//! if it would find something.

mod all;
mod mixes;

use std::time::Duration;

pub use self::all::MUTANTS;
pub use self::mixes::GUESSES;
use crate::checker::{Check, Findings, check, check_guesses, check_unlimited};
use crate::history::Record;
use crate::nemesis::Fault;
use crate::site::Store;
use crate::workload::Mix;

/// A defect, and a short round in which it shows.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name in the services.
    pub name: &'static str,
    /// What it is.
    pub is: &'static str,
    /// The checks that are for it: each of them must find it.
    pub found_by: &'static [Check],
    /// Where it shows.
    pub store: Store,
    /// What clients do.
    pub mix: Mix,
    /// For how long at most: a round is over when the defect shows in what clients were answered.
    pub lasts: Duration,
    /// What fails.
    pub faults: &'static [Fault],
    /// Whether guesses at passwords are limited.
    pub limits_guesses: bool,
}

impl Mutant {
    /// What a history shows, if each check that is for this finds something in it.
    #[must_use]
    pub fn shows_in(&self, history: &[Record]) -> Option<Findings> {
        let mut findings = check(history, None);
        if self.limits_guesses {
            findings.extend(check_guesses(history));
        } else {
            findings.extend(check_unlimited(history, None));
        }
        self.found_by.iter().all(|check| findings.of(*check).next().is_some()).then_some(findings)
    }
}

/// How long a round lasts that looks for a defect.
pub const LASTS: Duration = Duration::from_millis(2500);
/// How many rounds are run until each check has found it, or has not.
pub const ROUNDS: u64 = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// So a new check without a defect that it is seen to find does not pass.
    #[test]
    fn every_check_has_a_defect_that_it_must_find() {
        for check in Check::ALL {
            assert!(MUTANTS.iter().any(|mutant| mutant.found_by.contains(check)), "{check}");
        }
    }

    #[test]
    fn every_defect_has_a_name_of_its_own_and_a_check_that_is_for_it() {
        let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        assert_eq!(names.len(), MUTANTS.len());
        assert!(MUTANTS.iter().all(|mutant| !mutant.found_by.is_empty()));
    }
}
