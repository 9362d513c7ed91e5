//! Breaks things, by a schedule that a seed makes, and mends them.

mod fault;
mod overlap;
mod strike;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::{Instant, sleep};

pub use self::fault::{Fault, Trouble, name};
use self::overlap::in_order;
use self::strike::{mend, strike};
pub use self::watch::{Watch, recovery};
use crate::driver::Driver;
use crate::rest::rest;
use crate::site::{Site, Store};
use crate::world::World;

/// How often something else fails before a fault is mended, where there is something that can.
const OVERLAPS: f64 = 0.25;

/// A fault, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blow {
    /// What fails.
    pub fault: Fault,
    /// Which process of those that it may be.
    pub replica: usize,
}

/// A step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long nothing fails before.
    pub pause: Duration,
    /// What fails.
    pub blow: Blow,
    /// What fails as well before that is mended, and how long after it.
    pub meanwhile: Option<(Duration, Blow)>,
    /// How long whatever fails is left so.
    pub hold: Duration,
}

/// A fault that was, and how long each process of each service took to be of use again after it.
#[derive(Clone, Debug)]
pub struct Injected {
    /// Which.
    pub fault: Fault,
    /// What failed at the same time.
    pub overlaps: Option<Fault>,
    /// Whether there was one: a commit that was cut, a connection that was ended.
    pub is_met: bool,
    /// Of each process; `None` if it was of no use in the end. After two at once it is said of the second.
    pub recovered: Vec<Option<Duration>>,
}

/// So many faults, some of them two at once. Consecutive seeds go through all of these in turn, so that a few rounds have had
/// them all.
#[must_use]
pub fn schedule(seed: u64, faults: &[Fault], count: usize, store: Store) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let first = usize::try_from(seed % 10_000).unwrap_or_default() * count;
    let chosen = faults.iter().cycle().skip(first % faults.len().max(1)).take(if faults.is_empty() {
        0
    } else {
        count
    });
    let mut chosen: Vec<Fault> = chosen.copied().collect();
    chosen.shuffle(&mut rng);
    let blows =
        chosen.into_iter().map(|fault| Blow { fault, replica: rng.random_range(0..store.replicas()) });
    let mut blows: VecDeque<Blow> = blows.collect();
    let mut steps = Vec::new();
    while let Some(blow) = blows.pop_front() {
        let partner = blows.iter().position(|other| in_order(blow, *other, store).is_some());
        let partner = partner.filter(|_| rng.random_bool(OVERLAPS)).and_then(|at| blows.remove(at));
        let (blow, second) = match partner.and_then(|other| in_order(blow, other, store)) {
            Some((first, second)) => (first, Some(second)),
            None => (blow, None),
        };
        steps.push(Step {
            pause: Duration::from_millis(rng.random_range(100..600)),
            blow,
            meanwhile: second.map(|second| (Duration::from_millis(rng.random_range(20..500)), second)),
            hold: Duration::from_millis(rng.random_range(100..1500)),
        });
    }
    steps
}

/// Goes through a schedule, and sees after each step how long it takes until things are well again.
pub async fn torment(
    site: &mut Site,
    steps: &[Step],
    driver: &Arc<Driver>,
    world: &Arc<World>,
    watch: &Watch,
) -> Vec<Injected> {
    let mut injected = Vec::new();
    for step in steps {
        sleep(step.pause).await;
        // Boxed: what starts processes is large.
        Box::pin(site.look_for_the_dead()).await;
        let mut struck = vec![Box::pin(strike(site, step.blow, step.hold)).await];
        if let Some((later, blow)) = step.meanwhile {
            sleep(later).await;
            struck.push(Box::pin(strike(site, blow, step.hold)).await);
        }
        let lasts = struck.iter().map(|one| one.blow.fault.lasts(step.hold)).max();
        sleep(lasts.unwrap_or_default()).await;
        let what: Vec<(Fault, bool)> = struck.iter().map(|one| (one.blow.fault, one.is_met)).collect();
        // What starts processes and servers again is part of the time to recover.
        let mended = Instant::now();
        // Last of all whatever starts processes, which need what they find.
        struck.sort_by_key(|one| one.blow.fault.ends_processes());
        for one in struck {
            Box::pin(mend(site, one)).await;
        }
        Box::pin(site.look_for_the_dead()).await;
        let mut recovered = recovery(driver, world, watch, mended).await;
        if recovered.iter().all(Option::is_some) {
            rest(site, driver).await;
        }
        for (number, (fault, is_met)) in what.iter().enumerate().rev() {
            let overlaps = what.get(1 - number).map(|(other, _)| *other);
            let recovered = std::mem::take(&mut recovered);
            injected.push(Injected { fault: *fault, overlaps, is_met: *is_met, recovered });
        }
    }
    injected
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_makes_the_same_schedule_again() {
        let faults = Fault::of(Store::Postgres);
        let made = |seed| schedule(seed, &faults, 20, Store::Postgres);
        assert_eq!(made(7), made(7));
        assert_ne!(made(7), made(8));
        assert!(made(7).iter().any(|step| step.blow.replica == 1));
    }

    #[test]
    fn rounds_after_one_another_have_every_fault() {
        for store in [Store::Sqlite, Store::Postgres] {
            let faults = Fault::of(store);
            let rounds = u64::try_from(faults.len().div_ceil(10)).unwrap();
            let had: Vec<Fault> = (40..40 + rounds)
                .flat_map(|seed| schedule(seed, &faults, 10, store))
                .flat_map(|step| [Some(step.blow), step.meanwhile.map(|(_, blow)| blow)])
                .flatten()
                .map(|blow| blow.fault)
                .collect();
            assert!(faults.iter().all(|fault| had.contains(fault)), "{store:?}");
            assert_eq!(had.len() as u64, rounds * 10, "two at once are two");
        }
    }

    #[test]
    fn some_faults_overlap_and_every_one_does_some_time_and_fails_alone_some_time() {
        for store in [Store::Sqlite, Store::Postgres] {
            let faults = Fault::of(store);
            let steps: Vec<Step> =
                (0..300).flat_map(|seed| schedule(seed, &faults, faults.len() / 2, store)).collect();
            let of = |blow: Blow| blow.fault.to_string();
            let pairs = steps.iter().filter_map(|step| Some([of(step.blow), of(step.meanwhile?.1)]));
            let together: BTreeSet<String> = pairs.flatten().collect();
            let alone = steps.iter().filter(|step| step.meanwhile.is_none()).map(|step| of(step.blow));
            let alone: BTreeSet<String> = alone.collect();
            let all: BTreeSet<String> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(together, all, "{store:?}");
            assert_eq!(alone, all, "{store:?}");
        }
    }
}
