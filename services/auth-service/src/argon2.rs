//! Passwords at rest: Argon2id in PHC form, with a pepper and bound to the account.
//!
//! The stored string names parameters, pepper and salt: `$argon2id$v=19$m=…,t=…,p=…,keyid=…$salt$hash`. The account's
//! id is argon2's associated data and is not in the string, so a hash copied to another row does not verify.
//!
//! As many hashes run at a time as there are permits, on threads of their own ([`threads`]); who waits for one, and who is
//! refused, [`admission`] decides.

mod admission;
mod stored_hash;
mod threads;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::domain::PasswordHash;
use auth_core::ports::{HashingPermit, PasswordHasher, Verdict};
use auth_core::{Cause, Error};
use fail_point::mutant;
use grpc_kit::call;
use identity::{RawPassword, UserId};
use metrics::histogram;
use secrecy::SecretSlice;
use uuid::Uuid;

use admission::{Admission, Place, Refused, Turn};
#[cfg(feature = "fuzzing")]
pub(crate) use stored_hash::fuzzing;
use threads::{Memory, Threads};

/// Argon2's parameters of cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Cost {
    /// The least that is allowed, and the default: the OWASP password storage cheat sheet's second choice.
    pub const MINIMUM: Self = Self { memory_kib: 19_456, iterations: 2, parallelism: 1 };

    /// About what a hash takes on a core of today: half a microsecond for each block and pass.
    fn guess(self) -> Duration {
        Duration::from_nanos(500) * self.memory_kib * self.iterations
    }
}

/// A secret that goes into every hash, kept outside the database.
#[derive(Clone)]
pub struct Pepper {
    /// Its name in stored hashes: 1 to 8 ASCII letters and digits.
    pub id: String,
    /// At least 32 bytes.
    pub secret: SecretSlice<u8>,
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pepper").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the hasher is told by the configuration.
#[derive(Clone, Debug)]
pub struct Argon2Settings {
    /// Of new hashes.
    pub cost: Cost,
    /// The first is used for new hashes, the others are known. Never empty.
    pub peppers: Vec<Pepper>,
    /// Permits: hashes that run at a time.
    pub max_parallel: usize,
    /// How long a caller may wait for one.
    pub queue_wait: Duration,
}

/// Hashes passwords, some at a time.
#[derive(Clone, Debug)]
pub(crate) struct Argon2Hasher {
    settings: Arc<Argon2Settings>,
    admission: Admission,
    threads: Arc<Threads>,
}

impl Argon2Hasher {
    /// Starts the threads.
    pub(crate) fn new(settings: Argon2Settings) -> io::Result<Self> {
        let admission = Admission::new(settings.max_parallel, settings.queue_wait, settings.cost.guess());
        let threads = Threads::start(settings.max_parallel, settings.cost.memory_kib as usize)?;
        Ok(Self { settings: Arc::new(settings), admission, threads: Arc::new(threads) })
    }
}

impl From<Refused> for Error {
    fn from(Refused { retry_after, .. }: Refused) -> Self {
        Self::HasherBusy { retry_after }
    }
}

impl PasswordHasher for Argon2Hasher {
    type Permit = Permit;
    type Expected = Place;

    fn expect_turn(&self) -> Result<Place, Error> {
        if call::is_abandoned() {
            return Err(self.admission.abandoned().into());
        }
        self.admission.expect().map_err(Error::from)
    }

    async fn admit(&self) -> Result<Permit, Error> {
        let turn = Arc::new(self.admission.admit().await?);
        let (settings, threads) = (Arc::clone(&self.settings), Arc::clone(&self.threads));
        Ok(Permit { settings, threads, turn })
    }
}

/// The right to hash. A hash that has begun keeps it to its end, also when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Permit {
    settings: Arc<Argon2Settings>,
    threads: Arc<Threads>,
    turn: Arc<Turn>,
}

impl Permit {
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2Settings, &mut Memory) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, Error> {
        let core = self.turn.core().await?;
        let (settings, turn) = (Arc::clone(&self.settings), Arc::clone(&self.turn));
        let hashed = self.threads.run(move |memory| {
            let began = Instant::now();
            let result = work(&settings, memory);
            histogram!("tandem_hash_duration_seconds").record(began.elapsed());
            drop(core);
            drop(turn);
            result
        });
        let hashed = hashed.await.map_err(Error::Internal);
        // A defect: the turn of a caller that has gone is never given back.
        if mutant("turns.kept_for_who_left") && call::is_abandoned() {
            std::mem::forget(Arc::clone(&self.turn));
        }
        hashed
    }
}

impl HashingPermit for Permit {
    async fn hash(&self, account: UserId, password: &RawPassword) -> Result<PasswordHash, Error> {
        let password = password.clone();
        self.run(move |settings, memory| stored_hash::hash(settings, memory, account, &password)).await
    }

    async fn verify(
        &self,
        account: UserId,
        password: &RawPassword,
        hash: &PasswordHash,
    ) -> Result<Verdict, Error> {
        let (password, hash) = (password.clone(), hash.clone());
        self.run(move |settings, memory| stored_hash::verify(settings, memory, account, &password, &hash))
            .await
    }

    async fn verify_nothing(&self, password: &RawPassword) -> Result<(), Error> {
        let (password, nobody) = (password.clone(), UserId::new(Uuid::nil()));
        self.run(move |settings, memory| stored_hash::hash(settings, memory, nobody, &password).map(drop))
            .await
    }
}
