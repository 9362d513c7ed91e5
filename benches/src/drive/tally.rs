//! How calls ended and how long they took.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use super::ending::Ending;

/// What became of the calls of a window.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seconds: f64,
    endings: BTreeMap<Cow<'static, str>, Group>,
}

/// The calls that ended in one way.
#[derive(Debug, Default)]
struct Group {
    latencies: Vec<Duration>,
    with_retry_info: usize,
}

impl Tally {
    /// An empty one of a window of this length.
    pub(crate) fn new(seconds: f64) -> Self {
        Self { seconds, endings: BTreeMap::new() }
    }

    /// Adds a call.
    pub(crate) fn add(&mut self, ending: Ending, latency: Duration) {
        let group = self.endings.entry(ending.label).or_default();
        group.latencies.push(latency);
        group.with_retry_info += usize::from(ending.retry_after.is_some());
    }

    /// Adds what somebody else has counted in the same window.
    pub(crate) fn merge(&mut self, other: Self) {
        for (label, group) in other.endings {
            let into = self.endings.entry(label).or_default();
            into.latencies.extend(group.latencies);
            into.with_retry_info += group.with_retry_info;
        }
    }

    /// How many ended so.
    pub(crate) fn count(&self, label: &str) -> usize {
        self.endings.get(label).map_or(0, |group| group.latencies.len())
    }

    /// How many there were.
    pub(crate) fn total(&self) -> usize {
        self.endings.values().map(|group| group.latencies.len()).sum()
    }

    /// How many succeeded in each second.
    pub(crate) fn goodput(&self) -> f64 {
        as_f64(self.count(Ending::OK)) / self.seconds
    }

    /// How many succeeded.
    pub(crate) fn successes(&self) -> usize {
        self.count(Ending::OK)
    }

    /// How many were refused because the hasher had too much to do.
    pub(crate) fn refusals(&self) -> usize {
        self.count(Ending::BUSY)
    }

    /// How many of those were told when to come again.
    pub(crate) fn refusals_with_retry_info(&self) -> usize {
        self.endings.get(Ending::BUSY).map_or(0, |group| group.with_retry_info)
    }

    /// How long the refused ones took.
    pub(crate) fn refusal_latencies(&self) -> Latencies {
        Latencies::of(self.endings.get(Ending::BUSY).into_iter())
    }

    /// How long all of them took.
    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::of(self.endings.values())
    }

    /// Those that neither succeeded nor were refused by the hasher, by their labels.
    pub(crate) fn unexpected(&self) -> Vec<(&str, usize)> {
        let others = self.endings.iter().filter(|(label, _)| *label != Ending::OK && *label != Ending::BUSY);
        others.map(|(label, group)| (label.as_ref(), group.latencies.len())).collect()
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| ended | calls | a second | with RetryInfo | p50 ms | p90 ms | p99 ms | most ms |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        let all = self.endings.values().map(|group| group.with_retry_info).sum();
        let endings = self.endings.iter().map(|(label, group)| {
            (label.as_ref(), Latencies::of(std::iter::once(group)), group.with_retry_info)
        });
        for (label, latencies, with_retry_info) in endings.chain([("all", self.latencies(), all)]) {
            write!(f, "| {label} | {} | ", latencies.count())?;
            write!(f, "{:.1} | {with_retry_info}", as_f64(latencies.count()) / self.seconds)?;
            for quantile in [0.5, 0.9, 0.99, 1.0] {
                write!(f, " | {:.2}", latencies.millis(quantile))?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

/// Latencies, in order.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    fn of<'g>(groups: impl Iterator<Item = &'g Group>) -> Self {
        Self::new(groups.flat_map(|group| group.latencies.iter().copied()).collect())
    }

    /// Puts them in order.
    pub(crate) fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        Self(latencies)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The one that this part of all do not exceed (nearest rank), in milliseconds; of none, none.
    pub(crate) fn millis(&self, quantile: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a length, and a length is never that large"
        )]
        let rank = (quantile * as_f64(self.0.len())).ceil() as usize;
        self.0.get(rank.max(1) - 1).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Calls are counted in millions at the most.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: impl IntoIterator<Item = u64>) -> Latencies {
        Latencies::new(values.into_iter().map(Duration::from_millis).collect())
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn a_quantile_is_a_latency_that_was_seen() {
        let latencies = millis((1..=100).rev());
        assert!(close(latencies.millis(0.5), 50.0));
        assert!(close(latencies.millis(0.99), 99.0));
        assert!(close(latencies.millis(1.0), 100.0));
        assert!(close(millis([7]).millis(0.01), 7.0));
    }

    #[test]
    fn no_latencies_have_no_quantile() {
        assert!(millis([]).millis(0.5).is_nan());
    }

    #[test]
    fn what_was_refused_is_no_goodput() {
        let mut tally = Tally::new(2.0);
        for _ in 0..10 {
            tally.add(Ending::plain(Ending::OK), Duration::from_millis(1));
        }
        tally.add(
            Ending { label: Ending::BUSY.into(), retry_after: Some(Duration::from_secs(1)) },
            Duration::from_millis(3),
        );
        tally.add(Ending::plain("INTERNAL INTERNAL"), Duration::from_millis(9));
        assert!(close(tally.goodput(), 5.0));
        assert_eq!((tally.refusals(), tally.refusals_with_retry_info()), (1, 1));
        assert_eq!(tally.unexpected(), [("INTERNAL INTERNAL", 1)]);
        assert!(close(tally.latencies().millis(1.0), 9.0));
    }
}
