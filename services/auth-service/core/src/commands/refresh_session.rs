//! Extends the caller's session by the idle timeout, always, and gives a new token for it. The caller is
//! authenticated.

use fail_point::mutant;

use super::{Context, Opened, Trace};
use crate::Error;
use crate::domain::Session;
use crate::ports::{Ports, Store as _, Transaction as _};

/// The session of the call, as authentication read it.
#[derive(Debug)]
pub struct RefreshSession {
    /// The session.
    pub session: Session,
}

impl RefreshSession {
    /// Raises the expiry of a row that exists; never makes one.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Opened, Error> {
        let mut tx = cx.store.begin().await?;
        let now = tx.now().await?;
        let expire_time = self.session.extended_expiry(&cx.sessions, now);
        let session =
            tx.use_session(&self.session.id, expire_time, now).await?.ok_or(Error::Unauthenticated)?;
        // A defect: what is answered is not written.
        if !mutant("refresh_session.not_committed") {
            cx.commit(tx, Trace::SessionUsed(&session)).await?;
        }
        cx.issue(session, now)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::commands::LogOut;
    use crate::testing::World;

    #[tokio::test]
    async fn a_session_is_extended_at_any_time_but_not_beyond_its_absolute_end() {
        let world = World::new();
        let mut opened = world.logged_in("alice").await;
        for _ in 0..60 {
            world.clock.advance(TimeDelta::minutes(25));
            match (RefreshSession { session: opened.session.clone() }).execute(&world.commands).await {
                Ok(refreshed) => {
                    assert!(refreshed.session.expire_time >= opened.session.expire_time);
                    assert!(refreshed.session.expire_time <= opened.session.absolute_expire_time);
                    opened = refreshed;
                }
                Err(Error::Unauthenticated) => return,
                Err(other) => panic!("{other}"),
            }
        }
        panic!("the session outlived its absolute end");
    }

    #[tokio::test]
    async fn an_ended_session_is_not_brought_back() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let log_out = LogOut { user_id: opened.session.user_id, session_id: opened.session.id.clone() };
        log_out.execute(&world.commands).await.unwrap();
        let refresh = RefreshSession { session: opened.session };
        assert!(matches!(refresh.execute(&world.commands).await, Err(Error::Unauthenticated)));
    }
}
