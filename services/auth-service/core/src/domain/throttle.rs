//! How often a password may be tried. After NIST SP 800-63B-4, section 3.2.2: a limit on consecutive failed attempts on one
//! account, delays that grow, and a right password that forgets the failures of where it came from.
//!
//! An attempt is written down before its password is looked at, so that many at once count like one after the other. It is
//! *undecided* until then, and an undecided one is no failure: whoever tries a right password on an account that others try
//! as well waits for a turn and is not punished.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chrono::TimeDelta;
use identity::{Timestamp, Username};

/// So many consecutive failures from all addresses together delay an account as a whole: the limit of NIST SP 800-63B-4.
const FREE_FAILURES_OF_ACCOUNT: u32 = 100;

/// The first delay; each further failure doubles it.
const FIRST_DELAY: TimeDelta = TimeDelta::seconds(1);

/// Failures are forgotten this long after the last one.
const FAILURE_MEMORY: TimeDelta = TimeDelta::hours(24);

/// The failures of an address are counted over this time.
const FAILURE_WINDOW: TimeDelta = TimeDelta::minutes(15);

/// The sign-ups of an address are counted over this time.
const SIGN_UP_WINDOW: TimeDelta = TimeDelta::hours(1);

/// An attempt that was not decided by then never will be: its process has died.
const ATTEMPT_LIFETIME: TimeDelta = TimeDelta::seconds(60);

/// How often a password may be tried, and how often somebody may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottlePolicy {
    /// Failures of an account at one address before the first delay, and attempts on one account that are looked at at
    /// once. At least 1.
    pub free_failures: u32,
    /// The longest delay; at most the 24 hours that failures are remembered for.
    pub max_delay: TimeDelta,
    /// Failures of one address in 15 minutes, whatever the accounts.
    pub address_failures: u32,
    /// Sign-ups of one address in an hour.
    pub sign_ups_per_hour: u32,
}

impl ThrottlePolicy {
    /// How many of the attempts on an account that are looked at at once may come from one address: one is left to the others,
    /// which are its owner's as well.
    fn at_once_from_an_address(&self) -> u32 {
        self.free_failures.saturating_sub(1).max(1)
    }

    fn delay(&self, failures: u32, free: u32) -> TimeDelta {
        let Some(beyond) = failures.checked_sub(free) else { return TimeDelta::zero() };
        let doubled = 2_i32.checked_pow(beyond).and_then(|factor| FIRST_DELAY.checked_mul(factor));
        doubled.map_or(self.max_delay, |delay| delay.min(self.max_delay))
    }
}

/// What a password is tried for. Each has counts of its own: whoever guesses at the one does not lock the owner out of the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// To log in, or to repeat a sign-up.
    LogIn,
    /// To change it.
    ChangePassword,
    /// To repeat the registration of an account, asked for by a workload.
    RegisterAccount,
}

/// Where a caller comes from, as far as it is counted: an IPv4 address, the /64 of an IPv6 address (one customer has at
/// least that many), or unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientAddress(String);

/// The prefix by which hosts that have IPv6 only are shown the addresses of all others (RFC 6052, section 2.1): what it
/// stands for is an IPv4 address.
const NAT64: u128 = 0x0064_ff9b << 96;

impl ClientAddress {
    /// Of a caller at this address.
    #[must_use]
    pub fn of(address: Option<IpAddr>) -> Self {
        Self(match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) if address.to_bits() >> 32 == NAT64 >> 32 => {
                let [.., a, b, c, d] = address.octets();
                Ipv4Addr::new(a, b, c, d).to_string()
            }
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                format!("{}/64", Ipv6Addr::from_bits(network))
            }
            None => "unknown".to_owned(),
        })
    }

    /// The text that it is counted by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Somebody tries a password. Whether there is such an account makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What for.
    pub purpose: Purpose,
    /// On whose account. Counted by its canonical form.
    pub username: Username,
    /// From where.
    pub address: ClientAddress,
}

/// A reserved attempt's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId(u128);

impl AttemptId {
    /// Takes random bits.
    #[must_use]
    pub const fn from_random(bits: u128) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({:032x})", self.0)
    }
}

/// Failures without a right password in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// How many; never 0.
    pub count: u32,
    /// When the last one was.
    pub last_time: Timestamp,
}

impl Failures {
    /// When they are forgotten.
    #[must_use]
    pub fn expire_time(&self) -> Timestamp {
        self.last_time + FAILURE_MEMORY
    }

    fn one_more(before: Option<Self>, now: Timestamp) -> Self {
        Self { count: before.map_or(0, |failures| failures.count).saturating_add(1), last_time: now }
    }

    fn without(self, others: Option<Self>) -> Option<Self> {
        let count = self.count.saturating_sub(others.map_or(0, |failures| failures.count));
        (count > 0).then_some(Self { count, ..self })
    }
}

/// What an address did in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressCount {
    /// How often; never 0.
    pub count: u32,
    /// When the stretch ends, and the count begins anew.
    pub end_time: Timestamp,
}

