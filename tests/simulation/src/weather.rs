//! How much goes wrong in a run, and which settings it runs with. Decided by the seed.

use std::time::Duration;

use crate::dice::Dice;

/// What can go wrong, each with its own chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A request or a reply is lost.
    Loss,
    /// A call that may be made again is made twice at once.
    Doubling,
    /// A message takes seconds.
    Delay,
    /// A stream of messages breaks off.
    Break,
    /// A store refuses a statement.
    Refusal,
    /// A store does not say what became of a commit.
    LostCommit,
    /// A notification of a change does not come.
    Silence,
    /// Nobody has the time to hash.
    Busy,
}

/// The chances of one run, in a million.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    loss: u32,
    doubling: u32,
    delay: u32,
    breaks: u32,
    refusal: u32,
    lost_commit: u32,
    busy: u32,
    /// A step takes much longer than others.
    pub(crate) stall: u32,
    /// A process dies at a step.
    pub(crate) crash: u32,
    /// A process dies at a step of a use case that it comes to for the first times.
    pub(crate) first_crash: u32,
    /// Clocks are moved.
    pub(crate) jump: u32,
    /// How many processes of auth-service there are.
    pub(crate) auth_processes: u8,
    /// How many processes of users-service there are.
    pub(crate) users_processes: u8,
    /// Whether attempts are counted.
    pub(crate) is_throttled: bool,
    /// How far the clock of each process is from its store's, in microseconds.
    pub(crate) skews: [i64; 2],
    /// How many clients there are.
    pub(crate) clients: u8,
    /// How many calls each of them makes.
    pub(crate) calls: u8,
}

/// The clock of a process and its store's are no further apart.
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(3);

impl Weather {
    /// The weather of a seed. Some runs are calm in one respect, so that others are looked at alone.
    pub(crate) fn of(dice: &mut Dice) -> Self {
        let mut up_to = |limit: u64| {
            let calm = dice.below(3) == 0;
            let chance = u32::try_from(dice.below(limit)).unwrap_or(u32::MAX);
            if calm { 0 } else { chance }
        };
        let (loss, doubling, delay, breaks) = (up_to(80_000), up_to(80_000), up_to(40_000), up_to(50_000));
        let (refusal, lost_commit, busy) = (up_to(8_000), up_to(60_000), up_to(30_000));
        let stall = up_to(60_000);
        let (crash, first_crash, jump) = (up_to(2_500), up_to(40_000), up_to(150_000));
        let skew = i64::from(MAX_SKEW.subsec_micros()) + MAX_SKEW.as_secs().cast_signed() * 1_000_000;
        let mut skewed = || i64::try_from(dice.below(2 * skew.unsigned_abs())).unwrap_or(0) - skew;
        let skews = [skewed(), skewed()];
        let mut few = |least: u64, most: u64| u8::try_from(least + dice.below(most - least + 1)).unwrap_or(1);
        Self {
            loss,
            doubling,
            delay,
            breaks,
            refusal,
            lost_commit,
            busy,
            stall,
            crash,
            first_crash,
            jump,
            auth_processes: few(1, 2),
            users_processes: few(1, 2),
            is_throttled: few(0, 2) > 0,
            skews,
            clients: few(3, 6),
            calls: few(8, 16),
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) const fn clear_up(&mut self) {
        (self.loss, self.doubling, self.delay, self.breaks) = (0, 0, 0, 0);
        (self.refusal, self.lost_commit, self.busy) = (0, 0, 0);
        (self.stall, self.crash, self.first_crash, self.jump) = (0, 0, 0, 0);
    }

    pub(crate) const fn chance(&self, fault: Fault) -> u32 {
        match fault {
            Fault::Loss => self.loss,
            Fault::Doubling => self.doubling,
            Fault::Delay => self.delay,
            Fault::Break => self.breaks,
            Fault::Refusal => self.refusal,
            Fault::LostCommit => self.lost_commit,
            Fault::Silence => self.loss * 4,
            Fault::Busy => self.busy,
        }
    }
}
