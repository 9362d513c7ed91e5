//! Makes an account unusable and ends its sessions, in one unit of work, asked for by a workload. Sessions are ended
//! also when the account is disabled already.

use fail_point::mutant;
use identity::UserId;

use super::revoke_sessions::RevokeSessions;
use super::{AccountChanged, Context, ExpectedVersion, Trace, lock_expected};
use crate::Error;
use crate::domain::AccountState;
use crate::ports::{LockedAccount, Ports, Store as _, Transaction as _};

/// An account that is to be disabled.
#[derive(Debug)]
pub struct DisableAccount {
    /// Which one.
    pub account_id: UserId,
    /// As the caller last saw it.
    pub expected: ExpectedVersion,
}

impl DisableAccount {
    /// Disables whatever version the account has.
    #[must_use]
    pub fn any_version(account_id: UserId) -> Self {
        Self { account_id, expected: ExpectedVersion::ANY }
    }

    /// Changes the state and ends the sessions under the account's lock, so that no log-in under way leaves one.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<AccountChanged, Error> {
        // A defect: a log-in between the two transactions leaves a session.
        let apart = mutant("disable_account.sessions_apart");
        if apart {
            RevokeSessions { account_id: self.account_id, session_id: None }.execute(cx).await?;
        }
        let mut tx = cx.store.begin().await?;
        let LockedAccount { stored, now } = lock_expected(&mut tx, self.account_id, self.expected).await?;
        let revoked_count = if apart { 0 } else { tx.end_sessions(self.account_id, None).await? };
        let Some(disabled) = stored.with_state(AccountState::Disabled, now) else {
            cx.commit(tx, Trace::SessionsEnded { user_id: self.account_id, keep: None }).await?;
            return Ok(AccountChanged { account: stored.account, revoked_count });
        };
        let account = tx.update_account(&disabled).await?;
        // A defect: what is answered is not written.
        if mutant("disable_account.not_committed") {
            return Ok(AccountChanged { account, revoked_count });
        }
        cx.commit(tx, Trace::AccountChanged { before: &stored.account, after: &account }).await?;
        Ok(AccountChanged { account, revoked_count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn the_sessions_end_and_a_repeat_changes_nothing() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let id = opened.session.user_id;
        let first = DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        assert_eq!((first.account.state, first.revoked_count), (AccountState::Disabled, 1));
        assert!(!world.is_good(&opened.token).await);
        world.clock.advance(chrono::TimeDelta::hours(1));
        let second = DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        assert_eq!((second.account, second.revoked_count), (first.account, 0));
    }

    #[tokio::test]
    async fn a_stale_version_changes_nothing() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let stale = DisableAccount {
            account_id: opened.session.user_id,
            expected: ExpectedVersion::parse(9).unwrap(),
        };
        assert!(matches!(stale.execute(&world.commands).await, Err(Error::VersionMismatch)));
        assert!(world.is_good(&opened.token).await);
    }
}
