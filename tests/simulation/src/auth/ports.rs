//! The ports of auth-service but for its store: what hashes, signs, waits and makes ids in a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use auth_core::Error;
use auth_core::domain::{AccessToken, Attempt, AttemptId, Claims, PasswordHash, SessionId};
use auth_core::ports::{Clock, HashingPermit, Ids, PasswordHasher, TokenSigner, Turns, Verdict};
use auth_core::testing::{FakeClock, FakeSigner};
use chrono::TimeDelta;
use identity::{Epoch, RawPassword, Timestamp, UserId};
use uuid::Uuid;

use crate::scheduler::{Sim, lock};
use crate::weather::Fault;

const BUSY: Error = Error::HasherBusy { retry_after: Duration::from_secs(1) };

/// A wrong password that somebody had looked at, and when that was by the store's clock.
pub(crate) type WrongPasswords = Arc<Mutex<Vec<(UserId, Timestamp)>>>;

/// Hashes by writing the password down, which takes its time.
pub(crate) struct SimHasher {
    pub(super) sim: Sim,
    pub(super) store_clock: FakeClock,
    pub(super) wrong: WrongPasswords,
}

/// A turn at hashing.
pub(crate) struct SimPermit {
    sim: Sim,
    store_clock: FakeClock,
    wrong: WrongPasswords,
}

fn hash(account: UserId, password: &RawPassword) -> PasswordHash {
    PasswordHash::new(format!("{account}${}", password.expose()))
}

impl PasswordHasher for SimHasher {
    type Permit = SimPermit;
    type Expected = ();

    fn expect_turn(&self) -> Result<(), Error> {
        if self.sim.suffers(Fault::Busy) { Err(BUSY) } else { Ok(()) }
    }

    async fn admit(&self) -> Result<SimPermit, Error> {
        self.sim.step("a turn at hashing").await;
        self.expect_turn()?;
        let Self { sim, store_clock, wrong } = self;
        Ok(SimPermit { sim: sim.clone(), store_clock: store_clock.clone(), wrong: Arc::clone(wrong) })
    }
}

impl SimPermit {
    async fn take_time(&self) {
        self.sim.sleep(Duration::from_millis(5 + self.sim.below(30))).await;
        self.sim.step("hash").await;
    }
}

impl HashingPermit for SimPermit {
    async fn hash(&self, account: UserId, password: &RawPassword) -> Result<PasswordHash, Error> {
        self.take_time().await;
        Ok(hash(account, password))
    }

    async fn verify(
        &self,
        account: UserId,
        password: &RawPassword,
        stored: &PasswordHash,
    ) -> Result<Verdict, Error> {
        self.take_time().await;
        if hash(account, password) == *stored {
            return Ok(Verdict::Match);
        }
        lock(&self.wrong).push((account, self.store_clock.now()));
        Ok(Verdict::Mismatch)
    }

    async fn verify_nothing(&self, _password: &RawPassword) -> Result<(), Error> {
        self.take_time().await;
        Ok(())
    }
}

/// Lets everybody to the front; only the store makes them wait.
pub(crate) struct SimTurns(pub(super) Sim);

impl Turns for SimTurns {
    /// Until when one waits.
    type Turn = Duration;

    async fn line_up(&self, _attempt: &Attempt) -> Result<Duration, Error> {
        Ok(self.0.now() + Duration::from_secs(1))
    }

    fn refuse(&self) -> Error {
        BUSY
    }

    async fn pause(&self, turn: &Duration) -> Result<(), Error> {
        if self.0.now() >= *turn {
            return Err(self.refuse());
        }
        self.0.sleep(Duration::from_millis(20)).await;
        Ok(())
    }
}

/// The key that all processes sign with.
#[derive(Clone)]
pub(crate) struct SharedSigner(pub(super) Arc<FakeSigner>);

impl TokenSigner for SharedSigner {
    fn sign(&self, claims: &Claims) -> Result<AccessToken, Error> {
        self.0.sign(claims)
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        self.0.verify(token)
    }
}

/// A process's own clock, which is somewhat apart from the store's.
pub(crate) struct SkewedClock {
    pub(super) sim: Sim,
    pub(super) store_clock: FakeClock,
    pub(super) skew: TimeDelta,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.store_clock.now() + self.skew
    }

    async fn sleep(&self, duration: Duration) -> bool {
        self.sim.sleep(duration).await;
        true
    }
}

/// Ids from the dice.
pub(crate) struct SimIds(pub(crate) Sim);

impl SimIds {
    fn bits(&self) -> u128 {
        u128::from(self.0.below(u64::MAX)) << 64 | u128::from(self.0.below(u64::MAX))
    }

    pub(crate) fn user_id(&self) -> UserId {
        let bytes = self.bits().to_be_bytes();
        UserId::new(uuid::Builder::from_custom_bytes(bytes).with_version(uuid::Version::SortRand).into_uuid())
    }

    pub(crate) fn request_id(&self) -> String {
        Uuid::from_u128(self.bits()).to_string()
    }
}

impl Ids for SimIds {
    fn account_id(&self) -> UserId {
        self.user_id()
    }

    fn session_id(&self) -> SessionId {
        SessionId::from_random(self.bits().to_be_bytes())
    }

    fn attempt_id(&self) -> AttemptId {
        AttemptId::from_random(self.bits())
    }

    fn epoch(&self) -> Epoch {
        Epoch::parse(&format!("{:x}", self.bits())).expect("digits")
    }
}
