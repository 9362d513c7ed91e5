//! Ids from the clock and the operating system's randomness.

use clock::SystemClock;
use identity::{Epoch, UserId};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use uuid::{ContextV7, Timestamp, Uuid};

use auth_core::domain::{AttemptId, SessionId};
use auth_core::ports::Ids;

/// Makes ids. Their time is the service's, so a test that moves the clock moves new ids too.
#[derive(Clone, Debug)]
pub(crate) struct SystemIds {
    clock: SystemClock,
}

impl SystemIds {
    pub(crate) const fn new(clock: SystemClock) -> Self {
        Self { clock }
    }
}

impl Ids for SystemIds {
    fn account_id(&self) -> UserId {
        let now = self.clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        UserId::new(Uuid::new_v7(Timestamp::from_unix(
            ContextV7::new(),
            seconds,
            now.timestamp_subsec_nanos(),
        )))
    }

    fn session_id(&self) -> SessionId {
        SessionId::from_random(random())
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::from_random(u128::from_be_bytes(random()))
    }

    fn epoch(&self) -> Epoch {
        let text = format!("{:032x}", u128::from_be_bytes(random()));
        Epoch::parse(&text).expect("32 hexadecimal digits are an epoch")
    }
}

/// Bits from the operating system, which cannot be had where nothing secure can be done: then the process must not go on.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bits = [0; N];
    OsRng.try_fill_bytes(&mut bits).expect("the operating system gives random bits");
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_are_uuids_of_version_7_and_differ() {
        let ids = SystemIds::new(SystemClock::default());
        let (one, other) = (ids.account_id(), ids.account_id());
        assert_eq!(one.as_uuid().get_version_num(), 7);
        assert_ne!(one, other);
        assert_ne!(ids.session_id(), ids.session_id());
    }
}
