use std::sync::atomic::{AtomicU64, Ordering};

use identity::{Epoch, UserId};

use crate::domain::{AttemptId, SessionId};
use crate::ports::Ids;

/// Ids that count up.
#[derive(Debug, Default)]
pub struct FakeIds(AtomicU64);

impl FakeIds {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1
    }
}

impl Ids for FakeIds {
    fn account_id(&self) -> UserId {
        UserId::new(uuid::Uuid::from_u128(self.next()))
    }

    fn session_id(&self) -> SessionId {
        SessionId::from_random(self.next().to_be_bytes())
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::from_random(self.next())
    }

    fn epoch(&self) -> Epoch {
        Epoch::parse(&format!("epoch{}", self.next())).expect("letters and digits")
    }
}
