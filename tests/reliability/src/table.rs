//! What came of all rounds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::checker::{Check, Invariant};
use crate::mutants::Mutant;
use crate::round::Report;
use crate::site::Store;

/// The sums.
#[derive(Debug, Default)]
pub struct Table {
    rounds: BTreeMap<Store, usize>,
    calls: usize,
    faults: BTreeMap<String, Times>,
    overlaps: Times,
    agreed: Times,
    invariants: BTreeMap<Invariant, Judged>,
    missed: Vec<String>,
    mutants: Vec<(&'static Mutant, BTreeMap<Check, Found>)>,
}

/// How a deliberate defect was found by a check.
#[derive(Clone, Debug)]
pub struct Found {
    /// In which round.
    pub round: u64,
    /// What was found: the first line of the story.
    pub what: String,
}

/// Of an invariant: the rounds in which something was seen by which it could have been broken.
#[derive(Debug, Default)]
struct Judged {
    rounds: usize,
    /// How often something was.
    times: usize,
    /// What failed in these rounds.
    faults: Times,
    violations: usize,
}

/// How often, and how long it took.
#[derive(Debug, Default)]
struct Times {
    count: usize,
    took: Vec<Duration>,
}

impl Times {
    /// Of a fault that came with another each time there is none.
    fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.took.len()).unwrap_or(u32::MAX);
        (count > 0).then(|| self.took.iter().sum::<Duration>() / count)
    }

    fn longest(&self) -> Option<Duration> {
        self.took.iter().max().copied()
    }
}

impl Table {
    /// One round more.
    pub fn add(&mut self, store: Store, report: &Report) {
        *self.rounds.entry(store).or_default() += 1;
        self.calls += report.history.len();
        for injected in &report.injected {
            let times = self.faults.entry(injected.fault.to_string()).or_default();
            times.count += usize::from(injected.is_met);
            let took = injected.recovered.iter().flatten();
            match injected.overlaps {
                None => times.took.extend(took),
                // What it took after two is of neither.
                Some(_) if injected.recovered.is_empty() => {}
                Some(_) => {
                    self.overlaps.count += 1;
                    self.overlaps.took.extend(took);
                }
            }
        }
        self.agreed.count += 1;
        self.agreed.took.extend(report.agreed);
        self.missed.extend(report.missed.iter().map(|what| format!("{store:?}: {what}")));
        for invariant in Invariant::ALL {
            let of_it = |check: &Check| check.invariant() == invariant;
            let times: usize =
                report.judged.iter().filter(|(check, _)| of_it(check)).map(|(_, times)| times).sum();
            if times == 0 {
                continue;
            }
            let judged = self.invariants.entry(invariant).or_default();
            judged.rounds += 1;
            judged.times += times;
            judged.violations += report.violations.iter().filter(|(check, _)| of_it(check)).count();
            for injected in &report.injected {
                judged.faults.count += usize::from(injected.is_met);
                judged.faults.took.extend(injected.recovered.iter().flatten());
            }
        }
    }

    /// A deliberate defect, and what the checks found of it that are for it.
    pub fn add_mutant(&mut self, mutant: &'static Mutant, found: BTreeMap<Check, Found>) {
        self.mutants.push((mutant, found));
    }

    /// What was broken that was not meant to be, what was not found that was, and what the rounds did not do that they were to.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let broken = self.invariants.iter().filter(|(_, judged)| judged.violations > 0);
        let broken =
            broken.map(|(invariant, judged)| format!("{} violations of {invariant}", judged.violations));
        let unfound = self.mutants.iter().flat_map(|(mutant, found)| {
            let unfound = mutant.found_by.iter().filter(|check| !found.contains_key(check));
            unfound.map(|check| format!("the deliberate defect {} was not found by {check}", mutant.name))
        });
        broken.chain(self.missed.iter().cloned()).chain(unfound).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rounds.is_empty() {
            self.rounds(f)?;
        }
        if self.mutants.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n| deliberate defect | of | found by |\n|---|---|---|")?;
        for (mutant, found) in &self.mutants {
            let found = mutant.found_by.iter().map(|check| match found.get(check) {
                Some(Found { round: 1, what }) => what.clone(),
                Some(Found { round, what }) => format!("{what}, in round {round}"),
                None => format!("NOT FOUND by {check}"),
            });
            let found = found.collect::<Vec<_>>().join("<br>");
            writeln!(f, "| {} | `{}` | {found} |", mutant.is, mutant.name)?;
        }
        Ok(())
    }
}

impl Table {
    fn rounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| invariant | rounds | looks | violations | faults | mean time to recover |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for invariant in Invariant::ALL {
            let none = Judged::default();
            let Judged { rounds, times, faults, violations } =
                self.invariants.get(&invariant).unwrap_or(&none);
            let (says, mean) = (invariant.says(), faults.mean().map(ms).unwrap_or_default());
            write!(f, "| {invariant}: {says} | {rounds} | {times} | {violations} ")?;
            writeln!(f, "| {} | {mean} |", faults.count)?;
        }
        let of = |store, name: &str| match self.rounds.get(&store) {
            Some(rounds) => format!("{rounds} on {name}"),
            None => format!("none on {name}"),
        };
        let (sqlite, postgres) = (of(Store::Sqlite, "SQLite"), of(Store::Postgres, "PostgreSQL"));
        writeln!(f, "\nRounds: {sqlite}, {postgres}; {} calls.\n", self.calls)?;
        writeln!(f, "| fault | injected | mean time to recover | longest |\n|---|---|---|---|")?;
        let faults = self.faults.iter().map(|(fault, times)| (fault.as_str(), times));
        let others = [
            ("two of these at once, whose times are in no other line", &self.overlaps),
            ("both databases agree after the last call", &self.agreed),
        ];
        for (what, times) in faults.chain(others) {
            let [mean, longest] =
                [times.mean(), times.longest()].map(|took| took.map(ms).unwrap_or_default());
            writeln!(f, "| {what} | {} | {mean} | {longest} |", times.count)?;
        }
        Ok(())
    }
}

fn ms(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
