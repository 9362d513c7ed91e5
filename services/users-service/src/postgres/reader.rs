//! What queries read: the replica where there is one, and the primary wherever that does not do.
//!
//! A replica may lag, be away, or end a statement that is in the way of what it replays. None of that is a caller's
//! trouble: the primary answers then, and the replica is left alone for a moment.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::postgres::Connection;
use database::{PoolUsage, Postgres};
use identity::ConsistencyToken;
use tokio::time::{Instant, sleep, timeout_at};
use users_core::StoreError;
use users_core::domain::{User, UserKey};
use users_core::ports::Reader;
use users_core::queries::{ListUsers, UserPage};

use super::{TIME_TO_ANSWER, failed, list_users, users};

/// How long a connection to the replica may take, and then its answer. All waits for it together take so little that the
/// primary has the time to answer instead.
const REACH_WAIT: Duration = Duration::from_millis(250);
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long all looks at a replica may take together whose caller has seen something newer, perhaps.
const TOKEN_WAIT: Duration = Duration::from_secs(2);
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

    /// Until when a replica may be waited for, if there is an end to it: the primary needs some time too.
    fn last_moment(&self) -> Option<Instant> {
        self.primary.time_left().map(|left| Instant::now() + left.saturating_sub(TIME_TO_ANSWER))
    }
}

impl Reader for PgReader {
    async fn at_least(&self, token: &ConsistencyToken) -> Self {
        match &self.replica {
            Some(replica) if replica.has_reached(token, self.last_moment()).await => self.clone(),
            _ => self.primary(),
        }
    }

    fn primary(&self) -> Self {
        Self { primary: self.primary.clone(), replica: None }
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        if let Some(replica) = &self.replica
            && let Some(mut db) = replica.connection(self.last_moment()).await
            && let Some(found) = replica.answer(find(&mut db, key), self.last_moment()).await
        {
            return Ok(found);
        }
        find(&mut self.read_primary().await?, key).await
    }

    async fn list_users(&self, query: &ListUsers) -> Result<UserPage, StoreError> {
        if let Some(replica) = &self.replica
            && let Some(mut db) = replica.connection(self.last_moment()).await
            && let Some(page) = replica.answer(list_users::page(&mut db, query), self.last_moment()).await
        {
            return Ok(page);
        }
        list_users::page(&mut self.read_primary().await?, query).await
    }
}

async fn find(db: &mut Connection, key: &UserKey) -> Result<Option<User>, StoreError> {
    users::find(db, key).await.map_err(failed)?.map(User::try_from).transpose()
}

fn earlier(end: Instant, other: Option<Instant>) -> Instant {
    other.map_or(end, |other| other.min(end))
}

impl Replica {
    /// Whether it sees the write, perhaps after a moment.
    async fn has_reached(&self, token: &ConsistencyToken, last_moment: Option<Instant>) -> bool {
        let now = Instant::now();
        let end = now + LAG_WAIT;
        let last_moment = Some(earlier(now + TOKEN_WAIT, last_moment));
        loop {
            let Some(mut db) = self.connection(last_moment).await else { return false };
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
            match self.answer(reached, last_moment).await {
                Some(false) if Instant::now() < earlier(end, last_moment) => {}
                answer => return answer == Some(true),
            }
            // Not while it sleeps: others want the connection too.
            drop(db);
            sleep(LAG_PAUSE).await;
        }
    }

    /// A connection, if it is not resting and can be reached at once.
    async fn connection(&self, last_moment: Option<Instant>) -> Option<Connection> {
        if self.rests_until().is_some_and(|end| Instant::now() < end) {
            return None;
        }
        self.in_time(REACH_WAIT, last_moment, self.database.read()).await
    }

    /// What it answers, if it does.
    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
        last_moment: Option<Instant>,
    ) -> Option<T> {
        self.in_time(ANSWER_WAIT, last_moment, answer).await
    }

    async fn in_time<T, E: Display>(
        &self,
        wait: Duration,
        last_moment: Option<Instant>,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Option<T> {
        let end = Instant::now() + wait;
        let soonest = earlier(end, last_moment);
        if soonest <= Instant::now() {
            return None;
        }
        match timeout_at(soonest, work).await {
            Ok(Ok(found)) => Some(found),
            Ok(Err(error)) => self.leave_alone(&error.to_string()),
            // Who is in a hurry has not waited for long enough to say anything of the replica.
            Err(_) if soonest < end => None,
            Err(_) => self.leave_alone("it is silent"),
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