impl AddressCount {
    fn one_more(before: Option<Self>, window: TimeDelta, now: Timestamp) -> Self {
        match before {
            Some(count) => Self { count: count.count.saturating_add(1), ..count },
            None => Self { count: 1, end_time: now + window },
        }
    }
}

/// Attempts that are being looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undecided {
    /// On the account, from everywhere.
    pub of_account: u32,
    /// On the account, from the address.
    pub of_pair: u32,
    /// From the address, on all accounts.
    pub of_address: u32,
}

/// Whether an attempt may be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Admitted,
    /// Others on the account have to be decided first.
    NotYet,
    /// Others from the address have to be decided first, on whatever accounts.
    AddressNotYet,
    /// There were too many failures.
    TooMany {
        /// When it may be made again.
        retry_after: Duration,
    },
}

/// What is known of attempts like one that is to be made. What has expired is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Failures of the account at the address.
    pub pair: Option<Failures>,
    /// Failures of the account from all addresses.
    pub account: Option<Failures>,
    /// Failures of the address with all accounts.
    pub address: Option<AddressCount>,
    /// What is being looked at.
    pub undecided: Undecided,
    /// The store's time.
    pub now: Timestamp,
}

impl Standing {
    /// Decides on another attempt.
    #[must_use]
    pub fn decide(&self, policy: &ThrottlePolicy) -> Decision {
        let free_of_account = policy.free_failures.max(FREE_FAILURES_OF_ACCOUNT);
        let until = [
            self.delayed_until(self.pair, policy, policy.free_failures),
            self.delayed_until(self.account, policy, free_of_account),
            self.address.filter(|address| address.count >= policy.address_failures).map(|full| full.end_time),
        ];
        if let Some(until) = until.into_iter().flatten().max() {
            return Decision::TooMany { retry_after: (until - self.now).to_std().unwrap_or_default() };
        }
        // Failures and what may become one stay within what is free. Beyond that there is one attempt at a time.
        let room = |free: u32, failures: u32| free.saturating_sub(failures).max(1);
        let failures = |failures: Option<Failures>| failures.map_or(0, |failures| failures.count);
        let of_address = self.address.map_or(0, |address| address.count);
        let undecided = self.undecided;
        if undecided.of_address >= room(policy.address_failures, of_address) {
            return Decision::AddressNotYet;
        }
        let admitted = undecided.of_account < policy.free_failures
            && undecided.of_account < room(free_of_account, failures(self.account))
            && undecided.of_pair < policy.at_once_from_an_address()
            && undecided.of_pair < room(policy.free_failures, failures(self.pair));
        if admitted { Decision::Admitted } else { Decision::NotYet }
    }

    fn delayed_until(
        &self,
        failures: Option<Failures>,
        policy: &ThrottlePolicy,
        free: u32,
    ) -> Option<Timestamp> {
        let failures = failures?;
        let until = failures.last_time + policy.delay(failures.count, free);
        (until > self.now).then_some(until)
    }

    /// When an attempt that is made now is no longer taken to be looked at.
    #[must_use]
    pub fn lapse_time(&self) -> Timestamp {
        self.now + ATTEMPT_LIFETIME
    }

    /// With one more failure.
    #[must_use]
    pub fn failed(&self) -> Self {
        Self {
            pair: Some(Failures::one_more(self.pair, self.now)),
            account: Some(Failures::one_more(self.account, self.now)),
            address: Some(AddressCount::one_more(self.address, FAILURE_WINDOW, self.now)),
            ..self.clone()
        }
    }

    /// After a right password: the failures at its address are forgotten, those from elsewhere are not.
    #[must_use]
    pub fn succeeded(&self) -> Self {
        Self {
            pair: None,
            account: self.account.and_then(|account| account.without(self.pair)),
            ..self.clone()
        }
    }
}

/// What is known of the sign-ups of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUps {
    /// Those of this hour.
    pub count: Option<AddressCount>,
    /// The store's time.
    pub now: Timestamp,
}

impl SignUps {
    /// Decides on another one.
    #[must_use]
    pub fn decide(&self, policy: &ThrottlePolicy) -> Decision {
        match self.count {
            Some(full) if full.count >= policy.sign_ups_per_hour => {
                Decision::TooMany { retry_after: (full.end_time - self.now).to_std().unwrap_or_default() }
            }
            _ => Decision::Admitted,
        }
    }

    /// With one more.
    #[must_use]
    pub fn one_more(&self) -> AddressCount {
        AddressCount::one_more(self.count, SIGN_UP_WINDOW, self.now)
    }

    /// With one less, which did not come to anything.
    #[must_use]
    pub fn one_less(&self) -> Option<AddressCount> {
        self.count.and_then(|before| {
            let count = before.count - 1;
            (count > 0).then_some(AddressCount { count, ..before })
        })
    }
}

#[cfg(test)]
mod tests;
