//! Follows the feed on behalf of a process: hears of what every process commits, by one listening connection.
//!
//! A notification says only that there is something; the number is read from the table. It is read once a second as well,
//! since notifications can be lost with the connection that they come by. Knows no accounts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use database::Postgres;
use futures::FutureExt as _;
use sqlx::postgres::PgListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::feed;
use crate::newest::Newest;

/// How often the number is read when nothing is heard.
const POLL: Duration = Duration::from_secs(1);

/// How long one reading may take. Those who wait for news are not to wait for a connection whose server is gone.
const READ_WAIT: Duration = Duration::from_secs(2);

/// The task that follows. It ends when it is stopped, or with the last clone of this.
#[derive(Clone, Debug)]
pub(super) struct Follower(Arc<Task>);

#[derive(Debug)]
struct Task(Mutex<Option<JoinHandle<()>>>);

impl Follower {
    pub(super) fn start(database: Postgres, newest: Newest) -> Self {
        let task = tokio::spawn(async move { follow(&database, &newest).await });
        Self(Arc::new(Task(Mutex::new(Some(task)))))
    }

    /// Ends it, its connection included.
    pub(super) async fn stop(&self) {
        if let Some(task) = self.0.take() {
            task.abort();
            // It was aborted: that is the only way it ends.
            let _ = task.await;
        }
    }
}

impl Task {
    fn take(&self) -> Option<JoinHandle<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = self.take() {
            task.abort();
        }
    }
}

async fn follow(database: &Postgres, newest: &Newest) {
    let mut told = false;
    loop {
        match database.listen(feed::CHANNEL).await {
            Ok(listener) => {
                told = false;
                tracing::debug!("notifications of the feed are listened for");
                follow_by(listener, database, newest).await;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%error, "notifications of the feed cannot be had; it is polled until they can");
            }
            Err(_) => {}
        }
        publish(database, newest).await;
        sleep(POLL).await;
    }
}

/// Follows for as long as the listener can be relied on.
async fn follow_by(mut listener: PgListener, database: &Postgres, newest: &Newest) {
    // What was committed before it listened.
    publish(database, newest).await;
    loop {
        match hear(&mut listener).await {
            Ok(heard) => {
                if publish(database, newest).await && !heard {
                    // The other end may be gone without a word, or a pooler in between.
                    tracing::info!(
                        "a change of the feed was not announced; the listening connection is made anew"
                    );
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "notifications of the feed are lost; it is polled until they are back"
                );
                return;
            }
        }
    }
}

/// Waits for a notification, but not for long, and takes those that have come with it. Says whether there was one; an
/// error is that none can come any more.
async fn hear(listener: &mut PgListener) -> Result<bool, Option<sqlx::Error>> {
    let mut heard = false;
    loop {
        let next = if heard {
            listener.try_recv().now_or_never()
        } else {
            timeout(POLL, listener.try_recv()).await.ok()
        };
        match next {
            None => return Ok(heard),
            Some(Ok(Some(_))) => heard = true,
            Some(Ok(None)) => return Err(None),
            Some(Err(error)) => return Err(Some(error)),
        }
    }
}

/// Reads the number; says whether it is news. A database that does not answer has none.
async fn publish(database: &Postgres, newest: &Newest) -> bool {
    // Committed before it is read, so the database has come so far, unless it is another one.
    let known = newest.get();
    let read = async {
        let mut connection = database.read().await?;
        feed::newest(&mut connection).await
    };
    match timeout(READ_WAIT, read).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(number) if number < known => {
            tracing::error!(
                known,
                number,
                "the database has lost changes of accounts: see docs/postgresql.md"
            );
            newest.fall_back(known, number);
            false
        }
        Ok(number) => newest.raise(number),
        Err(error) => {
            tracing::debug!(%error, "the feed cannot be read");
            false
        }
    }
}
