//! Where users, reservations and the place in the feed are kept.
//!
//! What a store must do is written as a suite that every engine and the fake pass (`store_contract`).

use std::slice;
use std::time::Duration;

use chrono::TimeDelta;
use identity::{AccountVersion, ConsistencyToken, Epoch, RequestId, Timestamp, UserId, Username};

use crate::domain::{Account, FeedState, Fence, LeaseOwner, Role, User, UserKey};
use crate::error::StoreError;
use crate::queries::{ListUsers, UserPage};

/// The primary database. Reads without a transaction see everything that was committed before they began.
pub trait Store: Send + Sync + 'static {
    /// A transaction: what it changes is seen by others when it is committed, or never.
    type Tx: Transaction;
    /// What queries read from; a replica may stand behind it.
    type Reader: Reader;
    /// Held while a super admin is made; given back when dropped, and when the process dies.
    type BootstrapLock: Send + 'static;

    /// Begins a transaction.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// As [`begin`](Self::begin), for what comes with a hash at the other service: it leaves connections to the others.
    fn begin_costly(&self) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// What queries read from.
    fn reader(&self) -> &Self::Reader;

    /// The user by id, or the user of the newest epoch by username. A reservation is no user.
    fn find_user(&self, key: &UserKey) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Whether the user is known at this version of the account, a later one, or one of a later epoch.
    fn has_reached(
        &self,
        id: UserId,
        version: &AccountVersion,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The lock under which super admins are made; none when somebody has it.
    fn bootstrap_lock(&self) -> impl Future<Output = Result<Option<Self::BootstrapLock>, StoreError>> + Send;

    /// Waits before work is tried again whose outcome is unknown, longer each time; false when it was tried often enough.
    fn wait_before_attempt(&self, attempt: u32) -> impl Future<Output = bool> + Send;
}

/// What queries read. Answers may be a little old when a replica stands behind it.
pub trait Reader: Clone + Send + Sync + 'static {
    /// A reader that sees this write, which the primary has. It may wait briefly for a replica, and turns to the primary
    /// when that has not come so far.
    fn at_least(&self, token: &ConsistencyToken) -> impl Future<Output = Self> + Send;

    /// A reader that sees everything that was committed before it is asked.
    #[must_use]
    fn primary(&self) -> Self;

    /// The user by id, or the user of the newest epoch by username.
    fn find_user(&self, key: &UserKey) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// A page of users.
    fn list_users(&self, query: &ListUsers) -> impl Future<Output = Result<UserPage, StoreError>> + Send;
}

/// Changes that are seen together or never. Dropping it undoes them.
pub trait Transaction:
    UserRows + Roles + Reservations + Requests + FeedRows + Bootstraps + Send + 'static
{
    /// The store's time, which every stored time is taken from; read after the locks that are held by now.
    fn now(&mut self) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// Makes the changes last.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The projection of accounts.
pub trait UserRows {
    /// The user, which nobody else changes until the end of the transaction.
    fn lock_user(&mut self, key: &UserKey) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Takes over what the owner says, wherever it is newer than what is known: of a later epoch, or of a later version
    /// in the same one. An epoch that was never seen before is the latest. A new user takes the role of its reservation,
    /// or else [`Role::User`]; whose user there is has no reservation afterwards. Applying the same again changes
    /// nothing. Of one account only the last is given; they are locked in the order of their ids.
    fn apply_accounts(&mut self, accounts: &[Account])
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The same for one.
    fn apply_account(&mut self, account: &Account) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.apply_accounts(slice::from_ref(account))
    }

    /// Looks at so many users from there on in the order of their ids, and makes those of an earlier epoch inactive:
    /// after a restore these accounts are no more. They enter this epoch at version 0, so that whatever the owner says
    /// later is newer. Tells whom to go on after; none when there are no more.
    fn retire_users_before(
        &mut self,
        epoch: &Epoch,
        after: Option<UserId>,
        limit: u16,
    ) -> impl Future<Output = Result<Option<UserId>, StoreError>> + Send;
}

