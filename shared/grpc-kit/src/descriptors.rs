//! How many files, sockets included, the process may have open.
//!
//! There are two limits: the soft one that holds, often 1024 by tradition, and the hard one up to which a process may raise
//! it. The tradition is for programs that use `select`, which nobody here does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For what is no connection to a gRPC listener: databases, the operations listener, files, connections on their way out.
const OTHERS: u64 = 512;

/// How many connections each of so many listeners may have, if each wants as many as this. Raises the soft limit for it, up to
/// the hard one.
pub(crate) fn connections_for_each(listeners: usize, wanted: usize) -> usize {
    let listeners = u64::try_from(listeners.max(1)).unwrap_or(u64::MAX);
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_mul(listeners).saturating_add(OTHERS);
    let each = room(raised(needed)) / listeners;
    usize::try_from(each).unwrap_or(usize::MAX).clamp(1, wanted)
}

/// What the limit is after it was raised to what is needed, as far as that is possible.
fn raised(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current.unwrap_or(u64::MAX);
    let possible = needed.min(maximum.unwrap_or(u64::MAX));
    if current >= possible {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum }) {
        Ok(()) => possible,
        Err(error) => {
            tracing::warn!(%error, current, "the limit of open files cannot be raised");
            current
        }
    }
}

/// What is left for connections: at least half.
const fn room(limit: u64) -> u64 {
    let half = limit / 2;
    limit - if OTHERS < half { OTHERS } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_have_their_share_however_few_there_are() {
        assert_eq!([room(100_000), room(1024), room(256), room(0)], [99_488, 512, 128, 0]);
    }

    // Every test is a process of its own, whose limit it may change.
    #[test]
    fn the_limit_is_raised_as_far_as_it_is_needed_and_listeners_share_what_there_is() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        assert!(maximum.is_none_or(|maximum| maximum >= 1024), "the tests need it");
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).expect("less is always possible");
        assert_eq!(connections_for_each(2, 100), 100);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(712));
        let maximum = Some(1024);
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).expect("less is always possible");
        assert_eq!(connections_for_each(2, 10_000), 256);
        assert_eq!(getrlimit(Resource::Nofile).current, Some(1024));
    }
}
