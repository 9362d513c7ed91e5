//! auth-service's store in a run: the fake of its core, which can refuse, lose the reply to a commit and take its time, and
//! before each statement of which a process can die.

use std::sync::Arc;
use std::time::Duration;

use auth_core::StoreError;
use auth_core::domain::{
    Account, AccountKey, AddressCount, Attempt, AttemptId, ClientAddress, LiveSession, NewAccount,
    PasswordHash, Session, SessionId, SessionPosition, SignUps, Standing, StoredAccount,
};
use auth_core::ports::{Changes, Claim, Insertion, LockedAccount, Reader, SignUpRecord, Store, Transaction};
use auth_core::testing::{FakeStore, FakeTx};
use fail_point::mutant;
use identity::{Epoch, RequestId, Timestamp, UserId, Username};
use tokio::sync::Notify;

use crate::scheduler::{Node, Sim, lock};
use crate::weather::Fault;

/// The database, which outlives the processes.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) sim: Sim,
    pub(crate) kept: FakeStore,
    changed: Arc<Notify>,
}

impl Database {
    pub(crate) fn new(sim: &Sim, kept: FakeStore) -> Self {
        Self { sim: sim.clone(), kept, changed: Arc::default() }
    }

    async fn statement(&self, name: &'static str) -> Result<(), StoreError> {
        self.sim.step(name).await;
        if self.sim.suffers(Fault::Refusal) {
            self.sim.tell(|| format!("the store refuses {name}"));
            return Err(StoreError::Unavailable("it is away".into()));
        }
        Ok(())
    }

    fn notify(&self) {
        if !self.sim.suffers(Fault::Silence) {
            self.changed.notify_waiters();
        }
    }

    async fn commit(&self, tx: FakeTx) -> Result<(), StoreError> {
        self.statement("commit").await?;
        if self.sim.suffers(Fault::LostCommit) {
            // It is made later, or never; until then it has its locks.
            let (database, is_made) = (self.clone(), self.sim.below(2) == 0);
            let pause = Duration::from_millis(self.sim.below(300));
            self.sim.tell(|| format!("hears nothing of its commit, which is made: {is_made}"));
            self.sim.spawn(Node::Disk, "commit", async move {
                database.sim.sleep(pause).await;
                if is_made && tx.commit().await.is_ok() {
                    database.notify();
                }
            });
            return Err(StoreError::OutcomeUnknown("the connection was lost".into()));
        }
        tx.commit().await?;
        self.notify();
        Ok(())
    }
}

/// What a process has of it.
pub(crate) struct SimStore(SimReader);

/// Single reads. What a process read it remembers for mutants only.
#[derive(Clone)]
pub(crate) struct SimReader {
    database: Database,
    remembered: Arc<std::sync::Mutex<Vec<LiveSession>>>,
}

/// A unit of work.
pub(crate) struct SimTx {
    database: Database,
    tx: FakeTx,
    remembered: Arc<std::sync::Mutex<Vec<LiveSession>>>,
}

impl SimStore {
    pub(super) fn new(database: Database) -> Self {
        Self(SimReader { database, remembered: Arc::default() })
    }

    /// The reader of the process, for its queries.
    pub(super) fn shared_reader(&self) -> SimReader {
        self.0.clone()
    }

    async fn begun(&self, name: &'static str) -> Result<SimTx, StoreError> {
        let database = &self.0.database;
        database.statement(name).await?;
        let tx = database.kept.begin().await?;
        Ok(SimTx { database: database.clone(), tx, remembered: Arc::clone(&self.0.remembered) })
    }
}

impl Store for SimStore {
    type Tx = SimTx;
    type Reader = SimReader;

    async fn begin(&self) -> Result<SimTx, StoreError> {
        self.begun("begin").await
    }

    async fn begin_costly(&self) -> Result<SimTx, StoreError> {
        self.begun("begin_costly").await
    }

    fn reader(&self) -> &SimReader {
        &self.0
    }

    fn costly_reader(&self) -> &SimReader {
        &self.0
    }
}

