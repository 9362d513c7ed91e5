//! The port of the store: units of work and single reads. Knows no engine.

use identity::{Epoch, RequestId, Timestamp, UserId, Username};

use crate::StoreError;
use crate::domain::{
    Account, AccountKey, AddressCount, Attempt, AttemptId, ClientAddress, LiveSession, NewAccount,
    PasswordHash, Session, SessionId, SessionPosition, SignUps, Standing, StoredAccount,
};

/// A store of accounts, sessions, the feed, and failed attempts.
pub trait Store: Send + Sync + 'static {
    /// A unit of work.
    type Tx: Transaction;
    /// Single reads.
    type Reader: Reader + Clone;

    /// Begins a unit of work. Nothing of it remains unless it is committed.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// As [`begin`](Self::begin), for what comes with a hash: anybody may ask for it, so it must not take from the others what
    /// the store has a limited number of.
    fn begin_costly(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Single reads, outside any unit of work.
    fn reader(&self) -> &Self::Reader;

    /// As [`reader`](Self::reader), for what comes with a hash.
    fn costly_reader(&self) -> &Self::Reader;
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
    ) -> impl Future<Output = Result<Option<LockedAccount>, StoreError>> + Send;

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

    /// Adds a session of a locked account, and ends the oldest live ones until at most `others` are left beside it.
    fn open_session(
        &mut self,
        session: &Session,
        others: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

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

    /// What is known of attempts like this one. Keeps others on the account or from the address from being reserved or
    /// settled until the end of this unit of work, which takes no other lock after these.
    fn lock_standing(
        &mut self,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// Notes that an attempt is being looked at, until it lapses. Its standing is locked.
    fn reserve_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        lapse_time: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a reservation, and writes the counts of a standing that is locked: what is in `after` and not in `before`.
    fn settle_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        before: &Standing,
        after: &Standing,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a reservation that came to nothing.
    fn release_attempt(&mut self, id: AttemptId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets the failures of an account, at all addresses.
    fn forget_failures(&mut self, username: &Username)
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The sign-ups of an address. Keeps others from being counted until the end of this unit of work.
    fn lock_sign_ups(
        &mut self,
        address: &ClientAddress,
    ) -> impl Future<Output = Result<SignUps, StoreError>> + Send;

    /// Writes the sign-ups of an address, which are locked.
    fn write_sign_ups(
        &mut self,
        address: &ClientAddress,
        count: Option<AddressCount>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes at most `limit` rows of each kind that have expired: sessions, request ids older than 24 hours, counts of
    /// failures and sign-ups, lapsed attempts. Of counts, those that expire first go as well where a table has more than
    /// `kept_counts`. Returns how many rows went.
    fn purge(&mut self, limit: u32, kept_counts: u32)
    -> impl Future<Output = Result<u32, StoreError>> + Send;

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

    /// What is known of attempts like this one.
    fn standing(&self, attempt: &Attempt) -> impl Future<Output = Result<Standing, StoreError>> + Send;

    /// The sign-ups of an address.
    fn sign_ups(&self, address: &ClientAddress) -> impl Future<Output = Result<SignUps, StoreError>> + Send;

    /// The accounts whose last change comes after `number`, in the order of these changes, at most `limit`.
    fn changes_after(
        &self,
        number: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Changes, StoreError>> + Send;

    /// Returns when there may be a change after `number`, and within 4 seconds in any case.
    fn wait_for_change(&self, number: i64) -> impl Future<Output = ()> + Send;
}

/// An account that nobody else changes for now.
#[derive(Clone, Debug)]
pub struct LockedAccount {
    /// As it is.
    pub stored: StoredAccount,
    /// The store's time, read after the lock.
    pub now: Timestamp,
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
