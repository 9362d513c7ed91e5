//! users-service's store in a run: the fake of its core, which can refuse, lose the reply to a commit and take its time, and
//! before each statement of which a process can die.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use fail_point::mutant;
use identity::{AccountVersion, ConsistencyToken, Epoch, Timestamp, UserId, Username};
use users_core::StoreError;
use users_core::domain::{Account, FeedState, Fence, LeaseOwner, Role, State, User, UserKey};
use users_core::ports::{
    Bootstraps, Claim, FeedRows, Reader, Requests, Reservations, Roles, Store, StoredRequest, Transaction,
    UserRows,
};
use users_core::queries::{ListUsers, UserPage};
use users_core::testing::MemoryStore;

use crate::scheduler::{Node, Sim, lock};
use crate::weather::Fault;

/// The database, which outlives the processes.
#[derive(Clone)]
pub(crate) struct Database {
    sim: Sim,
    pub(crate) kept: Arc<MemoryStore>,
    watch: Arc<Mutex<Watch>>,
}

/// What is looked at after each commit.
#[derive(Debug, Default)]
struct Watch {
    had_a_super_admin: bool,
    lost_the_last: Option<Duration>,
    versions: BTreeMap<UserId, (i64, i64)>,
    went_back: Vec<String>,
}

impl Database {
    pub(crate) fn new(sim: &Sim) -> Self {
        let kept = Arc::new(MemoryStore::default());
        let moved = Arc::clone(&kept);
        sim.drives(move |passed| moved.advance(TimeDelta::from_std(passed).unwrap_or_default()));
        Self { sim: sim.clone(), kept, watch: Arc::default() }
    }

    /// When there was no active super admin any more.
    pub(crate) fn lost_the_last_super_admin(&self) -> Option<Duration> {
        lock(&self.watch).lost_the_last
    }

    /// Users that were older after a commit than before it.
    pub(crate) fn went_back(&self) -> Vec<String> {
        lock(&self.watch).went_back.clone()
    }

    fn look(&self) {
        let is_one = |user: &User| user.role == Role::SuperAdmin && user.state == State::Active;
        let users = self.kept.users();
        let there_is_one = users.iter().any(is_one);
        let mut watch = lock(&self.watch);
        for user in &users {
            let now = (user.account.number, user.role_version);
            let before = watch.versions.insert(user.id, now).unwrap_or_default();
            if now.0 < before.0 || now.1 < before.1 {
                let went_back = format!("{} went from the versions {before:?} to {now:?}", user.username);
                watch.went_back.push(went_back);
            }
        }
        if watch.had_a_super_admin && !there_is_one && watch.lost_the_last.is_none() {
            watch.lost_the_last = Some(self.sim.now());
        }
        watch.had_a_super_admin |= there_is_one;
    }

    async fn statement(&self, name: &'static str) -> Result<(), StoreError> {
        self.sim.step(name).await;
        if self.sim.suffers(Fault::Refusal) {
            self.sim.tell(|| format!("the store refuses {name}"));
            return Err(StoreError::Unavailable("it is away".into()));
        }
        Ok(())
    }

    async fn commit(&self, tx: Tx) -> Result<(), StoreError> {
        self.statement("commit").await?;
        if self.sim.suffers(Fault::LostCommit) {
            // It is made later, or never; until then it has its locks.
            let (database, is_made) = (self.clone(), self.sim.below(2) == 0);
            let pause = Duration::from_millis(self.sim.below(300));
            self.sim.tell(|| format!("hears nothing of its commit, which is made: {is_made}"));
            self.sim.spawn(Node::Disk, "commit", async move {
                database.sim.sleep(pause).await;
                if is_made && tx.commit().await.is_ok() {
                    database.look();
                }
            });
            return Err(StoreError::OutcomeUnknown("the connection was lost".into()));
        }
        tx.commit().await?;
        self.look();
        Ok(())
    }
}

type Tx = <MemoryStore as Store>::Tx;

/// What a process has of it.
pub(crate) struct SimStore(SimReader);

/// Reads without a transaction. A process remembers nothing of what it read, but for a mutant.
#[derive(Clone)]
pub(crate) struct SimReader {
    database: Database,
    remembered: Arc<Mutex<Vec<User>>>,
}

/// A transaction.
pub(crate) struct SimTx {
    database: Database,
    tx: Tx,
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
        Ok(SimTx { tx: database.kept.begin().await?, database: database.clone() })
    }
}

impl Store for SimStore {
    type Tx = SimTx;
    type Reader = SimReader;
    type BootstrapLock = <MemoryStore as Store>::BootstrapLock;

    async fn begin(&self) -> Result<SimTx, StoreError> {
        self.begun("begin").await
    }

    async fn begin_costly(&self) -> Result<SimTx, StoreError> {
        self.begun("begin_costly").await
    }

    fn reader(&self) -> &SimReader {
        &self.0
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        self.0.find_user(key).await
    }

    async fn has_reached(&self, id: UserId, version: &AccountVersion) -> Result<bool, StoreError> {
        self.0.database.statement("has_reached").await?;
        self.0.database.kept.has_reached(id, version).await
    }

    async fn bootstrap_lock(&self) -> Result<Option<Self::BootstrapLock>, StoreError> {
        self.0.database.statement("bootstrap_lock").await?;
        self.0.database.kept.bootstrap_lock().await
    }

