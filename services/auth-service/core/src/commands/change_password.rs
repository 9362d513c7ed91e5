//! Changes the caller's own password, ends every session and opens a new one. The caller is authenticated.

use fail_point::mutant;
use identity::{RawPassword, Violations};

use super::attempt::Checked;
use super::{Context, Opened, Principal, Trace};
use crate::Error;
use crate::domain::{
    AccountKey, AccountState, Attempt, Client, ClientAddress, NewPassword, PasswordHash, PasswordPolicy,
    Purpose, Session, StoredAccount,
};
use crate::ports::{
    HashingPermit as _, Ids as _, LockedAccount, PasswordHasher as _, Ports, Reader as _, Store as _,
    Transaction as _, Verdict,
};

/// The caller's session, the password that is claimed and one that may be set.
#[derive(Debug)]
pub struct ChangePassword {
    principal: Principal,
    current: RawPassword,
    new: NewPassword,
    client: Client,
}

impl ChangePassword {
    /// Checks both fields; all violations come at once.
    pub fn parse(
        policy: &PasswordPolicy,
        principal: Principal,
        current: String,
        new: String,
        client: Client,
    ) -> Result<Self, Error> {
        let mut violations = Violations::new();
        let current = violations.field("current_password", RawPassword::parse(current));
        let new = violations.field("new_password", RawPassword::parse(new));
        let unchanged = current.is_some() && current == new;
        let username = &principal.account.username;
        let new = new.and_then(|new| violations.field("new_password", policy.check_for(username, new)));
        let (current, new) = violations.finish(current.zip(new)).map_err(Error::InvalidFields)?;
        if unchanged {
            return Err(Error::PasswordUnchanged);
        }
        Ok(Self { principal, current, new, client })
    }

