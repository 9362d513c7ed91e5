//! Opens a session. For everyone who is not logged in.
//!
//! An unknown name, a wrong password and a disabled account with a wrong password take the same reads, one hash of the
//! same cost, and end in the same error.

use fail_point::mutant;
use identity::{RawPassword, Username};

use super::attempt::Checked;
use super::{Context, Opened, Trace};
use crate::Error;
use crate::domain::{
    AccountKey, AccountState, Attempt, Client, ClientAddress, PasswordHash, Purpose, Session, StoredAccount,
};
use crate::ports::{
    HashingPermit as _, Ids as _, LockedAccount, PasswordHasher as _, Ports, Reader as _, Store as _,
    Transaction as _, Verdict,
};

/// A username and the password that is claimed for it.
#[derive(Debug)]
pub struct LogIn {
    /// Whose password.
    pub username: Username,
    /// The password.
    pub password: RawPassword,
    /// Who asks.
    pub client: Client,
}

impl LogIn {
    /// Verifies the password, then opens the session under the account's lock.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Opened, Error> {
        let attempt = Attempt {
            purpose: Purpose::LogIn,
            username: self.username.clone(),
            address: ClientAddress::of(self.client.peer_address),
        };
        match cx.counted(attempt, Box::pin(self.check(cx))).await? {
            Checked::Right((seen, rehashed)) => self.open(cx, &seen, rehashed).await,
            Checked::Inactive => Err(Error::AccountInactive),
            Checked::Wrong => Err(Error::InvalidCredentials),
        }
    }

    async fn check<P: Ports>(
        &self,
        cx: &Context<P>,
    ) -> Result<Checked<(StoredAccount, Option<PasswordHash>)>, Error> {
        let permit = cx.hasher.admit().await?;
        let found = cx.store.costly_reader().account(&AccountKey::Username(self.username.clone())).await?;
        let Some(seen) = found else {
            permit.verify_nothing(&self.password).await?;
            return Ok(Checked::Wrong);
        };
        let id = seen.account.id;
        let verdict = permit.verify(id, &self.password, &seen.password_hash).await?;
        // A defect: any password does.
        let verdict = if mutant("log_in.any_password") { Verdict::Match } else { verdict };
        let rehashed = match verdict {
            Verdict::Mismatch => return Ok(Checked::Wrong),
            _ if seen.account.state == AccountState::Disabled => return Ok(Checked::Inactive),
            // A defect: whoever was ever changed is taken for disabled.
            _ if mutant("log_in.changed_is_inactive")
                && seen.account.update_time > seen.account.create_time =>
            {
                return Ok(Checked::Inactive);
            }
            Verdict::Match => None,
            Verdict::MatchOutdated => Some(permit.hash(id, &self.password).await?),
        };
        Ok(Checked::Right((seen, rehashed)))
    }

    async fn open<P: Ports>(
        self,
        cx: &Context<P>,
        seen: &StoredAccount,
        rehashed: Option<PasswordHash>,
    ) -> Result<Opened, Error> {
        let id = seen.account.id;
        let mut tx = cx.store.begin_costly().await?;
        let LockedAccount { stored: account, now } =
            tx.lock_account(id).await?.ok_or(Error::InvalidCredentials)?;
        // A defect: what was read before the password was looked at is believed.
        let believes = mutant("log_in.not_compared");
        if !account.same_credential(seen) && !believes {
            return Err(Error::InvalidCredentials);
        }
        if account.account.state == AccountState::Disabled && !believes {
            return Err(Error::AccountInactive);
        }
        // A defect: there is room for one.
        let others = if mutant("log_in.displaces_all") { 0 } else { cx.sessions.others() };
        // A defect: a session of which nobody is told.
        if mutant("log_in.opens_two") {
            let client = self.client.clone();
            let untold = Session::open(cx.ids.session_id(), id, client, &cx.sessions, now);
            tx.open_session(&untold, others).await?;
        }
        let session = Session::open(cx.ids.session_id(), id, self.client, &cx.sessions, now);
        tx.open_session(&session, others).await?;
        if let Some(hash) = rehashed {
            tx.rehash(id, &hash).await?;
        }
        cx.commit(tx, Trace::SessionOpened(&session)).await?;
        cx.issue(session, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{DisableAccount, RevokeAllSessions};
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn the_right_password_opens_a_session_whatever_the_case_of_the_name() {
        let world = World::new();
        world.signed_up("Alice").await;
        let opened = world.log_in("aLICE", PASSWORD).await.unwrap();
        assert_eq!(opened.session.client, World::client());
    }

    #[tokio::test]
    async fn unknown_names_and_wrong_passwords_are_one_error_and_one_hash() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        for name in ["alice", "nobody"] {
            let before = world.hashes();
            assert!(matches!(world.log_in(name, "wrong").await, Err(Error::InvalidCredentials)));
            assert_eq!(world.hashes() - before, 1, "{name}");
        }
        DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        let before = world.hashes();
        assert!(matches!(world.log_in("alice", "").await, Err(Error::InvalidCredentials)));
        assert_eq!(world.hashes() - before, 1);
    }

    #[tokio::test]
    async fn an_inactive_user_cannot_log_in_and_learns_why_only_with_the_password() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        assert!(matches!(world.log_in("alice", PASSWORD).await, Err(Error::AccountInactive)));
    }

    #[tokio::test]
    async fn one_session_too_many_ends_the_oldest() {
        let world = World::new();
        world.signed_up("alice").await;
        let mut opened = Vec::new();
        for _ in 0..=world.commands.sessions.max_per_user {
            opened.push(world.log_in("alice", PASSWORD).await.unwrap());
            world.clock.advance(chrono::TimeDelta::seconds(1));
        }
        assert!(!world.is_good(&opened[0].token).await);
        assert!(world.is_good(&opened[1].token).await);
        let user_id = opened[0].session.user_id;
        let all = RevokeAllSessions { user_id, keep: None };
        assert_eq!(all.execute(&world.commands).await.unwrap(), world.commands.sessions.max_per_user);
    }

    #[tokio::test]
    async fn an_outdated_hash_is_replaced() {
        let world = World::new();
        world.signed_up("alice").await;
        world.hasher.outdate();
        world.log_in("alice", PASSWORD).await.unwrap();
        let before = world.hashes();
        world.log_in("alice", PASSWORD).await.unwrap();
        assert_eq!(world.hashes() - before, 1, "a verification and no rehash");
    }

    #[tokio::test]
    async fn a_log_in_under_way_does_not_slip_past_disabling() {
        let world = World::new();
        let id = world.signed_up("alice").await;
        world.before_next_verdict(move |world| async move {
            DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        });
        assert!(matches!(world.log_in("alice", PASSWORD).await, Err(Error::AccountInactive)));
    }
}