impl Transaction for SimTx {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        self.database.statement("now").await?;
        self.tx.now().await
    }

    async fn lock_account(&mut self, id: UserId) -> Result<Option<LockedAccount>, StoreError> {
        self.database.statement("lock_account").await?;
        self.tx.lock_account(id).await
    }

    async fn insert_account(
        &mut self,
        account: &NewAccount,
        now: Timestamp,
    ) -> Result<Insertion, StoreError> {
        self.database.statement("insert_account").await?;
        self.tx.insert_account(account, now).await
    }

    async fn update_account(&mut self, account: &StoredAccount) -> Result<Account, StoreError> {
        self.database.statement("update_account").await?;
        self.tx.update_account(account).await
    }

    async fn rehash(&mut self, id: UserId, hash: &PasswordHash) -> Result<(), StoreError> {
        self.database.statement("rehash").await?;
        self.tx.rehash(id, hash).await
    }

    async fn open_session(&mut self, session: &Session, others: u32) -> Result<(), StoreError> {
        self.database.statement("open_session").await?;
        self.tx.open_session(session, others).await
    }

    async fn end_session(&mut self, user_id: UserId, id: &SessionId) -> Result<Option<Session>, StoreError> {
        self.database.statement("end_session").await?;
        self.tx.end_session(user_id, id).await
    }

    async fn end_sessions(&mut self, user_id: UserId, keep: Option<&SessionId>) -> Result<u32, StoreError> {
        self.database.statement("end_sessions").await?;
        self.tx.end_sessions(user_id, keep).await
    }

    async fn use_session(
        &mut self,
        id: &SessionId,
        expire_time: Timestamp,
        last_used_time: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.database.statement("use_session").await?;
        let used = self.tx.use_session(id, expire_time, last_used_time).await?;
        let known = lock(&self.remembered).iter().find(|live| live.session.id == *id).cloned();
        // The defect of the mutant: the use of a session that has ended brings it back.
        let Some(live) = known.filter(|_| used.is_none() && mutant("use_session.brings_back")) else {
            return Ok(used);
        };
        let session = Session { expire_time, last_used_time, ..live.session };
        self.tx.open_session(&session, u32::MAX).await?;
        Ok(Some(session))
    }

    async fn claim_request(&mut self, request: &SignUpRecord) -> Result<Claim, StoreError> {
        self.database.statement("claim_request").await?;
        self.tx.claim_request(request).await
    }

    async fn lock_standing(&mut self, attempt: &Attempt) -> Result<Standing, StoreError> {
        self.database.statement("lock_standing").await?;
        self.tx.lock_standing(attempt).await
    }

    async fn reserve_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        lapse_time: Timestamp,
    ) -> Result<(), StoreError> {
        self.database.statement("reserve_attempt").await?;
        self.tx.reserve_attempt(id, attempt, lapse_time).await
    }

    async fn settle_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        before: &Standing,
        after: &Standing,
    ) -> Result<(), StoreError> {
        self.database.statement("settle_attempt").await?;
        self.tx.settle_attempt(id, attempt, before, after).await
    }

    async fn release_attempt(&mut self, id: AttemptId) -> Result<(), StoreError> {
        self.database.statement("release_attempt").await?;
        self.tx.release_attempt(id).await
    }

    async fn forget_failures(&mut self, username: &Username) -> Result<(), StoreError> {
        self.database.statement("forget_failures").await?;
        self.tx.forget_failures(username).await
    }

    async fn lock_sign_ups(&mut self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        self.database.statement("lock_sign_ups").await?;
        self.tx.lock_sign_ups(address).await
    }

    async fn write_sign_ups(
        &mut self,
        address: &ClientAddress,
        count: Option<AddressCount>,
    ) -> Result<(), StoreError> {
        self.database.statement("write_sign_ups").await?;
        self.tx.write_sign_ups(address, count).await
    }

    async fn purge(&mut self, limit: u32, kept_counts: u32) -> Result<u32, StoreError> {
        self.database.statement("purge").await?;
        self.tx.purge(limit, kept_counts).await
    }

    async fn begin_epoch(&mut self, epoch: &Epoch) -> Result<u64, StoreError> {
        self.database.statement("begin_epoch").await?;
        self.tx.begin_epoch(epoch).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.database.commit(self.tx).await
    }
}

impl Reader for SimReader {
    async fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        self.database.statement("account").await?;
        self.database.kept.reader().account(key).await
    }

    async fn live_session(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        // The defect of the mutant: a session that was alive a moment ago is taken to be alive.
        let known = lock(&self.remembered).iter().find(|live| live.session.id == *id).cloned();
        if let Some(live) = known.filter(|_| mutant("sessions.remembered")) {
            return Ok(Some(live));
        }
        self.database.statement("live_session").await?;
        let live = self.database.kept.reader().live_session(id).await?;
        lock(&self.remembered).extend(live.clone());
        Ok(live)
    }

    async fn live_sessions(
        &self,
        user_id: UserId,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.database.statement("live_sessions").await?;
        self.database.kept.reader().live_sessions(user_id, after, limit).await
    }

    async fn sign_up_request(&self, id: RequestId) -> Result<Option<SignUpRecord>, StoreError> {
        self.database.statement("sign_up_request").await?;
        self.database.kept.reader().sign_up_request(id).await
    }

    async fn standing(&self, attempt: &Attempt) -> Result<Standing, StoreError> {
        self.database.statement("standing").await?;
        self.database.kept.reader().standing(attempt).await
    }

    async fn sign_ups(&self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        self.database.statement("sign_ups").await?;
        self.database.kept.reader().sign_ups(address).await
    }

    async fn changes_after(&self, number: i64, limit: u32) -> Result<Changes, StoreError> {
        self.database.statement("changes_after").await?;
        self.database.kept.reader().changes_after(number, limit).await
    }

    async fn wait_for_change(&self, _number: i64) {
        let sim = &self.database.sim;
        let at_most = Duration::from_millis(sim.below(4_000));
        sim.within(at_most, self.database.changed.notified()).await;
    }
}
