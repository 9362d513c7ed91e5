//! The store, in memory. One writer at a time, as on the smallest real engine; it passes the same contract.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::TimeDelta;
use identity::{AccountVersion, ConsistencyToken, Epoch, Timestamp, UserId, Username};
use tokio::sync::{Mutex as Writer, OwnedMutexGuard};

use crate::domain::{Account, FeedState, Fence, LeaseOwner, Role, State, User, UserKey};
use crate::error::StoreError;
use crate::ports::{
    Bootstraps, Claim, FeedRows, Reader, Requests, Reservations, Roles, Store, StoredRequest, Transaction,
    UserRows,
};
use crate::queries::{Direction, ListUsers, UserPage};
use crate::testing::a_time;

mod rows;

use rows::Rows;

/// A store whose clock stands still until it is moved, and that can break down.
#[derive(Default)]
pub struct MemoryStore {
    reader: MemoryReader,
    writer: Arc<Writer<()>>,
    bootstrap: Arc<Writer<()>>,
}

/// Reads what was committed.
#[derive(Clone, Default)]
pub struct MemoryReader(Arc<Shared>);

#[derive(Default)]
struct Shared {
    committed: Mutex<Rows>,
    passed: Mutex<TimeDelta>,
    broken: AtomicBool,
    commits: Mutex<VecDeque<Option<LostCommit>>>,
    breaks_down_at_commit: AtomicBool,
    is_late: AtomicBool,
    changed_by_others: Mutex<Option<(UserId, i64)>>,
    confirmed_by_others: AtomicBool,
}

/// What became of a commit during which the connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCommit {
    /// It happened.
    Done,
    /// It did not.
    Undone,
}

impl Shared {
    fn rows(&self) -> Result<MutexGuard<'_, Rows>, StoreError> {
        if self.broken.load(Ordering::Relaxed) && self.is_late.load(Ordering::Relaxed) {
            return Err(StoreError::DeadlineExceeded);
        }
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("it broke down".into()));
        }
        Ok(lock(&self.committed))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds the lock")
}

impl MemoryStore {
    /// Lets time pass.
    pub fn advance(&self, by: TimeDelta) {
        *lock(&self.reader.0.passed) += by;
    }

    /// From now on it cannot be reached.
    pub fn break_down(&self) {
        self.reader.0.broken.store(true, Ordering::Relaxed);
    }

    /// During each of the next commits the connection is lost.
    pub fn lose_commits(&self, lost: impl IntoIterator<Item = LostCommit>) {
        self.lose_some_commits(lost.into_iter().map(Some));
    }

    /// Says of each of the next commits whether the connection is lost during it.
    pub fn lose_some_commits(&self, lost: impl IntoIterator<Item = Option<LostCommit>>) {
        lock(&self.reader.0.commits).extend(lost);
    }

    /// While the next attempt is waited for, others change the role of this user so many times.
    pub fn let_others_change_the_role(&self, id: UserId, times: i64) {
        *lock(&self.reader.0.changed_by_others) = Some((id, times));
    }

    /// While the next attempt is waited for, others confirm every request that is remembered.
    pub fn let_others_confirm_the_requests(&self) {
        self.reader.0.confirmed_by_others.store(true, Ordering::Relaxed);
    }

    /// From the next commit on it cannot be reached.
    pub fn break_down_after_commit(&self) {
        self.reader.0.breaks_down_at_commit.store(true, Ordering::Relaxed);
    }

    /// After the next commit the caller has no time left.
    pub fn be_late_after_commit(&self) {
        self.reader.0.is_late.store(true, Ordering::Relaxed);
        self.break_down_after_commit();
    }

    /// All users there are, as they were committed.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        lock(&self.reader.0.committed).users.values().cloned().collect()
    }

    /// How many ids are reserved.
    #[must_use]
    pub fn reservations(&self) -> usize {
        lock(&self.reader.0.committed).reservations.len()
    }

    /// How many requests are remembered.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.reader.0.committed).requests.len()
    }
}

impl Store for MemoryStore {
    type Tx = MemoryTransaction;
    type Reader = MemoryReader;
    type BootstrapLock = OwnedMutexGuard<()>;

    async fn begin(&self) -> Result<MemoryTransaction, StoreError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let rows = self.reader.0.rows()?.clone();
        Ok(MemoryTransaction { shared: Arc::clone(&self.reader.0), rows, _writer: writer })
    }

    async fn begin_costly(&self) -> Result<MemoryTransaction, StoreError> {
        self.begin().await
    }

    fn reader(&self) -> &MemoryReader {
        &self.reader
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        self.reader.find_user(key).await
    }

    async fn has_reached(&self, id: UserId, version: &AccountVersion) -> Result<bool, StoreError> {
        let rows = self.reader.0.rows()?;
        let wanted = rows.rank(version);
        Ok(wanted.is_some() && rows.users.get(&id).is_some_and(|user| rows.rank(&user.account) >= wanted))
    }

    async fn bootstrap_lock(&self) -> Result<Option<Self::BootstrapLock>, StoreError> {
        Ok(Arc::clone(&self.bootstrap).try_lock_owned().ok())
    }

    async fn wait_before_attempt(&self, attempt: u32) -> bool {
        if let Some((id, times)) = lock(&self.reader.0.changed_by_others).take()
            && let Some(user) = lock(&self.reader.0.committed).users.get_mut(&id)
        {
            user.role = Role::User;
            user.role_version += times;
            user.role_time += TimeDelta::seconds(1);
        }
        if self.reader.0.confirmed_by_others.swap(false, Ordering::Relaxed) {
            for (_, made) in &mut lock(&self.reader.0.committed).requests {
                *made += TimeDelta::microseconds(1);
            }
        }
        attempt < 3
    }
}

