use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use identity::{RawPassword, UserId};

use crate::Error;
use crate::domain::PasswordHash;
use crate::ports::{HashingPermit, PasswordHasher, Verdict};

type Interruption = Pin<Box<dyn Future<Output = ()> + Send>>;

const BUSY: Error = Error::HasherBusy { retry_after: Duration::from_secs(1) };

/// Hashes by writing the password down, and counts. Clones are the same hasher.
#[derive(Clone, Default)]
pub struct FakeHasher(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hashes: AtomicU64,
    parameters: AtomicU64,
    busy: AtomicBool,
    refuses_next: AtomicBool,
    interruption: Mutex<Option<Interruption>>,
}

impl FakeHasher {
    /// How many hashes were computed, for setting and for verifying.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.0.hashes.load(Ordering::Relaxed)
    }

    /// Refuses everybody, or nobody again.
    pub fn be_busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::Relaxed);
    }

    /// Refuses the next one who waits for a turn, though a turn was expected.
    pub fn refuse_next_turn(&self) {
        self.0.refuses_next.store(true, Ordering::Relaxed);
    }

    /// Makes every hash of before outdated.
    pub fn outdate(&self) {
        self.0.parameters.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets something happen while the next password is verified.
    pub fn interrupt_next_verdict(&self, interruption: impl Future<Output = ()> + Send + 'static) {
        *self.0.interruption.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(interruption));
    }
}

impl fmt::Debug for FakeHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeHasher").field(&self.hashes()).finish()
    }
}

impl PasswordHasher for FakeHasher {
    type Permit = FakePermit;
    type Expected = ();

    fn expect_turn(&self) -> Result<(), Error> {
        if self.0.busy.load(Ordering::Relaxed) { Err(BUSY) } else { Ok(()) }
    }

    async fn admit(&self) -> Result<FakePermit, Error> {
        if self.0.refuses_next.swap(false, Ordering::Relaxed) {
            return Err(BUSY);
        }
        self.expect_turn().map(|()| FakePermit(self.clone()))
    }
}

/// A turn at the fake hasher.
#[derive(Debug)]
pub struct FakePermit(FakeHasher);

impl FakePermit {
    fn compute(&self, parameters: u64, account: UserId, password: &RawPassword) -> PasswordHash {
        self.0.0.hashes.fetch_add(1, Ordering::Relaxed);
        PasswordHash::new(format!("{parameters}${account}${}", password.expose()))
    }

    fn parameters(&self) -> u64 {
        self.0.0.parameters.load(Ordering::Relaxed)
    }
}

impl HashingPermit for FakePermit {
    async fn hash(&self, account: UserId, password: &RawPassword) -> Result<PasswordHash, Error> {
        Ok(self.compute(self.parameters(), account, password))
    }

    async fn verify(
        &self,
        account: UserId,
        password: &RawPassword,
        hash: &PasswordHash,
    ) -> Result<Verdict, Error> {
        let interruption = self.0.0.interruption.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(interruption) = interruption {
            interruption.await;
        }
        let parameters =
            hash.as_str().split('$').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        if self.compute(parameters, account, password) != *hash {
            Ok(Verdict::Mismatch)
        } else if parameters == self.parameters() {
            Ok(Verdict::Match)
        } else {
            Ok(Verdict::MatchOutdated)
        }
    }

    async fn verify_nothing(&self, _password: &RawPassword) -> Result<(), Error> {
        self.0.0.hashes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
