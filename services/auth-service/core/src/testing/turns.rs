use std::time::Duration;

use chrono::TimeDelta;
use identity::Timestamp;

use super::FakeClock;
use crate::Error;
use crate::domain::Attempt;
use crate::ports::Turns;

const PAUSE: TimeDelta = TimeDelta::milliseconds(20);
const PATIENCE: TimeDelta = TimeDelta::seconds(1);

/// Lets everybody to the front; only the store makes them wait.
#[derive(Debug)]
pub struct FakeTurns(FakeClock);

impl FakeTurns {
    /// Time is this clock's.
    #[must_use]
    pub const fn new(clock: FakeClock) -> Self {
        Self(clock)
    }
}

impl Turns for FakeTurns {
    type Turn = Timestamp;

    async fn line_up(&self, _attempt: &Attempt) -> Result<Timestamp, Error> {
        Ok(self.0.now() + PATIENCE)
    }

    fn refuse(&self) -> Error {
        Error::HasherBusy { retry_after: Duration::from_secs(1) }
    }

    /// Moves the clock instead.
    async fn pause(&self, turn: &Timestamp) -> Result<(), Error> {
        if self.0.now() >= *turn {
            return Err(self.refuse());
        }
        self.0.advance(PAUSE);
        Ok(())
    }
}
