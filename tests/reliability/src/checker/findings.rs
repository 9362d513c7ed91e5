//! What was looked at, how often, and what was found to be wrong.

use std::collections::BTreeMap;

use super::Check;

/// So many violations are told of each check: a defect that shows always would drown the others.
const TOLD: usize = 5;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// By which check it was found.
    pub check: Check,
    /// How.
    pub what: String,
    /// Which records tell of it, in order.
    pub records: Vec<usize>,
}

/// What came of all checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How often each check looked at something that could have been wrong.
    pub judged: BTreeMap<Check, usize>,
    /// What was wrong.
    pub violations: Vec<Violation>,
}

impl Findings {
    /// Something was looked at: says what is wrong with it, if something is, and which records show that.
    pub fn judge(&mut self, check: Check, wrong: Option<String>, records: impl IntoIterator<Item = usize>) {
        self.judged(check, 1);
        if let Some(what) = wrong {
            self.found(check, what, records);
        }
    }

    /// So many things were looked at.
    pub fn judged(&mut self, check: Check, times: usize) {
        if times > 0 {
            *self.judged.entry(check).or_default() += times;
        }
    }

    /// One of what was looked at is wrong.
    pub fn found(&mut self, check: Check, what: String, records: impl IntoIterator<Item = usize>) {
        if self.of(check).count() < TOLD {
            let mut records: Vec<usize> = records.into_iter().collect();
            records.sort_unstable();
            records.dedup();
            self.violations.push(Violation { check, what, records });
        }
    }

    /// What a check found.
    pub fn of(&self, check: Check) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(move |violation| violation.check == check)
    }

    /// These as well.
    pub fn extend(&mut self, others: Self) {
        for (check, times) in others.judged {
            self.judged(check, times);
        }
        for Violation { check, what, records } in others.violations {
            self.found(check, what, records);
        }
    }
}