/// The roles, which this service owns.
pub trait Roles {
    /// Writes the role of a user that was locked, and the times and version that came with it.
    fn update_role(&mut self, user: &User) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// All super admins, whom nobody else changes until the end of the transaction.
    fn lock_super_admins(&mut self) -> impl Future<Output = Result<Vec<User>, StoreError>> + Send;
}

/// Ids that were given out, with the role that the user will have when its account appears.
pub trait Reservations {
    /// Reserves an id, or renews its reservation, unless there is a user with it.
    fn reserve(&mut self, id: UserId, role: Role) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives an id up, with the request that it was reserved for, unless there is a user with it.
    fn give_up(&mut self, id: UserId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The oldest reservations from before this time.
    fn reservations_before(
        &mut self,
        time: Timestamp,
        limit: u16,
    ) -> impl Future<Output = Result<Vec<UserId>, StoreError>> + Send;

    /// Deletes a reservation if it is still from before this time.
    fn delete_reservation_before(
        &mut self,
        id: UserId,
        time: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A request that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// Whose request it was.
    pub caller: UserId,
    /// How it was marked.
    pub request_id: RequestId,
    /// The name that was asked for, as entered.
    pub username: String,
    /// The role that was asked for.
    pub role: Role,
    /// The id that was given to it.
    pub user_id: UserId,
}

/// What a mark stands for once it was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The request that is remembered.
    pub remembered: StoredRequest,
    /// Whether it is remembered since this claim; otherwise an earlier call is at it or has done it.
    pub is_new: bool,
    /// Since when it is remembered: by this, whoever claimed it can tell later whether somebody else has done it since.
    pub time: Timestamp,
}

/// The requests that repeats are recognised by.
pub trait Requests {
    /// Remembers a request under its mark, unless its caller has one there that is younger than this. One that was released
    /// keeps its user for the same content. Who claims the same mark meanwhile waits for the end of this transaction.
    fn claim_request(
        &mut self,
        request: &StoredRequest,
        lifetime: TimeDelta,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Frees the mark of a request for other content, if it still has this user and is remembered since this time; the
    /// same content stays a repeat.
    fn release_request(
        &mut self,
        request: &StoredRequest,
        time: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Remembers a request that was done from now on, whether its mark was released meanwhile or not, unless that has
    /// another user by now. The time is later than any that a claim of this mark was told.
    fn confirm_request(
        &mut self,
        request: &StoredRequest,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets so many requests from before this time, and tells how many there were.
    fn delete_requests_before(
        &mut self,
        time: Timestamp,
        limit: u16,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// The place in the account feed, and the lease of whoever moves it.
pub trait FeedRows {
    /// Takes the lease if it is free or has run out, extends it if it is this owner's already; none if it is another's.
    /// Each acquisition has a higher fence than the ones before.
    fn take_lease(
        &mut self,
        owner: LeaseOwner,
        lifetime: Duration,
    ) -> impl Future<Output = Result<Option<Fence>, StoreError>> + Send;

    /// Lets the lease go, if it is this owner's, so that another one need not wait for its end.
    fn release_lease(&mut self, owner: LeaseOwner) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The place reached.
    fn feed_state(&mut self) -> impl Future<Output = Result<FeedState, StoreError>> + Send;

    /// Moves the place; false, and nothing is moved, when the lease has been taken by somebody else since.
    fn move_feed(
        &mut self,
        fence: Fence,
        state: &FeedState,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The one bootstrap that may be unfinished.
pub trait Bootstraps {
    /// The id and the name of the super admin that is being made.
    fn unfinished_bootstrap(
        &mut self,
    ) -> impl Future<Output = Result<Option<(UserId, Username)>, StoreError>> + Send;

    /// Remembers that one is being made.
    fn begin_bootstrap(
        &mut self,
        id: UserId,
        username: &Username,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets it.
    fn end_bootstrap(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
