//! Says who is behind an access token. The call that every other one begins with, so it reads one row and writes none;
//! what a use of the session leaves behind is a unit of work of its own, [`UseSession`], which is seldom due.

use fail_point::mutant;
use identity::Timestamp;

use super::{Context, Trace};
use crate::domain::{Account, AccountState, Claims, LiveSession, RenewedToken, Session, SessionId};
use crate::ports::{Clock as _, Ports, Reader as _, Store, TokenSigner as _, Transaction as _};
use crate::{Error, defects};

/// A presented access token.
#[derive(Clone, Copy, Debug)]
pub struct Authenticate<'a> {
    /// The token, as it was received.
    pub token: &'a str,
    /// Whether a token near its end is left as it is.
    pub skip_renewal: bool,
}

/// Who is behind a token that is good.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The session.
    pub session: Session,
    /// The account, which is active.
    pub account: Account,
}

/// Why a token admits nobody. For logs: the end user is never told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Not a token that this service signed.
    Malformed,
    /// Its time is over.
    Expired,
    /// Its session was ended.
    Revoked,
    /// Its account is disabled.
    AccountDisabled,
}

/// A principal, and what is left to do for this use of the session.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who it is.
    pub principal: Principal,
    /// To be executed before the call goes on, when there is something to write.
    pub due: Option<UseSession>,
}

impl Authenticate<'_> {
    /// Checks the token and reads its session.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<Authenticated, Denial>, Error> {
        let Some(claims) = cx.signer.verify(self.token) else {
            return Ok(Err(Denial::Malformed));
        };
        // This server's clock may only refuse: an expired token costs no database.
        if claims.expire_time <= cx.clock.now() {
            return Ok(Err(Denial::Expired));
        }
        let live = cx.store.reader().live_session(&claims.session_id).await?;
        // A defect: a process believes what it has seen once, every other time.
        let believes = mutant("authenticate.believes_its_memory");
        let Some(live) = (if believes { defects::remembered(&claims.session_id, live) } else { live }) else {
            return Ok(Err(Denial::Revoked));
        };
        Ok(self.judge(cx, &claims, live))
    }

    fn judge<P: Ports>(
        self,
        cx: &Context<P>,
        claims: &Claims,
        live: LiveSession,
    ) -> Result<Authenticated, Denial> {
        let LiveSession { session, account, now } = live;
        if session.user_id != claims.user_id {
            return Err(Denial::Malformed);
        }
        if claims.expire_time <= now {
            return Err(Denial::Expired);
        }
        if account.state == AccountState::Disabled {
            return Err(Denial::AccountDisabled);
        }
        let renewed =
            if self.skip_renewal { None } else { session.renewed_expiry(claims, &cx.sessions, now) };
        let due = (renewed.is_some() || session.use_is_news(now)).then(|| UseSession {
            id: session.id.clone(),
            expire_time: renewed.unwrap_or(session.expire_time),
            now,
            renews: renewed.is_some(),
        });
        Ok(Authenticated { principal: Principal { session, account }, due })
    }
}

/// A session after its use was noted.
#[derive(Clone, Debug)]
pub struct Used {
    /// The session as it is now.
    pub session: Session,
    /// The token to use from now on, when it was due.
    pub renewed: Option<RenewedToken>,
}

/// Notes the use of a session and renews its token when that is due. Writes.
#[derive(Clone, Debug)]
pub struct UseSession {
    id: SessionId,
    expire_time: Timestamp,
    now: Timestamp,
    renews: bool,
}

impl UseSession {
    /// Updates the session's row, which has to exist still: a renewal never brings a session back.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<Used, Denial>, Error> {
        let mut tx = cx.store.begin().await?;
        let Some(session) = tx.use_session(&self.id, self.expire_time, self.now).await? else {
            return Ok(Err(Denial::Revoked));
        };
        cx.commit(tx, Trace::SessionUsed(&session)).await?;
        if !self.renews {
            return Ok(Ok(Used { session, renewed: None }));
        }
        // The row may live longer by now, through another token; this token says what was decided for it.
        let until = Session { expire_time: self.expire_time, ..session.clone() };
        let opened = cx.issue(until, self.now)?;
        let renewed = RenewedToken { token: opened.token, expire_time: self.expire_time };
        Ok(Ok(Used { session, renewed: Some(renewed) }))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::commands::DisableAccount;
    use crate::testing::World;

    async fn authenticate(world: &World, token: &str) -> Result<Authenticated, Denial> {
        Authenticate { token, skip_renewal: false }.execute(&world.commands).await.unwrap()
    }

    #[tokio::test]
    async fn a_fresh_token_admits_and_leaves_nothing_to_write() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let authenticated = authenticate(&world, opened.token.expose()).await.unwrap();
        assert_eq!(authenticated.principal.session, opened.session);
        assert!(authenticated.due.is_none());
    }

    #[tokio::test]
    async fn a_token_is_good_up_to_its_expiry_and_not_at_it() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let life = opened.session.expire_time - world.clock.now();
        world.clock.advance(life - TimeDelta::microseconds(1));
        assert!(authenticate(&world, opened.token.expose()).await.is_ok());
        world.clock.advance(TimeDelta::microseconds(1));
        assert_eq!(authenticate(&world, opened.token.expose()).await.unwrap_err(), Denial::Expired);
    }

    #[tokio::test]
    async fn a_token_near_its_end_is_renewed_and_the_older_one_stays_good() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        world.clock.advance(TimeDelta::minutes(29));
        let authenticated = authenticate(&world, opened.token.expose()).await.unwrap();
        let used = authenticated.due.unwrap().execute(&world.commands).await.unwrap().unwrap();
        let renewed = used.renewed.unwrap();
        assert_eq!(used.session.expire_time, renewed.expire_time, "the call that renews reports it");
        assert!(renewed.expire_time > opened.session.expire_time);
        let again = authenticate(&world, renewed.token.expose()).await.unwrap();
        assert!(again.due.is_none());
        assert_eq!(again.principal.session.expire_time, renewed.expire_time);
        assert!(authenticate(&world, opened.token.expose()).await.is_ok());
    }

    #[tokio::test]
    async fn whoever_skips_renewal_gets_none() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        world.clock.advance(TimeDelta::minutes(29));
        let check = Authenticate { token: opened.token.expose(), skip_renewal: true };
        let authenticated = check.execute(&world.commands).await.unwrap().unwrap();
        let due = authenticated.due.expect("the use is noted all the same");
        assert!(due.execute(&world.commands).await.unwrap().unwrap().renewed.is_none());
    }

    #[tokio::test]
    async fn a_renewal_does_not_bring_an_ended_session_back() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        world.clock.advance(TimeDelta::minutes(29));
        let due = authenticate(&world, opened.token.expose()).await.unwrap().due.unwrap();
        DisableAccount::any_version(opened.session.user_id).execute(&world.commands).await.unwrap();
        assert_eq!(due.execute(&world.commands).await.unwrap().unwrap_err(), Denial::Revoked);
        assert_eq!(authenticate(&world, opened.token.expose()).await.unwrap_err(), Denial::Revoked);
    }

    #[tokio::test]
    async fn garbage_is_denied() {
        let world = World::new();
        for token in ["", "x", "a.b.c"] {
            assert_eq!(authenticate(&world, token).await.unwrap_err(), Denial::Malformed);
        }
    }
}
