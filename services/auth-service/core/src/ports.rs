//! What the use cases need of the outside. Each port has a production adapter and a fake in [`crate::testing`].

use std::future::Future;
use std::time::Duration;

use identity::{Epoch, RawPassword, RequestId, Timestamp, UserId, Username};

use crate::domain::{
    AccessToken, Account, AccountKey, Claims, LiveSession, NewAccount, PasswordHash, Session, SessionId,
    SessionPosition, StoredAccount,
};
use crate::{Error, StoreError};

/// All ports as one type, so that a use case has one type parameter.
pub trait Ports: Send + Sync + 'static {
    /// Where accounts and sessions are kept.
    type Store: Store;
    /// What hashes passwords.
    type Hasher: PasswordHasher;
    /// What signs and verifies access tokens.
    type Signer: TokenSigner;
    /// What tells this server's time.
    type Clock: Clock;
    /// What makes ids.
    type Ids: Ids;
}

/// A store of accounts, sessions and the feed.
pub trait Store: Send + Sync + 'static {
    /// A unit of work.
    type Tx: Transaction;
    /// Single reads.
    type Reader: Reader + Clone;

    /// Begins a unit of work. Nothing of it remains unless it is committed.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Single reads, outside any unit of work.
    fn reader(&self) -> &Self::Reader;
}

/// A unit of work: dropping it undoes it.
///
/// Whatever changes an account or opens a session locks the account first, so that log-in, password changes and
/// disabling happen one after the other for one account.
pub trait Transaction: Send {
    /// The store's time, read after the locks that the unit of work holds by now.
    fn now(&mut self) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// Loads an account and keeps others from changing it until the end of this unit of work.
    fn lock_account(
        &mut self,
        id: UserId,
    ) -> impl Future<Output = Result<Option<StoredAccount>, StoreError>> + Send;

    /// Adds an active account, at the end of the feed. The store's constraints decide what is taken; after a conflict
    /// this unit of work can only be dropped.
    fn insert_account(
        &mut self,
        account: &NewAccount,
        now: Timestamp,
    ) -> impl Future<Output = Result<Insertion, StoreError>> + Send;

    /// Writes state, credential and update time of a locked account, which moves to the end of the feed. The last
    /// statement before the commit: it takes the feed's counter, which all writers of accounts share.
    fn update_account(
        &mut self,
        account: &StoredAccount,
    ) -> impl Future<Output = Result<Account, StoreError>> + Send;

    /// Replaces the hash of a locked account by another of the same password. No change of the account.
    fn rehash(
        &mut self,
        id: UserId,
        hash: &PasswordHash,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds a session of a locked account.
    fn insert_session(&mut self, session: &Session) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends one session of a user and returns it, if it was alive.
    fn end_session(
        &mut self,
        user_id: UserId,
        id: &SessionId,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Ends all sessions of a user but one; returns how many were alive.
    fn end_sessions(
        &mut self,
        user_id: UserId,
        keep: Option<&SessionId>,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// Ends the oldest live sessions of a locked account until at most `remaining` are left.
    fn end_oldest_sessions(
        &mut self,
        user_id: UserId,
        remaining: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes a use of a live session and raises its expiry, never lowers it. `None`: there is no such live session. It
    /// never makes one.
    fn use_session(
        &mut self,
        id: &SessionId,
        expire_time: Timestamp,
        last_used_time: Timestamp,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Takes a request id for a sign-up. Parallel takers of the same id wait for each other.
    fn claim_request(
        &mut self,
        request: &SignUpRecord,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Deletes at most `limit` expired sessions and `limit` request ids older than 24 hours; returns how many rows went.
    fn purge(&mut self, limit: u32) -> impl Future<Output = Result<u32, StoreError>> + Send;

    /// After a restore: begins another life of the database and ends every session; returns how many were alive.
    fn begin_epoch(&mut self, epoch: &Epoch) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Makes the unit of work durable and visible.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Single reads. Each sees everything that was committed before it began.
pub trait Reader: Send + Sync + 'static {
    /// An account with its credential.
    fn account(
        &self,
        key: &AccountKey,
    ) -> impl Future<Output = Result<Option<StoredAccount>, StoreError>> + Send;

    /// A session that has not expired by the store's clock, with its account.
    fn live_session(
        &self,
        id: &SessionId,
    ) -> impl Future<Output = Result<Option<LiveSession>, StoreError>> + Send;

    /// Live sessions of a user, newest first, after a place in the list.
    fn live_sessions(
        &self,
        user_id: UserId,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Session>, StoreError>> + Send;

    /// What a request id of the last 24 hours was used for.
    fn sign_up_request(
        &self,
        id: RequestId,
    ) -> impl Future<Output = Result<Option<SignUpRecord>, StoreError>> + Send;

    /// The accounts whose last change comes after `number`, in the order of these changes, at most `limit`.
    fn changes_after(
        &self,
        number: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Changes, StoreError>> + Send;

    /// Returns when there may be a change after `number`, and within 4 seconds in any case.
    fn wait_for_change(&self, number: i64) -> impl Future<Output = ()> + Send;
}

/// What came of adding an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is added.
    Inserted(Account),
    /// Another account has the name, ignoring case.
    UsernameTaken,
    /// Another account has the id.
    IdTaken,
}

/// A sign-up that was asked for under a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignUpRecord {
    /// The request id.
    pub request_id: RequestId,
    /// The username as it was entered: what makes the content of the request, the password aside.
    pub username: Username,
    /// The account that came of it.
    pub account_id: UserId,
}

/// What came of taking a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is taken by this unit of work.
    Claimed,
    /// It was taken before.
    Known(SignUpRecord),
}

/// A part of the feed, read at one moment.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The life of the database.
    pub epoch: Epoch,
    /// The number of the newest change of all.
    pub newest: i64,
    /// The accounts, by the number of their last change.
    pub accounts: Vec<Account>,
}

/// Hashes passwords, a few at a time.
pub trait PasswordHasher: Send + Sync + 'static {
    /// The right to one verification and one hash.
    type Permit: HashingPermit;

    /// Refuses with [`Error::HasherBusy`] whom [`admit`](Self::admit) would refuse at once, as things are now.
    fn expect_turn(&self) -> Result<(), Error>;

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

    /// Lets time pass.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// Makes ids from time and randomness.
pub trait Ids: Send + Sync + 'static {
    /// A new account id: a UUIDv7.
    fn account_id(&self) -> UserId;

    /// A new session id: 128 random bits.
    fn session_id(&self) -> SessionId;

    /// A new epoch: 128 random bits.
    fn epoch(&self) -> Epoch;
}
