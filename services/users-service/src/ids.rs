//! Where ids come from: of new users, UUIDs of version 7, which sort by the time they were made; of this process, bits
//! of the operating system.

use clock::SystemClock;
use identity::UserId;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use users_core::domain::LeaseOwner;
use users_core::ports::Ids;
use uuid::{ContextV7, Timestamp, Uuid};

/// Makes ids. Their time is the service's, so a test that moves the clock moves new ids too.
#[derive(Clone, Debug)]
pub(crate) struct SystemIds {
    clock: SystemClock,
}

impl SystemIds {
    /// Ids of this clock's time.
    pub(crate) const fn new(clock: SystemClock) -> Self {
        Self { clock }
    }
}

impl Ids for SystemIds {
    fn next(&self) -> UserId {
        let now = self.clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let time = Timestamp::from_unix(ContextV7::new(), seconds, now.timestamp_subsec_nanos());
        UserId::new(Uuid::new_v7(time))
    }
}

/// A name that no other process has.
pub(crate) fn lease_owner() -> LeaseOwner {
    let mut bits = [0; 16];
    OsRng.try_fill_bytes(&mut bits).expect("the operating system gives random bits");
    LeaseOwner(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_and_differ() {
        let ids = SystemIds::new(SystemClock::default());
        let (one, other) = (ids.next(), ids.next());
        assert_eq!(one.as_uuid().get_version_num(), 7);
        assert_ne!(one, other);
    }
}