    /// Verifies the current password, hashes the new one, then changes it under the account's lock.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Opened, Error> {
        let attempt = Attempt {
            purpose: Purpose::ChangePassword,
            username: self.principal.account.username.clone(),
            address: ClientAddress::of(self.client.peer_address),
        };
        match cx.counted(attempt, Box::pin(self.check(cx))).await? {
            Checked::Right((seen, hash)) => self.change(cx, &seen, hash).await,
            Checked::Wrong => Err(Error::CurrentPasswordMismatch),
            Checked::Inactive => Err(Error::Unauthenticated),
        }
    }

    async fn check<P: Ports>(
        &self,
        cx: &Context<P>,
    ) -> Result<Checked<(StoredAccount, PasswordHash)>, Error> {
        let id = self.principal.account.id;
        let permit = cx.hasher.admit().await?;
        let seen =
            cx.store.costly_reader().account(&AccountKey::Id(id)).await?.ok_or(Error::Unauthenticated)?;
        match permit.verify(id, &self.current, &seen.password_hash).await? {
            Verdict::Mismatch => Ok(Checked::Wrong),
            _ if seen.account.state == AccountState::Disabled => Ok(Checked::Inactive),
            Verdict::Match | Verdict::MatchOutdated => {
                let hash = permit.hash(id, self.new.raw()).await?;
                Ok(Checked::Right((seen, hash)))
            }
        }
    }

    async fn change<P: Ports>(
        self,
        cx: &Context<P>,
        seen: &StoredAccount,
        hash: PasswordHash,
    ) -> Result<Opened, Error> {
        let id = seen.account.id;
        let mut tx = cx.store.begin_costly().await?;
        let LockedAccount { stored: account, now } =
            tx.lock_account(id).await?.ok_or(Error::Unauthenticated)?;
        if account.account.state == AccountState::Disabled || !account.same_credential(seen) {
            return Err(Error::Unauthenticated);
        }
        // The session of this call has to be alive still: it may have been ended while the passwords were hashed.
        tx.end_session(id, &self.principal.session.id).await?.ok_or(Error::Unauthenticated)?;
        // A defect: the other sessions go on.
        if !mutant("change_password.sessions_kept") {
            tx.end_sessions(id, None).await?;
        }
        let session = Session::open(cx.ids.session_id(), id, self.client, &cx.sessions, now);
        tx.open_session(&session, cx.sessions.others()).await?;
        // A defect: the password stays.
        let hash = if mutant("change_password.not_written") { account.password_hash.clone() } else { hash };
        let changed = tx.update_account(&account.with_password(hash, now)).await?;
        cx.commit(tx, Trace::AccountChanged { before: &account.account, after: &changed }).await?;
        cx.issue(session, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{DisableAccount, LogOut};
    use crate::testing::{PASSWORD, World};

    const NEW: &str = "an entirely new one";

    async fn principal(world: &World, opened: &Opened) -> Principal {
        world.principal(&opened.token).await.unwrap()
    }

    async fn change(world: &World, principal: Principal, current: &str, new: &str) -> Result<Opened, Error> {
        let policy = &world.commands.passwords;
        let command =
            ChangePassword::parse(policy, principal, current.into(), new.into(), Client::default())?;
        command.execute(&world.commands).await
    }

    #[tokio::test]
    async fn every_session_ends_and_one_new_in_every_respect_is_opened() {
        let world = World::new();
        let first = world.logged_in("alice").await;
        let second = world.log_in("alice", PASSWORD).await.unwrap();
        world.clock.advance(chrono::TimeDelta::minutes(1));
        let opened = change(&world, principal(&world, &first).await, PASSWORD, NEW).await.unwrap();
        assert!(!world.is_good(&first.token).await);
        assert!(!world.is_good(&second.token).await);
        assert!(world.is_good(&opened.token).await);
        assert_ne!(opened.session.id, first.session.id);
        assert!(opened.session.create_time > first.session.create_time);
        assert!(opened.session.authenticated_time > first.session.authenticated_time);
        assert!(world.log_in("alice", PASSWORD).await.is_err());
        assert!(world.log_in("alice", NEW).await.is_ok());
    }

    #[tokio::test]
    async fn a_wrong_current_password_changes_nothing() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let outcome = change(&world, principal(&world, &opened).await, "wrong", NEW).await;
        assert!(matches!(outcome, Err(Error::CurrentPasswordMismatch)));
        assert!(world.is_good(&opened.token).await);
    }

    #[tokio::test]
    async fn the_new_password_must_differ_and_follow_the_rules() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let principal = principal(&world, &opened).await;
        let same = change(&world, principal.clone(), PASSWORD, PASSWORD).await;
        assert!(matches!(same, Err(Error::PasswordUnchanged)));
        for (new, reasons) in [
            ("the password of Alice", &["CONTAINS_USERNAME"][..]),
            ("Alicealicealice", &["REPETITIVE", "CONTAINS_USERNAME"]),
        ] {
            let outcome = change(&world, principal.clone(), PASSWORD, new).await;
            let Err(Error::InvalidFields(broken)) = outcome else { panic!("{new} is accepted") };
            assert_eq!(broken.iter().map(|one| &*one.reason).collect::<Vec<_>>(), reasons);
        }
    }

    #[tokio::test]
    async fn a_change_under_way_does_not_slip_past_an_ended_session_or_a_disabled_account() {
        for disable in [true, false] {
            let world = World::new();
            let opened = world.logged_in("alice").await;
            let (user_id, session_id) = (opened.session.user_id, opened.session.id.clone());
            let principal = principal(&world, &opened).await;
            world.before_next_verdict(move |world| async move {
                if disable {
                    DisableAccount::any_version(user_id).execute(&world.commands).await.unwrap();
                } else {
                    LogOut { user_id, session_id }.execute(&world.commands).await.unwrap();
                }
            });
            assert!(matches!(change(&world, principal, PASSWORD, NEW).await, Err(Error::Unauthenticated)));
        }
    }
}
