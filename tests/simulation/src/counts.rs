//! What is counted in a run and summed up over all of them.

use std::collections::BTreeMap;

use crate::weather::Fault;

/// A step of a use case: the rpc or the command, and what it does.
type Place = (&'static str, &'static str);

/// What happened how often.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Moments at which something went on.
    pub moments: u64,
    /// Calls of clients, and commands of operators.
    pub calls: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Requests and replies that were lost.
    pub lost: u64,
    /// Calls that were made twice at once.
    pub doubled: u64,
    /// Messages that overtook others.
    pub reordered: u64,
    /// When the newest of the messages was sent that have arrived.
    pub(crate) newest_arrived: u64,
    /// Messages that took seconds.
    pub delayed: u64,
    /// Streams that broke off.
    pub broken: u64,
    /// Statements that a store refused.
    pub refused: u64,
    /// Commits of which nobody heard.
    pub lost_commits: u64,
    /// Notifications that did not come.
    pub silent: u64,
    /// Hashes for which there was no time.
    pub busy: u64,
    /// Clocks that were moved.
    pub jumps: u64,
    /// Steps, and how often a process died before each.
    places: BTreeMap<Place, (u32, u32)>,
}

impl Counts {
    pub(crate) fn visit(&mut self, name: &'static str, at: &'static str) -> u32 {
        let (visits, _) = self.places.entry((name, at)).or_default();
        *visits += 1;
        *visits
    }

    pub(crate) fn crash(&mut self, name: &'static str, at: &'static str) {
        self.places.entry((name, at)).or_default().1 += 1;
    }

    pub(crate) const fn fault(&mut self, fault: Fault) {
        let count = match fault {
            Fault::Loss => &mut self.lost,
            Fault::Doubling => &mut self.doubled,
            Fault::Delay => &mut self.delayed,
            Fault::Break => &mut self.broken,
            Fault::Refusal => &mut self.refused,
            Fault::LostCommit => &mut self.lost_commits,
            Fault::Silence => &mut self.silent,
            Fault::Busy => &mut self.busy,
        };
        *count += 1;
    }

    /// Steps that were done or died at.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.places.values().map(|(visits, _)| u64::from(*visits)).sum()
    }

    /// Processes that died.
    #[must_use]
    pub fn crashes(&self) -> u64 {
        self.places.values().map(|(_, crashes)| u64::from(*crashes)).sum()
    }

    /// How many different steps of use cases a process died before, and how many there are at which one can.
    #[must_use]
    pub fn coverage(&self) -> (usize, usize) {
        (self.places.values().filter(|(_, crashes)| *crashes > 0).count(), self.places.len())
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        self.moments += other.moments;
        self.calls += other.calls;
        self.messages += other.messages;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.delayed += other.delayed;
        self.broken += other.broken;
        self.refused += other.refused;
        self.lost_commits += other.lost_commits;
        self.silent += other.silent;
        self.busy += other.busy;
        self.jumps += other.jumps;
        for (place, (visits, crashes)) in &other.places {
            let sum = self.places.entry(*place).or_default();
            sum.0 += visits;
            sum.1 += crashes;
        }
    }
}
