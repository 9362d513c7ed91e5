//! The section `rate_limit`.

use std::net::IpAddr;
use std::time::Duration;

use auth_core::domain::ThrottlePolicy;
use configuration::Reader;
use ipnet::IpNet;

use super::delta;

/// How often passwords may be tried, and whose word is taken for where callers come from.
#[derive(Clone, Debug)]
pub struct RateLimits {
    /// `None`: as often as anybody likes.
    pub policy: Option<ThrottlePolicy>,
    /// Proxies that say in `x-forwarded-for` for whom they call.
    pub trusted_proxies: Vec<IpNet>,
}

/// Failures are remembered for 24 hours, so no delay may be longer. An account as a whole is delayed from a hundred
/// failures on, so no more may be free at one address.
pub(super) fn read(reader: &mut Reader) -> RateLimits {
    let enabled = reader.boolean("rate_limit.enabled", true);
    let delays = Duration::from_secs(1)..=Duration::from_hours(24);
    let policy = ThrottlePolicy {
        free_failures: reader.integer("rate_limit.free_failures", 5, 1..=100),
        max_delay: delta(reader.duration("rate_limit.max_delay", "15m", delays)),
        address_failures: reader.integer("rate_limit.address_failures", 300, 1..=1_000_000),
        sign_ups_per_hour: reader.integer("rate_limit.sign_ups_per_hour", 300, 1..=1_000_000),
    };
    RateLimits { policy: enabled.then_some(policy), trusted_proxies: trusted_proxies(reader) }
}

fn trusted_proxies(reader: &mut Reader) -> Vec<IpNet> {
    const KEY: &str = "rate_limit.trusted_proxies";
    let mut networks = Vec::new();
    for text in reader.list(KEY) {
        match text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            // Callers are told by IPv4 where they have it, so this would never be one of them.
            Ok(IpNet::V6(network)) if network.addr().to_ipv4_mapped().is_some() => {
                reader.refuse(KEY, format!("{text} is IPv4 in the form of IPv6: write it as IPv4"));
            }
            Ok(network) => networks.push(network),
            Err(_) => reader.refuse(
                KEY,
                format!("{text:?} is neither an address nor a network (such as 192.0.2.7 or 10.0.0.0/8)"),
            ),
        }
    }
    networks
}