impl Reader for MemoryReader {
    async fn at_least(&self, _: &ConsistencyToken) -> Self {
        self.clone()
    }

    fn primary(&self) -> Self {
        self.clone()
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        Ok(self.0.rows()?.find(key).cloned())
    }

    async fn list_users(&self, query: &ListUsers) -> Result<UserPage, StoreError> {
        let filter = &query.filter;
        let mut users: Vec<User> = self.0.rows()?.users.values().cloned().collect();
        users.retain(|user| {
            (filter.roles.is_empty() || filter.roles.contains(&user.role))
                && (filter.states.is_empty() || filter.states.contains(&user.state))
                && user.username.canonical().starts_with(filter.prefix.canonical())
        });
        let total = query.include_total.then(|| i64::try_from(users.len()).expect("few users"));
        let key = |user: &User| query.order.by.key(user);
        users.sort_by(|a, b| {
            let keys = match query.order.direction {
                Direction::Ascending => key(a).cmp(&key(b)),
                Direction::Descending => key(b).cmp(&key(a)),
            };
            keys.then(a.id.cmp(&b.id))
        });
        if let Some(place) = &query.after {
            users.retain(|user| {
                let (beyond, here) = match query.order.direction {
                    Direction::Ascending => (key(user) > place.key, key(user) == place.key),
                    Direction::Descending => (key(user) < place.key, key(user) == place.key),
                };
                beyond || (here && user.id > place.id)
            });
        }
        let page =
            users.into_iter().skip(query.to_pass_over().into()).take(usize::from(query.page_size.get()) + 1);
        Ok(UserPage::new(query, page.collect(), total))
    }
}

/// A copy of everything, which takes the place of the original when it is committed.
pub struct MemoryTransaction {
    shared: Arc<Shared>,
    rows: Rows,
    _writer: OwnedMutexGuard<()>,
}

impl MemoryTransaction {
    fn time(&self) -> Timestamp {
        a_time(0) + *lock(&self.shared.passed)
    }
}

impl Transaction for MemoryTransaction {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.time())
    }

    async fn commit(self) -> Result<(), StoreError> {
        let lost = lock(&self.shared.commits).pop_front().flatten();
        if lost != Some(LostCommit::Undone) {
            *self.shared.rows()? = self.rows;
        }
        let breaks_down = self.shared.breaks_down_at_commit.load(Ordering::Relaxed);
        self.shared.broken.fetch_or(breaks_down, Ordering::Relaxed);
        match lost {
            Some(_) => Err(StoreError::OutcomeUnknown("the connection was lost".into())),
            None => Ok(()),
        }
    }
}

impl UserRows for MemoryTransaction {
    async fn lock_user(&mut self, key: &UserKey) -> Result<Option<User>, StoreError> {
        Ok(self.rows.find(key).cloned())
    }

    async fn apply_accounts(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        for account in accounts {
            self.rows.apply(account);
        }
        Ok(())
    }

    async fn retire_users_before(
        &mut self,
        epoch: &Epoch,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Option<UserId>, StoreError> {
        let now = self.time();
        let ordinals = self.rows.epochs.clone();
        let ordinal = |epoch: &Epoch| ordinals.iter().position(|known| known == epoch);
        let mut slice = self.rows.users.values_mut().filter(|user| Some(user.id) > after);
        let mut last = None;
        for user in slice.by_ref().take(limit.into()) {
            last = Some(user.id);
            if ordinal(&user.account.epoch) < ordinal(epoch) {
                user.account = AccountVersion { epoch: epoch.clone(), number: 0 };
                user.state = State::Inactive;
                user.update_time = user.update_time.max(now);
            }
        }
        Ok(last.filter(|_| slice.next().is_some()))
    }
}

impl Roles for MemoryTransaction {
    async fn update_role(&mut self, user: &User) -> Result<(), StoreError> {
        self.rows.users.insert(user.id, user.clone());
        Ok(())
    }

    async fn lock_super_admins(&mut self) -> Result<Vec<User>, StoreError> {
        Ok(self.rows.users.values().filter(|user| user.role == Role::SuperAdmin).cloned().collect())
    }
}

impl Reservations for MemoryTransaction {
    async fn reserve(&mut self, id: UserId, role: Role) -> Result<(), StoreError> {
        if !self.rows.users.contains_key(&id) {
            self.rows.reservations.insert(id, (role, self.time()));
        }
        Ok(())
    }

