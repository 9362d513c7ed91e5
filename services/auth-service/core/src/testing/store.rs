//! A store in memory, which is held to the same behaviour as the real ones by the store contract.

mod throttle;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use fail_point::mutant;
use identity::{AccountVersion, Epoch, RequestId, Timestamp, UserId, Username};
use tokio::sync::{Mutex as Writer, OwnedMutexGuard};

use super::FakeClock;
use crate::StoreError;
use crate::domain::{
    Account, AccountKey, AccountState, AddressCount, Attempt, AttemptId, ClientAddress, LiveSession,
    NewAccount, PasswordHash, Session, SessionId, SessionPosition, SignUps, Standing, StoredAccount,
};
use crate::ports::{Changes, Claim, Insertion, LockedAccount, Reader, SignUpRecord, Store, Transaction};

/// A store in memory. Units of work are one at a time, and copied back on commit; who only reads does not wait for them.
#[derive(Clone, Debug)]
pub struct FakeStore {
    reader: FakeReader,
    writer: Arc<Writer<()>>,
}

/// Single reads of the fake store.
#[derive(Clone, Debug)]
pub struct FakeReader {
    state: Arc<Mutex<State>>,
    clock: FakeClock,
    faults: Arc<Mutex<Faults>>,
}

/// What becomes of a commit whose reply is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostCommit {
    /// It was made.
    Made,
    /// It was not made.
    Undone,
}

/// What goes wrong next.
#[derive(Debug, Default)]
struct Faults {
    lost_commits: VecDeque<LostCommit>,
    refused_begins: u32,
}

/// A unit of work of the fake store.
#[derive(Debug)]
pub struct FakeTx {
    committed: Arc<Mutex<State>>,
    working: State,
    _writer: OwnedMutexGuard<()>,
    clock: FakeClock,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Clone, Debug)]
struct State {
    epoch: Epoch,
    newest: i64,
    accounts: BTreeMap<UserId, StoredAccount>,
    sessions: BTreeMap<SessionId, Session>,
    requests: BTreeMap<String, (SignUpRecord, Timestamp)>,
    throttle: throttle::Counts,
}

impl FakeStore {
    /// An empty store that tells the time by this clock.
    #[must_use]
    pub fn new(clock: FakeClock) -> Self {
        let state = State {
            epoch: Epoch::parse("first").expect("letters"),
            newest: 0,
            accounts: BTreeMap::new(),
            sessions: BTreeMap::new(),
            requests: BTreeMap::new(),
            throttle: throttle::Counts::default(),
        };
        let state = Arc::new(Mutex::new(state));
        Self { reader: FakeReader { state, clock, faults: Arc::default() }, writer: Arc::default() }
    }

    /// All accounts there are, as they were committed.
    #[must_use]
    pub fn accounts(&self) -> Vec<StoredAccount> {
        self.reader.state().accounts.values().cloned().collect()
    }

    /// All sessions there are, expired ones included.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.reader.state().sessions.values().cloned().collect()
    }

    /// Loses the replies to the next commits, one after the other.
    pub fn lose_commits(&self, lost: impl IntoIterator<Item = LostCommit>) {
        self.reader.faults().lost_commits.extend(lost);
    }

    /// Refuses to begin so many units of work.
    pub fn refuse_begins(&self, times: u32) {
        self.reader.faults().refused_begins = times;
    }
}

impl FakeReader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuses(&self) -> bool {
        let mut faults = self.faults();
        let refuses = faults.refused_begins > 0;
        faults.refused_begins = faults.refused_begins.saturating_sub(1);
        refuses
    }
}

impl Store for FakeStore {
    type Tx = FakeTx;
    type Reader = FakeReader;

    async fn begin(&self) -> Result<FakeTx, StoreError> {
        if self.reader.refuses() {
            return Err(StoreError::Unavailable("refused".into()));
        }
        let FakeReader { state, clock, faults } = self.reader.clone();
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let working = self.reader.state().clone();
        Ok(FakeTx { committed: state, working, _writer: writer, clock, faults })
    }

    async fn begin_costly(&self) -> Result<FakeTx, StoreError> {
        self.begin().await
    }

    fn reader(&self) -> &FakeReader {
        &self.reader
    }

    fn costly_reader(&self) -> &FakeReader {
        &self.reader
    }
}

impl State {
    fn next_version(&mut self) -> AccountVersion {
        self.newest += 1;
        AccountVersion { epoch: self.epoch.clone(), number: self.newest }
    }

    fn named(&self, canonical: &str) -> Option<&StoredAccount> {
        // Names that differ in case are two.
        let as_entered = mutant("usernames.as_entered");
        let is_it =
            |name: &Username| (if as_entered { name.as_str() } else { name.canonical() }) == canonical;
        self.accounts.values().find(|stored| is_it(&stored.account.username))
    }

