//! Commits, and finds out what became of it when the connection was lost on the way: the answer is the truth, or that it
//! cannot be known.
//!
//! Every look takes the lock that the lost unit of work had, so it waits for one that is still being committed. What only
//! ends or prolongs a session is simply done once more.

use std::time::Duration;

use chrono::TimeDelta;
use fail_point::mutant;
use identity::UserId;

use super::Context;
use crate::domain::{Account, AccountKey, NewAccount, Session, SessionId};
use crate::ports::{Clock as _, Insertion, Ports, Reader as _, Store, Transaction as _};
use crate::{Cause, Error, StoreError};

/// For so long it is worth looking at most: callers wait.
const PATIENCE: TimeDelta = TimeDelta::seconds(5);

/// Between two looks at a store that is away.
const PAUSE: Duration = Duration::from_millis(100);

/// What a unit of work leaves behind when it is committed.
#[derive(Debug)]
pub(super) enum Trace<'a> {
    /// An account that was not there.
    AccountAdded { new: &'a NewAccount, added: &'a Account },
    /// An account, locked and changed.
    AccountChanged { before: &'a Account, after: &'a Account },
    /// A session of a locked account.
    SessionOpened(&'a Session),
    /// A session that lives until then at least.
    SessionUsed(&'a Session),
    /// No such session.
    SessionEnded { user_id: UserId, id: &'a SessionId },
    /// No session of a locked account but one.
    SessionsEnded { user_id: UserId, keep: Option<&'a SessionId> },
}

/// What a look at the store says of a unit of work.
enum Found {
    Committed,
    NotCommitted,
    /// Somebody has written over the place where it would show.
    NoTrace,
}

impl<P: Ports> Context<P> {
    /// Makes a unit of work durable and visible. OK means that it is.
    pub(super) async fn commit(&self, tx: <P::Store as Store>::Tx, trace: Trace<'_>) -> Result<(), Error> {
        // A defect: what is answered is not written.
        if mutant("commit.not_awaited") {
            return Ok(());
        }
        match tx.commit().await {
            Ok(()) => Ok(()),
            // A defect: what may have been written is answered as written.
            Err(StoreError::OutcomeUnknown(_)) if mutant("commit.unknown_is_ok") => Ok(()),
            Err(StoreError::OutcomeUnknown(cause)) => Ok(self.settle(&trace, cause).await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn settle(&self, trace: &Trace<'_>, cause: Cause) -> Result<(), StoreError> {
        let deadline = self.clock.now() + PATIENCE;
        loop {
            match self.look(trace).await {
                Ok(Found::Committed) => return Ok(()),
                Ok(Found::NotCommitted) => return Err(StoreError::Unavailable(cause)),
                Err(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
                    if self.clock.now() < deadline && self.clock.sleep(PAUSE).await => {}
                Ok(Found::NoTrace) | Err(_) => return Err(StoreError::OutcomeUnknown(cause)),
            }
        }
    }

    async fn look(&self, trace: &Trace<'_>) -> Result<Found, StoreError> {
        let mut tx = self.store.begin().await?;
        match trace {
            Trace::AccountAdded { new, added } => {
                // There is no row to lock: the constraints make this wait for whoever is adding the same one.
                let now = tx.now().await?;
                if let Insertion::Inserted(_) = tx.insert_account(new, now).await? {
                    return Ok(Found::NotCommitted);
                }
                drop(tx);
                let found = self.store.reader().account(&AccountKey::Id(new.id)).await?;
                let ours = |found: Account| {
                    found.create_time == added.create_time && found.username == added.username
                };
                Ok(committed(found.is_some_and(|stored| ours(stored.account))))
            }
            Trace::AccountChanged { before, after } => {
                let found = tx.lock_account(after.id).await?;
                Ok(match found.map(|locked| locked.stored.account) {
                    Some(found) if found == **after => Found::Committed,
                    Some(found) if found.version == before.version => Found::NotCommitted,
                    Some(_) | None => Found::NoTrace,
                })
            }
            Trace::SessionOpened(session) => {
                tx.lock_account(session.user_id).await?;
                let since = session.create_time;
                Ok(committed(tx.use_session(&session.id, since, since).await?.is_some()))
            }
            Trace::SessionUsed(session) => {
                let used = tx.use_session(&session.id, session.expire_time, session.last_used_time).await?;
                if used.is_some() {
                    tx.commit().await?;
                }
                Ok(Found::Committed)
            }
            Trace::SessionEnded { user_id, id } => {
                if tx.end_session(*user_id, id).await?.is_some() {
                    tx.commit().await?;
                }
                Ok(Found::Committed)
            }
            Trace::SessionsEnded { user_id, keep } => {
                tx.lock_account(*user_id).await?;
                if tx.end_sessions(*user_id, *keep).await? > 0 {
                    tx.commit().await?;
                }
                Ok(Found::Committed)
            }
        }
    }
}

const fn committed(there: bool) -> Found {
    if there { Found::Committed } else { Found::NotCommitted }
}

#[cfg(test)]
mod tests;
