//! Makes an account usable again, asked for by a workload. A repeat changes nothing.

use identity::UserId;

use super::{Context, ExpectedVersion, Trace, lock_expected};
use crate::Error;
use crate::domain::{Account, AccountState};
use crate::ports::{LockedAccount, Ports, Store as _, Transaction as _};

/// An account that is to be enabled.
#[derive(Debug)]
pub struct EnableAccount {
    /// Which one.
    pub account_id: UserId,
    /// As the caller last saw it.
    pub expected: ExpectedVersion,
}

impl EnableAccount {
    /// Changes the state under the account's lock.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Account, Error> {
        let mut tx = cx.store.begin().await?;
        let LockedAccount { stored, now } = lock_expected(&mut tx, self.account_id, self.expected).await?;
        let Some(enabled) = stored.with_state(AccountState::Active, now) else {
            return Ok(stored.account);
        };
        let account = tx.update_account(&enabled).await?;
        cx.commit(tx, Trace::AccountChanged { before: &stored.account, after: &account }).await?;
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::DisableAccount;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn the_user_can_log_in_again_and_a_repeat_changes_nothing() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        let enable = || EnableAccount { account_id: id, expected: ExpectedVersion::ANY };
        let first = enable().execute(&world.commands).await.unwrap();
        assert_eq!(first.state, AccountState::Active);
        assert!(world.log_in("alice", PASSWORD).await.is_ok());
        world.clock.advance(chrono::TimeDelta::hours(1));
        assert_eq!(enable().execute(&world.commands).await.unwrap(), first);
    }
}
