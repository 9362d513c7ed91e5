//! Many runs, and what they came to.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::counts::Counts;
use crate::model::{Check, Violation};
use crate::run::{Report, run};
use crate::scheduler::lock;

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many there were.
    pub seeds: u64,
    /// What happened how often.
    pub counts: Counts,
    /// Of each check, in how many runs it was made, how often, and how often it did not hold.
    checks: BTreeMap<Check, (u64, u64, u64)>,
    /// By seed, in their order.
    pub violations: BTreeMap<u64, Vec<Violation>>,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.counts.add(&report.counts);
        for (check, looks) in &report.looks {
            let sum = self.checks.entry(*check).or_default();
            sum.0 += 1;
            sum.1 += looks;
            sum.2 += report.violations.iter().filter(|found| found.check == *check).count() as u64;
        }
        if !report.violations.is_empty() {
            self.violations.insert(report.seed, report.violations.clone());
        }
    }
}

/// Runs these seeds, on as many threads as there are cores: each run has one to itself.
#[must_use]
pub fn run_all(seeds: Range<u64>) -> Summary {
    let (next, summary) = (AtomicU64::new(seeds.start), Mutex::new(Summary::default()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = run(seed, false);
                    lock(&summary).add(&report);
                }
            });
        }
    });
    summary.into_inner().unwrap_or_default()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { moments, calls, messages, lost, doubled, reordered, delayed, broken, .. } = &self.counts;
        let Counts { refused, lost_commits, silent, busy, jumps, .. } = &self.counts;
        let (died_at, steps) = self.counts.coverage();
        writeln!(f, "{} seeds, {moments} moments, {} steps, {calls} calls", self.seeds, self.counts.steps())?;
        let crashes = self.counts.crashes();
        writeln!(f, "{crashes} processes died, before {died_at} of the {steps} steps of all use cases")?;
        writeln!(f, "{messages} messages: {lost} lost, {reordered} overtook others, {delayed} took long")?;
        writeln!(f, "{doubled} calls doubled, {broken} streams broken, {silent} notifications lost")?;
        writeln!(
            f,
            "{refused} statements refused, {lost_commits} commits unheard of, {busy} hashes refused"
        )?;
        writeln!(f, "{jumps} clocks moved")?;
        writeln!(f, "{:<10} {:>8} {:>10} {:>10}", "invariant", "seeds", "looks", "violations")?;
        for check in Check::all() {
            let (seeds, looks, violations) = self.checks.get(&check).copied().unwrap_or_default();
            writeln!(f, "{:<10} {seeds:>8} {looks:>10} {violations:>10}", check.to_string())?;
        }
        for (seed, violations) in &self.violations {
            for Violation { check, what } in violations {
                writeln!(f, "seed {seed} breaks {check}: {what}")?;
            }
            writeln!(f, "    its story: cargo run --package simulation -- {seed}")?;
        }
        Ok(())
    }
}
