//! What the use cases need of the outside. Each port has a production adapter and a fake in [`crate::testing`].

use std::future::Future;
use std::time::Duration;

use identity::{Epoch, RawPassword, Timestamp, UserId};

use crate::Error;
use crate::domain::{AccessToken, Attempt, AttemptId, Claims, PasswordHash, SessionId};

mod store;

pub use store::{Changes, Claim, Insertion, LockedAccount, Reader, SignUpRecord, Store, Transaction};

/// All ports as one type, so that a use case has one type parameter.
pub trait Ports: Send + Sync + 'static {
    /// Where accounts and sessions are kept.
    type Store: Store;
    /// What hashes passwords.
    type Hasher: PasswordHasher;
    /// Where attempts on one account wait for each other.
    type Turns: Turns;
    /// What signs and verifies access tokens.
    type Signer: TokenSigner;
    /// What tells this server's time.
    type Clock: Clock;
    /// What makes ids.
    type Ids: Ids;
}

/// Hashes passwords, a few at a time.
pub trait PasswordHasher: Send + Sync + 'static {
    /// The right to one verification and one hash.
    type Permit: HashingPermit;

    /// Somebody who will wait for a turn, and is counted as waiting until this is dropped.
    type Expected: Send + Sync;

    /// Refuses with [`Error::HasherBusy`] whom [`admit`](Self::admit) would refuse at once, as things are now, and who is not
    /// there any more. For what has to be done before a turn is waited for: no more is under way than may be waiting.
    fn expect_turn(&self) -> Result<Self::Expected, Error>;

    /// Waits for a turn, or refuses with [`Error::HasherBusy`].
    fn admit(&self) -> impl Future<Output = Result<Self::Permit, Error>> + Send;
}

/// A turn at hashing. All of its operations cost the same.
pub trait HashingPermit: Send + Sync {
    /// Hashes a password for an account; the account's id is bound into the hash.
    fn hash(
        &self,
        account: UserId,
        password: &RawPassword,
    ) -> impl Future<Output = Result<PasswordHash, Error>> + Send;

    /// Compares a password with an account's hash.
    fn verify(
        &self,
        account: UserId,
        password: &RawPassword,
        hash: &PasswordHash,
    ) -> impl Future<Output = Result<Verdict, Error>> + Send;

    /// Takes as long as [`verify`](Self::verify) where there is no account to verify against.
    fn verify_nothing(&self, password: &RawPassword) -> impl Future<Output = Result<(), Error>> + Send;
}

/// What came of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Match,
    /// It is the password, and the hash is of older parameters or an older pepper.
    MatchOutdated,
    /// It is not the password.
    Mismatch,
}

/// Where attempts on one account wait for each other, in this process: only so many are looked at at once.
pub trait Turns: Send + Sync + 'static {
    /// A place in front. Others wait for it to be dropped.
    type Turn: Send + Sync;

    /// Waits until only as many others are in front as may be looked at at once, or refuses with [`Error::HasherBusy`].
    fn line_up(&self, attempt: &Attempt) -> impl Future<Output = Result<Self::Turn, Error>> + Send;

    /// The refusal of somebody who may not wait.
    fn refuse(&self) -> Error;

    /// Lets other processes come to a decision for a moment; refuses with [`Error::HasherBusy`] who has waited for too
    /// long since it lined up.
    fn pause(&self, turn: &Self::Turn) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Signs access tokens and reads them back.
pub trait TokenSigner: Send + Sync + 'static {
    /// Makes a token.
    fn sign(&self, claims: &Claims) -> Result<AccessToken, Error>;

    /// Checks signature, issuer, audience and form. Does not look at the clock.
    fn verify(&self, token: &str) -> Option<Claims>;
}

/// This server's clock: it only ever refuses early, stored times come from the store's.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Lets time pass, if whoever is waiting has so much; else says no at once.
    fn sleep(&self, duration: Duration) -> impl Future<Output = bool> + Send;
}

/// Makes ids from time and randomness.
pub trait Ids: Send + Sync + 'static {
    /// A new account id: a UUIDv7.
    fn account_id(&self) -> UserId;

    /// A new session id: 128 random bits.
    fn session_id(&self) -> SessionId;

    /// A new attempt's id: 128 random bits.
    fn attempt_id(&self) -> AttemptId;

    /// A new epoch: 128 random bits.
    fn epoch(&self) -> Epoch;
}
