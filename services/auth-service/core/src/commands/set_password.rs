//! Sets an account's password and ends its sessions, asked for by a workload.

use fail_point::mutant;
use identity::{RawPassword, UserId, Violation, Violations};

use super::{AccountChanged, Context, ExpectedVersion, Trace, lock_expected};
use crate::Error;
use crate::domain::{AccountKey, NewPassword, PasswordPolicy};
use crate::ports::{
    HashingPermit as _, LockedAccount, PasswordHasher as _, Ports, Reader as _, Store as _, Transaction as _,
};

/// An account and a password that may be set.
#[derive(Debug)]
pub struct SetPassword {
    account_id: UserId,
    password: NewPassword,
    expected: ExpectedVersion,
}

impl SetPassword {
    /// Checks every field; all violations come at once, but for the username inside the password, which is not known yet.
    pub fn parse(
        policy: &PasswordPolicy,
        account_id: &str,
        password: String,
        expected_version: i64,
    ) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::new();
        let account_id = violations.field("account_id", UserId::parse(account_id));
        let password = violations.field("password", RawPassword::parse(password));
        let password = password.and_then(|password| violations.field("password", policy.check(password)));
        let expected = violations.field("expected_version", ExpectedVersion::parse(expected_version));
        let parsed = account_id.zip(password).zip(expected);
        violations.finish(parsed.map(|((account_id, password), expected)| Self {
            account_id,
            password,
            expected,
        }))
    }

    /// Hashes, then changes the password under the account's lock.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<AccountChanged, Error> {
        let id = self.account_id;
        let permit = cx.hasher.admit().await?;
        let seen = cx.store.costly_reader().account(&AccountKey::Id(id)).await?;
        let seen = seen.ok_or_else(|| Error::AccountNotFound(id.to_string()))?;
        let password = self.password.for_user(&seen.account.username);
        let password = password.map_err(|rule| Error::invalid_field("password", rule))?;
        let hash = permit.hash(id, password.raw()).await?;
        drop(permit);

        let mut tx = cx.store.begin_costly().await?;
        let LockedAccount { stored, now } = lock_expected(&mut tx, id, self.expected).await?;
        // A defect: the sessions go on.
        let keeps = mutant("set_password.sessions_kept");
        let revoked_count = if keeps { 0 } else { tx.end_sessions(id, None).await? };
        // Before the feed's counter, which is the last lock. Nobody who holds these waits for an account.
        tx.forget_failures(&stored.account.username).await?;
        let account = tx.update_account(&stored.with_password(hash, now)).await?;
        cx.commit(tx, Trace::AccountChanged { before: &stored.account, after: &account }).await?;
        Ok(AccountChanged { account, revoked_count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    const NEW: &str = "an entirely new one";

    async fn set(world: &World, id: UserId, password: &str, expected: i64) -> Result<AccountChanged, Error> {
        let command =
            SetPassword::parse(&world.commands.passwords, &id.to_string(), password.into(), expected);
        command.map_err(Error::InvalidFields)?.execute(&world.commands).await
    }

    #[tokio::test]
    async fn the_password_changes_and_the_sessions_end() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let changed = set(&world, opened.session.user_id, NEW, 1).await.unwrap();
        assert_eq!((changed.revoked_count, changed.account.version.number), (1, 2));
        assert!(!world.is_good(&opened.token).await);
        assert!(world.log_in("alice", PASSWORD).await.is_err());
        assert!(world.log_in("alice", NEW).await.is_ok());
    }

    #[tokio::test]
    async fn a_log_in_with_the_old_password_under_way_leaves_no_session() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        world.before_next_verdict(move |world| async move {
            set(&world, id, NEW, 0).await.unwrap();
        });
        assert!(matches!(world.log_in("alice", PASSWORD).await, Err(Error::InvalidCredentials)));
    }

    #[tokio::test]
    async fn a_stale_version_an_unknown_account_and_a_bad_password_change_nothing() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        assert!(matches!(set(&world, id, NEW, 7).await, Err(Error::VersionMismatch)));
        assert!(matches!(set(&world, id, "the password of ALICE", 0).await, Err(Error::InvalidFields(_))));
        let nobody = UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap();
        assert!(matches!(set(&world, nobody, NEW, 0).await, Err(Error::AccountNotFound(_))));
        assert!(world.log_in("alice", PASSWORD).await.is_ok());
    }
}
