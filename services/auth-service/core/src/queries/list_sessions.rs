//! Lists a user's live sessions, newest first.

use fail_point::mutant;
use identity::{PageSize, UserId};

use super::Context;
use crate::Error;
use crate::defects;
use crate::domain::{AccountKey, Session, SessionPosition};
use crate::ports::{Ports, Reader as _};

/// A page of a user's sessions.
#[derive(Debug)]
pub struct ListSessions {
    /// Whose.
    pub user_id: UserId,
    /// How many at most.
    pub page_size: PageSize,
    /// After which place; none for the first page.
    pub after: Option<SessionPosition>,
}

/// A page of sessions.
#[derive(Debug)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// Where the next page begins, if there is one.
    pub next: Option<SessionPosition>,
}

impl ListSessions {
    /// Reads the page.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<SessionPage, Error> {
        // A defect: it panics.
        if mutant("list_sessions.panics") {
            defects::panics();
        }
        let size = usize::from(self.page_size.get());
        let limit = u32::from(self.page_size.get()) + 1;
        let mut sessions = cx.reader.live_sessions(self.user_id, self.after.as_ref(), limit).await?;
        let more = sessions.len() > size;
        sessions.truncate(size);
        let next = sessions.last().filter(|_| more).map(Session::position);
        Ok(SessionPage { sessions, next })
    }

    /// As [`execute`](Self::execute), for a workload that may name a user who does not exist.
    pub async fn execute_for_account<P: Ports>(self, cx: &Context<P>) -> Result<SessionPage, Error> {
        let found = cx.reader.account(&AccountKey::Id(self.user_id)).await?;
        found.ok_or_else(|| Error::AccountNotFound(self.user_id.to_string()))?;
        self.execute(cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn pages_are_newest_first_and_complete() {
        let world = World::new();
        let user_id = world.signed_up("alice").await;
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.insert(0, world.log_in("alice", PASSWORD).await.unwrap().session.id);
            world.clock.advance(chrono::TimeDelta::seconds(1));
        }
        world.logged_in("bobby").await;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page_size = PageSize::parse(2).unwrap();
            let page = ListSessions { user_id, page_size, after }.execute(&world.queries).await.unwrap();
            assert!(page.sessions.len() <= 2);
            seen.extend(page.sessions.into_iter().map(|session| session.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}
