//! One run: a seed, and what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::cluster::Cluster;
use crate::counts::Counts;
use crate::model::{Check, Model, Violation};
use crate::scheduler::{Sim, lock};
use crate::workload::whole_run;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What happened how often.
    pub counts: Counts,
    /// How often each was looked at.
    pub looks: BTreeMap<Check, u64>,
    /// What did not hold.
    pub violations: Vec<Violation>,
    /// Every step, if the story was asked for.
    pub story: Vec<String>,
}

impl Report {
    /// The first violation that this check found.
    #[must_use]
    pub fn found_by(&self, check: Check) -> Option<&Violation> {
        self.violations.iter().find(|violation| violation.check == check)
    }
}

/// Runs a seed; with its story if that is wanted, which takes time and changes nothing.
#[must_use]
pub fn run(seed: u64, tells: bool) -> Report {
    let sim = Sim::new(seed, tells);
    let model = Arc::new(Mutex::new(Model::default()));
    let cluster = Cluster::start(&sim);
    let outcome = sim.run(whole_run(Arc::clone(&cluster), Arc::clone(&model)));
    let (counts, story) = sim.ending();
    sim.end();
    let mut model = lock(&model);
    model.check(Check::Progress, outcome.is_ok(), || "something waits for ever".to_owned());
    Report {
        seed,
        counts,
        looks: std::mem::take(&mut model.looks),
        violations: std::mem::take(&mut model.violations),
        story,
    }
}