    /// As long as the real ones, which give up after some seconds.
    async fn wait_before_attempt(&self, attempt: u32) -> bool {
        if attempt >= 5 {
            return false;
        }
        self.0.database.sim.sleep(Duration::from_millis(50 << attempt)).await;
        true
    }
}

impl Reader for SimReader {
    async fn at_least(&self, _: &ConsistencyToken) -> Self {
        self.clone()
    }

    fn primary(&self) -> Self {
        self.clone()
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        // The defect of the mutant: a role that was read once is believed from then on.
        let remembers = mutant("roles.remembered");
        let is_it = |user: &&User| matches!(key, UserKey::Id(id) if *id == user.id);
        let known = lock(&self.remembered).iter().find(is_it).cloned();
        if let Some(user) = known.filter(|_| remembers) {
            return Ok(Some(user));
        }
        self.database.statement("find_user").await?;
        let found = self.database.kept.find_user(key).await?;
        lock(&self.remembered).extend(found.clone().filter(|_| remembers));
        Ok(found)
    }

    async fn list_users(&self, query: &ListUsers) -> Result<UserPage, StoreError> {
        self.database.statement("list_users").await?;
        self.database.kept.reader().list_users(query).await
    }
}

impl Transaction for SimTx {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        self.database.statement("now").await?;
        self.tx.now().await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.database.commit(self.tx).await
    }
}

impl UserRows for SimTx {
    async fn lock_user(&mut self, key: &UserKey) -> Result<Option<User>, StoreError> {
        self.database.statement("lock_user").await?;
        self.tx.lock_user(key).await
    }

    async fn apply_accounts(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        self.database.statement("apply_accounts").await?;
        self.tx.apply_accounts(accounts).await
    }

    async fn retire_users_before(
        &mut self,
        epoch: &Epoch,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Option<UserId>, StoreError> {
        self.database.statement("retire_users_before").await?;
        self.tx.retire_users_before(epoch, after, limit).await
    }
}

impl Roles for SimTx {
    async fn update_role(&mut self, user: &User) -> Result<(), StoreError> {
        self.database.statement("update_role").await?;
        self.tx.update_role(user).await
    }

    async fn lock_super_admins(&mut self) -> Result<Vec<User>, StoreError> {
        self.database.statement("lock_super_admins").await?;
        self.tx.lock_super_admins().await
    }
}

impl Reservations for SimTx {
    async fn reserve(&mut self, id: UserId, role: Role) -> Result<(), StoreError> {
        self.database.statement("reserve").await?;
        self.tx.reserve(id, role).await
    }

    async fn give_up(&mut self, id: UserId) -> Result<(), StoreError> {
        self.database.statement("give_up").await?;
        self.tx.give_up(id).await
    }

    async fn reservations_before(&mut self, time: Timestamp, limit: u16) -> Result<Vec<UserId>, StoreError> {
        self.database.statement("reservations_before").await?;
        self.tx.reservations_before(time, limit).await
    }

    async fn delete_reservation_before(&mut self, id: UserId, time: Timestamp) -> Result<(), StoreError> {
        self.database.statement("delete_reservation_before").await?;
        self.tx.delete_reservation_before(id, time).await
    }
}

impl Requests for SimTx {
    async fn claim_request(
        &mut self,
        request: &StoredRequest,
        lifetime: TimeDelta,
    ) -> Result<Claim, StoreError> {
        self.database.statement("claim_request").await?;
        self.tx.claim_request(request, lifetime).await
    }

    async fn release_request(&mut self, request: &StoredRequest, time: Timestamp) -> Result<(), StoreError> {
        self.database.statement("release_request").await?;
        self.tx.release_request(request, time).await
    }

    async fn confirm_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        self.database.statement("confirm_request").await?;
        self.tx.confirm_request(request).await
    }

    async fn delete_requests_before(&mut self, time: Timestamp, limit: u16) -> Result<u64, StoreError> {
        self.database.statement("delete_requests_before").await?;
        self.tx.delete_requests_before(time, limit).await
    }
}

impl FeedRows for SimTx {
    async fn take_lease(
        &mut self,
        owner: LeaseOwner,
        lifetime: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        self.database.statement("take_lease").await?;
        self.tx.take_lease(owner, lifetime).await
    }

    async fn release_lease(&mut self, owner: LeaseOwner) -> Result<(), StoreError> {
        self.database.statement("release_lease").await?;
        self.tx.release_lease(owner).await
    }

    async fn feed_state(&mut self) -> Result<FeedState, StoreError> {
        self.database.statement("feed_state").await?;
        self.tx.feed_state().await
    }

    async fn move_feed(&mut self, fence: Fence, state: &FeedState) -> Result<bool, StoreError> {
        self.database.statement("move_feed").await?;
        self.tx.move_feed(fence, state).await
    }
}

impl Bootstraps for SimTx {
    async fn unfinished_bootstrap(&mut self) -> Result<Option<(UserId, Username)>, StoreError> {
        self.database.statement("unfinished_bootstrap").await?;
        self.tx.unfinished_bootstrap().await
    }

    async fn begin_bootstrap(&mut self, id: UserId, username: &Username) -> Result<(), StoreError> {
        self.database.statement("begin_bootstrap").await?;
        self.tx.begin_bootstrap(id, username).await
    }

    async fn end_bootstrap(&mut self) -> Result<(), StoreError> {
        self.database.statement("end_bootstrap").await?;
        self.tx.end_bootstrap().await
    }
}