    /// Ends the sessions that `ends` picks; gives those that were alive.
    fn end(&mut self, now: Timestamp, ends: impl Fn(&Session) -> bool) -> Vec<Session> {
        let mut ended = Vec::new();
        self.sessions.retain(|_, session| {
            let goes = ends(session);
            if goes && session.expire_time > now {
                ended.push(session.clone());
            }
            !goes
        });
        ended
    }

    fn live(&self, user_id: UserId, now: Timestamp) -> Vec<Session> {
        let live = |session: &&Session| session.user_id == user_id && session.expire_time > now;
        let mut sessions: Vec<_> = self.sessions.values().filter(live).cloned().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.create_time, session.id.clone())));
        sessions
    }
}

fn count(sessions: &[Session]) -> u32 {
    u32::try_from(sessions.len()).unwrap_or(u32::MAX)
}

fn day_before(now: Timestamp) -> Timestamp {
    now - TimeDelta::hours(24)
}

impl Transaction for FakeTx {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn lock_account(&mut self, id: UserId) -> Result<Option<LockedAccount>, StoreError> {
        let found = self.working.accounts.get(&id).cloned();
        Ok(found.map(|stored| LockedAccount { stored, now: self.clock.now() }))
    }

    async fn insert_account(&mut self, new: &NewAccount, now: Timestamp) -> Result<Insertion, StoreError> {
        if self.working.accounts.contains_key(&new.id) {
            return Ok(Insertion::IdTaken);
        }
        if self.working.named(new.username.canonical()).is_some() {
            return Ok(Insertion::UsernameTaken);
        }
        let account = Account {
            id: new.id,
            username: new.username.clone(),
            state: AccountState::Active,
            create_time: now,
            update_time: now,
            version: self.working.next_version(),
        };
        let stored = StoredAccount {
            account: account.clone(),
            password_hash: new.password_hash.clone(),
            credential_version: 1,
        };
        self.working.accounts.insert(new.id, stored);
        Ok(Insertion::Inserted(account))
    }

    async fn update_account(&mut self, changed: &StoredAccount) -> Result<Account, StoreError> {
        let mut stored = changed.clone();
        stored.account.version = self.working.next_version();
        self.working.accounts.insert(stored.account.id, stored.clone());
        Ok(stored.account)
    }

    async fn rehash(&mut self, id: UserId, hash: &PasswordHash) -> Result<(), StoreError> {
        if let Some(stored) = self.working.accounts.get_mut(&id) {
            stored.password_hash = hash.clone();
        }
        Ok(())
    }

    async fn open_session(&mut self, session: &Session, others: u32) -> Result<(), StoreError> {
        let live = self.working.live(session.user_id, self.clock.now());
        for displaced in live.iter().skip(others as usize) {
            self.working.sessions.remove(&displaced.id);
        }
        self.working.sessions.insert(session.id.clone(), session.clone());
        Ok(())
    }

    async fn end_session(&mut self, user_id: UserId, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let ended =
            self.working.end(self.clock.now(), |session| session.user_id == user_id && session.id == *id);
        Ok(ended.into_iter().next())
    }

    async fn end_sessions(&mut self, user_id: UserId, keep: Option<&SessionId>) -> Result<u32, StoreError> {
        let ends = |session: &Session| session.user_id == user_id && Some(&session.id) != keep;
        Ok(count(&self.working.end(self.clock.now(), ends)))
    }

    async fn use_session(
        &mut self,
        id: &SessionId,
        expire_time: Timestamp,
        last_used_time: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let Some(session) = self.working.sessions.get_mut(id).filter(|session| session.expire_time > now)
        else {
            return Ok(None);
        };
        session.expire_time = session.expire_time.max(expire_time);
        session.last_used_time = session.last_used_time.max(last_used_time);
        Ok(Some(session.clone()))
    }

    async fn claim_request(&mut self, request: &SignUpRecord) -> Result<Claim, StoreError> {
        let now = self.clock.now();
        let key = request.request_id.to_string();
        match self.working.requests.get(&key) {
            Some((known, time)) if *time > day_before(now) => Ok(Claim::Known(known.clone())),
            _ => {
                self.working.requests.insert(key, (request.clone(), now));
                Ok(Claim::Claimed)
            }
        }
    }

    async fn lock_standing(&mut self, attempt: &Attempt) -> Result<Standing, StoreError> {
        Ok(self.working.throttle.standing(attempt, self.clock.now()))
    }

