//! What queries read: the replica where there is one, and the primary wherever that does not do.
//!
//! A replica may lag, be away, or end a statement that is in the way of what it replays. None of that is a caller's
//! trouble: the primary answers then, and the replica is left alone for a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::postgres::Connection;
use database::{PoolUsage, Postgres};
use identity::ConsistencyToken;
use tokio::time::{Instant, sleep, timeout};
use users_core::StoreError;
use users_core::domain::{User, UserKey};
use users_core::ports::Reader;
use users_core::queries::{ListUsers, UserPage};

use super::{failed, list_users, users};

/// How long a connection to the replica may take, and then its answer.
const REACH_WAIT: Duration = Duration::from_millis(250);
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long a replica that failed is not asked.
const REST: Duration = Duration::from_secs(1);
/// How long a replica may take to come as far as a caller is, and how often it is looked at.
const LAG_WAIT: Duration = Duration::from_millis(100);
const LAG_PAUSE: Duration = Duration::from_millis(5);

/// What queries read from. Clones share the connections.
#[derive(Clone, Debug)]
pub struct PgReader {
    primary: Postgres,
    replica: Option<Replica>,
}

#[derive(Clone, Debug)]
struct Replica {
    database: Postgres,
    rests_until: Arc<Mutex<Option<Instant>>>,
}

impl PgReader {
    pub(super) fn new(primary: Postgres, replica: Option<Postgres>) -> Self {
        let replica = replica.map(|database| Replica { database, rests_until: Arc::default() });
        Self { primary, replica }
    }

    pub(super) async fn close(&self) {
        if let Some(replica) = &self.replica {
            replica.database.close().await;
        }
    }

    pub(super) fn replica_usage(&self) -> Option<PoolUsage> {
        self.replica.as_ref().map(|replica| replica.database.usage("replica"))
    }

    async fn read_primary(&self) -> Result<Connection, StoreError> {
        self.primary.read().await.map_err(failed)
    }
}

impl Reader for PgReader {
    async fn at_least(&self, token: &ConsistencyToken) -> Self {
        match &self.replica {
            Some(replica) if replica.has_reached(token).await => self.clone(),
            _ => self.primary(),
        }
    }

    fn primary(&self) -> Self {
        Self { primary: self.primary.clone(), replica: None }
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        if let Some(replica) = &self.replica
            && let Some(mut db) = replica.connection().await
            && let Some(found) = replica.answer(find(&mut db, key)).await
        {
            return Ok(found);
        }
        find(&mut self.read_primary().await?, key).await
    }

    async fn list_users(&self, query: &ListUsers) -> Result<UserPage, StoreError> {
        if let Some(replica) = &self.replica
            && let Some(mut db) = replica.connection().await
            && let Some(page) = replica.answer(list_users::page(&mut db, query)).await
        {
            return Ok(page);
        }
        list_users::page(&mut self.read_primary().await?, query).await
    }
}

async fn find(db: &mut Connection, key: &UserKey) -> Result<Option<User>, StoreError> {
    users::find(db, key).await.map_err(failed)?.map(User::try_from).transpose()
}

impl Replica {
    /// Whether it sees the write, perhaps after a moment.
    async fn has_reached(&self, token: &ConsistencyToken) -> bool {
        let end = Instant::now() + LAG_WAIT;
        loop {
            let Some(mut db) = self.connection().await else { return false };
            let reached = async {
                match token {
                    ConsistencyToken::Account { user_id, version } => {
                        users::has_reached(&mut db, *user_id, version).await
                    }
                    ConsistencyToken::Role { user_id, version } => {
                        users::has_role_version(&mut db, *user_id, *version).await
                    }
                }
                .map_err(failed)
            };
            match self.answer(reached).await {
                Some(false) if Instant::now() < end => {}
                answer => return answer == Some(true),
            }
            // Not while it sleeps: others want the connection too.
            drop(db);
            sleep(LAG_PAUSE).await;
        }
    }

    /// A connection, if it is not resting and can be reached at once.
    async fn connection(&self) -> Option<Connection> {
        if self.rests_until().is_some_and(|end| Instant::now() < end) {
            return None;
        }
        match timeout(REACH_WAIT, self.database.read()).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => self.leave_alone(&error.to_string()),
            Err(_) => self.leave_alone("no connection in time"),
        }
    }

    /// What it answers, if it does.
    async fn answer<T>(&self, answer: impl Future<Output = Result<T, StoreError>> + Send) -> Option<T> {
        match timeout(ANSWER_WAIT, answer).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => self.leave_alone(&error.to_string()),
            Err(_) => self.leave_alone("no answer in time"),
        }
    }

    fn leave_alone<T>(&self, why: &str) -> Option<T> {
        tracing::warn!(why, "the read replica does not answer: the primary does");
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        None
    }

    fn rests_until(&self) -> Option<Instant> {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