    async fn give_up(&mut self, id: UserId) -> Result<(), StoreError> {
        if !self.rows.users.contains_key(&id) {
            self.rows.reservations.remove(&id);
            self.rows.requests.retain(|(request, _)| request.user_id != id);
        }
        Ok(())
    }

    async fn reservations_before(&mut self, time: Timestamp, limit: u16) -> Result<Vec<UserId>, StoreError> {
        let mut old: Vec<_> = self.rows.reservations.iter().filter(|(_, (_, made))| *made < time).collect();
        old.sort_by_key(|(id, (_, made))| (*made, **id));
        Ok(old.into_iter().map(|(id, _)| *id).take(limit.into()).collect())
    }

    async fn delete_reservation_before(&mut self, id: UserId, time: Timestamp) -> Result<(), StoreError> {
        self.rows.reservations.retain(|reserved, (_, made)| *reserved != id || *made >= time);
        Ok(())
    }
}

impl Requests for MemoryTransaction {
    async fn claim_request(
        &mut self,
        request: &StoredRequest,
        lifetime: TimeDelta,
    ) -> Result<Claim, StoreError> {
        let now = self.time();
        let marked = |(old, _): &&mut (StoredRequest, Timestamp)| {
            (old.caller, old.request_id) == (request.caller, request.request_id)
        };
        let Some((old, made)) = self.rows.requests.iter_mut().find(marked) else {
            self.rows.requests.push((request.clone(), now));
            return Ok(Claim { remembered: request.clone(), is_new: true, time: now });
        };
        let is_new = *made < now - lifetime;
        if is_new {
            let repeats = (&old.username, old.role) == (&request.username, request.role);
            if !(*made == Timestamp::UNIX_EPOCH && repeats) {
                *old = request.clone();
            }
            *made = now;
        }
        Ok(Claim { remembered: old.clone(), is_new, time: *made })
    }

    async fn confirm_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        let now = self.time();
        let marked = |(old, _): &&mut (StoredRequest, Timestamp)| {
            (old.caller, old.request_id) == (request.caller, request.request_id)
        };
        match self.rows.requests.iter_mut().find(marked) {
            Some((old, made)) if old.user_id == request.user_id => {
                *made = now.max(*made + TimeDelta::microseconds(1));
            }
            Some(_) => {}
            None => self.rows.requests.push((request.clone(), now)),
        }
        Ok(())
    }

    async fn release_request(&mut self, request: &StoredRequest, time: Timestamp) -> Result<(), StoreError> {
        let named = |of: &StoredRequest| (of.caller, of.request_id, of.user_id);
        for (old, made) in &mut self.rows.requests {
            if named(old) == named(request) && *made == time {
                *made = Timestamp::UNIX_EPOCH;
            }
        }
        Ok(())
    }

    async fn delete_requests_before(&mut self, time: Timestamp, limit: u16) -> Result<u64, StoreError> {
        let mut left = u64::from(limit);
        self.rows.requests.retain(|(_, made)| {
            let goes = *made < time && left > 0;
            left -= u64::from(goes);
            !goes
        });
        Ok(u64::from(limit) - left)
    }
}

impl FeedRows for MemoryTransaction {
    async fn take_lease(
        &mut self,
        owner: LeaseOwner,
        lifetime: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let now = self.time();
        match self.rows.lease {
            Some((holder, expires)) if expires > now && holder != owner => return Ok(None),
            Some((holder, expires)) if expires > now && holder == owner => {}
            _ => self.rows.fence += 1,
        }
        let lifetime = TimeDelta::from_std(lifetime).expect("a short time");
        self.rows.lease = Some((owner, now + lifetime));
        Ok(Some(Fence(self.rows.fence)))
    }

    async fn release_lease(&mut self, owner: LeaseOwner) -> Result<(), StoreError> {
        self.rows.lease = self.rows.lease.filter(|(holder, _)| *holder != owner);
        Ok(())
    }

    async fn feed_state(&mut self) -> Result<FeedState, StoreError> {
        Ok(self.rows.feed.clone())
    }

    async fn move_feed(&mut self, fence: Fence, state: &FeedState) -> Result<bool, StoreError> {
        if fence != Fence(self.rows.fence) {
            return Ok(false);
        }
        self.rows.feed = state.clone();
        Ok(true)
    }
}

impl Bootstraps for MemoryTransaction {
    async fn unfinished_bootstrap(&mut self) -> Result<Option<(UserId, Username)>, StoreError> {
        Ok(self.rows.bootstrap.clone())
    }

    async fn begin_bootstrap(&mut self, id: UserId, username: &Username) -> Result<(), StoreError> {
        self.rows.bootstrap = Some((id, username.clone()));
        Ok(())
    }

    async fn end_bootstrap(&mut self) -> Result<(), StoreError> {
        self.rows.bootstrap = None;
        Ok(())
    }
}
