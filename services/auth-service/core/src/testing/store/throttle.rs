//! Attempts and counts, in memory.

use std::collections::BTreeMap;

use identity::{Timestamp, Username};

use crate::domain::{
    AddressCount, Attempt, AttemptId, ClientAddress, Failures, Purpose, SignUps, Standing, Undecided,
};

/// A purpose, an account's canonical name, and an address or all.
type FailuresKey = (Purpose, String, Option<ClientAddress>);

#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    attempts: BTreeMap<AttemptId, (Attempt, Timestamp)>,
    failures: BTreeMap<FailuresKey, Failures>,
    addresses: BTreeMap<(Purpose, ClientAddress), AddressCount>,
    sign_ups: BTreeMap<ClientAddress, AddressCount>,
}

fn key(attempt: &Attempt, address: Option<&ClientAddress>) -> FailuresKey {
    (attempt.purpose, attempt.username.canonical().to_owned(), address.cloned())
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

/// Takes out at most `limit` of those that `goes`; returns how many that were.
fn take<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, limit: usize, goes: impl Fn(&V) -> bool) -> usize {
    let gone: Vec<_> =
        map.iter().filter(|(_, value)| goes(value)).take(limit).map(|(key, _)| key.clone()).collect();
    map.retain(|key, _| !gone.contains(key));
    gone.len()
}

/// What expires by then goes: because it has, or because so many are kept and it is not among them.
fn goes_by(now: Timestamp, kept: usize, expire_times: impl Iterator<Item = Timestamp>) -> Timestamp {
    let mut expire_times: Vec<_> = expire_times.collect();
    expire_times.sort_unstable_by(|a, b| b.cmp(a));
    expire_times.get(kept).copied().map_or(now, |time| time.max(now))
}

impl Counts {
    pub(super) fn standing(&self, attempt: &Attempt, now: Timestamp) -> Standing {
        let failures = |address| {
            let found = self.failures.get(&key(attempt, address)).copied();
            found.filter(|failures| failures.expire_time() > now)
        };
        let count = |like: &dyn Fn(&Attempt) -> bool| {
            let live = self.attempts.values().filter(|(other, lapse_time)| {
                *lapse_time > now && other.purpose == attempt.purpose && like(other)
            });
            u32::try_from(live.count()).unwrap_or(u32::MAX)
        };
        let same_account = |other: &Attempt| other.username.canonical() == attempt.username.canonical();
        let same_address = |other: &Attempt| other.address == attempt.address;
        let address = self.addresses.get(&(attempt.purpose, attempt.address.clone())).copied();
        Standing {
            pair: failures(Some(&attempt.address)),
            account: failures(None),
            address: address.filter(|count| count.end_time > now),
            undecided: Undecided {
                of_account: count(&same_account),
                of_pair: count(&|other| same_account(other) && same_address(other)),
                of_address: count(&same_address),
            },
            now,
        }
    }

    pub(super) fn reserve(&mut self, id: AttemptId, attempt: &Attempt, lapse_time: Timestamp) {
        self.attempts.insert(id, (attempt.clone(), lapse_time));
    }

    pub(super) fn release(&mut self, id: AttemptId) {
        self.attempts.remove(&id);
    }

    pub(super) fn write(&mut self, attempt: &Attempt, standing: &Standing) {
        put(&mut self.failures, key(attempt, Some(&attempt.address)), standing.pair);
        put(&mut self.failures, key(attempt, None), standing.account);
        put(&mut self.addresses, (attempt.purpose, attempt.address.clone()), standing.address);
    }

    pub(super) fn forget(&mut self, username: &Username) {
        self.failures.retain(|(_, name, _), _| name != username.canonical());
    }

    pub(super) fn sign_ups(&self, address: &ClientAddress, now: Timestamp) -> SignUps {
        SignUps { count: self.sign_ups.get(address).copied().filter(|count| count.end_time > now), now }
    }

    pub(super) fn write_sign_ups(&mut self, address: &ClientAddress, count: Option<AddressCount>) {
        put(&mut self.sign_ups, address.clone(), count);
    }

    pub(super) fn purge(&mut self, now: Timestamp, limit: usize, kept: usize) -> usize {
        let failures = goes_by(now, kept, self.failures.values().map(Failures::expire_time));
        let addresses = goes_by(now, kept, self.addresses.values().map(|count| count.end_time));
        let sign_ups = goes_by(now, kept, self.sign_ups.values().map(|count| count.end_time));
        take(&mut self.attempts, limit, |(_, lapse_time)| *lapse_time <= now)
            + take(&mut self.failures, limit, |count| count.expire_time() <= failures)
            + take(&mut self.addresses, limit, |count| count.end_time <= addresses)
            + take(&mut self.sign_ups, limit, |count| count.end_time <= sign_ups)
    }
}