    async fn reserve_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        lapse_time: Timestamp,
    ) -> Result<(), StoreError> {
        self.working.throttle.reserve(id, attempt, lapse_time);
        Ok(())
    }

    async fn settle_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        _before: &Standing,
        after: &Standing,
    ) -> Result<(), StoreError> {
        self.working.throttle.release(id);
        self.working.throttle.write(attempt, after);
        Ok(())
    }

    async fn release_attempt(&mut self, id: AttemptId) -> Result<(), StoreError> {
        self.working.throttle.release(id);
        Ok(())
    }

    async fn forget_failures(&mut self, username: &Username) -> Result<(), StoreError> {
        self.working.throttle.forget(username);
        Ok(())
    }

    async fn lock_sign_ups(&mut self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        Ok(self.working.throttle.sign_ups(address, self.clock.now()))
    }

    async fn write_sign_ups(
        &mut self,
        address: &ClientAddress,
        count: Option<AddressCount>,
    ) -> Result<(), StoreError> {
        self.working.throttle.write_sign_ups(address, count);
        Ok(())
    }

    async fn purge(&mut self, limit: u32, kept_counts: u32) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let expired = self.working.sessions.values().filter(|session| session.expire_time <= now);
        let sessions: Vec<_> = expired.take(limit as usize).map(|session| session.id.clone()).collect();
        let old = self.working.requests.iter().filter(|(_, (_, time))| *time <= day_before(now));
        let requests: Vec<_> = old.take(limit as usize).map(|(id, _)| id.clone()).collect();
        self.working.sessions.retain(|id, _| !sessions.contains(id));
        self.working.requests.retain(|id, _| !requests.contains(id));
        let counts = self.working.throttle.purge(now, limit as usize, kept_counts as usize);
        Ok(u32::try_from(sessions.len() + requests.len() + counts).unwrap_or(u32::MAX))
    }

    async fn begin_epoch(&mut self, epoch: &Epoch) -> Result<u64, StoreError> {
        self.working.epoch = epoch.clone();
        for stored in self.working.accounts.values_mut() {
            stored.account.version.epoch = epoch.clone();
        }
        Ok(self.working.end(self.clock.now(), |_| true).len() as u64)
    }

    async fn commit(self) -> Result<(), StoreError> {
        let lost = self.faults.lock().unwrap_or_else(PoisonError::into_inner).lost_commits.pop_front();
        if lost != Some(LostCommit::Undone) {
            *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = self.working;
        }
        match lost {
            Some(_) => Err(StoreError::OutcomeUnknown("the reply is lost".into())),
            None => Ok(()),
        }
    }
}

impl Reader for FakeReader {
    async fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        let state = self.state();
        Ok(match key {
            AccountKey::Id(id) => state.accounts.get(id).cloned(),
            AccountKey::Username(name) => state.named(name.canonical()).cloned(),
        })
    }

    async fn live_session(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        let state = self.state();
        let now = self.clock.now();
        let session = state.sessions.get(id).filter(|session| session.expire_time > now);
        Ok(session.and_then(|session| {
            let stored = state.accounts.get(&session.user_id)?;
            Some(LiveSession { session: session.clone(), account: stored.account.clone(), now })
        }))
    }

    async fn live_sessions(
        &self,
        user_id: UserId,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let live = self.state().live(user_id, self.clock.now());
        let behind = |session: &Session| {
            after.is_none_or(|place| (session.create_time, &session.id) < (place.create_time, &place.id))
        };
        Ok(live.into_iter().filter(behind).take(limit as usize).collect())
    }

    async fn sign_up_request(&self, id: RequestId) -> Result<Option<SignUpRecord>, StoreError> {
        let since = day_before(self.clock.now());
        let state = self.state();
        Ok(state
            .requests
            .get(&id.to_string())
            .filter(|(_, time)| *time > since)
            .map(|(known, _)| known.clone()))
    }

    async fn standing(&self, attempt: &Attempt) -> Result<Standing, StoreError> {
        Ok(self.state().throttle.standing(attempt, self.clock.now()))
    }

    async fn sign_ups(&self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        Ok(self.state().throttle.sign_ups(address, self.clock.now()))
    }

    async fn changes_after(&self, number: i64, limit: u32) -> Result<Changes, StoreError> {
        let state = self.state();
        let mut accounts: Vec<_> = state.accounts.values().map(|stored| stored.account.clone()).collect();
        accounts.retain(|account| account.version.number > number);
        accounts.sort_by_key(|account| account.version.number);
        accounts.truncate(limit as usize);
        Ok(Changes { epoch: state.epoch.clone(), newest: state.newest, accounts })
    }

    /// Lets others go on: nothing else here ever waits.
    async fn wait_for_change(&self, _number: i64) {
        tokio::task::yield_now().await;
    }
}
