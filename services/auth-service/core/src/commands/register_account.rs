//! Creates an account with an id that the calling workload chose. A repeat with the same content succeeds, so that a
//! lost reply can be asked for again.

use fail_point::fail_point;
use identity::{UserId, Username, Violation, Violations};

use super::attempt::Checked;
use super::{Context, Trace};
use crate::domain::{
    Account, AccountKey, AccountState, Attempt, ClientAddress, NewAccount, NewPassword, PasswordPolicy,
    Purpose, StoredAccount, parse_credential,
};
use crate::ports::{
    HashingPermit as _, Insertion, PasswordHasher as _, Ports, Reader as _, Store as _, Transaction as _,
    Verdict,
};
use crate::{Error, StoreError};

/// An id, and a username and a password by the rules.
#[derive(Debug)]
pub struct RegisterAccount {
    id: UserId,
    username: Username,
    password: NewPassword,
}

impl RegisterAccount {
    /// Checks every field; all violations come at once.
    pub fn parse(
        policy: &PasswordPolicy,
        account_id: &str,
        username: &str,
        password: String,
    ) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::new();
        let id = violations.field("account_id", UserId::parse(account_id));
        let credential = parse_credential(policy, &mut violations, username, password);
        let parsed = id.zip(credential);
        violations.finish(parsed.map(|(id, (username, password))| Self { id, username, password }))
    }

    /// Looks id and name up, hashes, and lets the store's constraints decide.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Account, Error> {
        let permit = cx.hasher.admit().await?;
        let reader = cx.store.costly_reader();
        // The name before the id, which are one row: a repeat that finds its own name taken finds its id too.
        let taken = reader.account(&AccountKey::Username(self.username.clone())).await?.is_some();
        if let Some(existing) = reader.account(&AccountKey::Id(self.id)).await? {
            drop(permit);
            return self.repeat(cx, existing).await;
        }
        if taken {
            return Err(Error::UsernameTaken(self.username));
        }
        let password_hash = permit.hash(self.id, self.password.raw()).await?;
        // Nobody waits for a hash because somebody waits for the store.
        drop(permit);
        let account = NewAccount { id: self.id, username: self.username.clone(), password_hash };
        match insert(cx, &account).await? {
            Insertion::Inserted(account) => Ok(account),
            Insertion::UsernameTaken | Insertion::IdTaken => {
                let existing = reader.account(&AccountKey::Id(self.id)).await?;
                match existing {
                    Some(existing) => self.repeat_of_what_appeared(cx, existing).await,
                    None => Err(Error::UsernameTaken(self.username)),
                }
            }
        }
    }

    /// The account has appeared meanwhile, so nobody may be told that nothing was done.
    async fn repeat_of_what_appeared<P: Ports>(
        self,
        cx: &Context<P>,
        existing: StoredAccount,
    ) -> Result<Account, Error> {
        self.repeat(cx, existing).await.map_err(|error| match error {
            Error::HasherBusy { .. } | Error::RateLimited { .. } => {
                Error::Store(StoreError::Unavailable("it is not known yet whose account there is now".into()))
            }
            error => error,
        })
    }

    async fn repeat<P: Ports>(self, cx: &Context<P>, existing: StoredAccount) -> Result<Account, Error> {
        let attempt = Attempt {
            purpose: Purpose::RegisterAccount,
            username: existing.account.username.clone(),
            address: ClientAddress::of(None),
        };
        let verify = async {
            let permit = cx.hasher.admit().await?;
            Ok(match permit.verify(self.id, self.password.raw(), &existing.password_hash).await? {
                Verdict::Mismatch => Checked::Wrong,
                _ if existing.account.state == AccountState::Disabled => Checked::Inactive,
                Verdict::Match | Verdict::MatchOutdated => Checked::Right(()),
            })
        };
        match cx.counted(attempt, verify).await? {
            Checked::Right(()) | Checked::Inactive if existing.account.username == self.username => {
                Ok(existing.account)
            }
            Checked::Right(()) | Checked::Inactive | Checked::Wrong => Err(Error::AccountIdTaken(self.id)),
        }
    }
}

async fn insert<P: Ports>(cx: &Context<P>, account: &NewAccount) -> Result<Insertion, Error> {
    let mut tx = cx.store.begin_costly().await?;
    let now = tx.now().await?;
    let insertion = tx.insert_account(account, now).await?;
    if let Insertion::Inserted(added) = &insertion {
        fail_point("register_account.before_commit");
        cx.commit(tx, Trace::AccountAdded { new: account, added }).await?;
        fail_point("register_account.committed");
    }
    Ok(insertion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    const ID: &str = "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c";

    async fn register(world: &World, id: &str, username: &str, password: &str) -> Result<Account, Error> {
        let command = RegisterAccount::parse(&world.commands.passwords, id, username, password.to_owned());
        command.map_err(Error::InvalidFields)?.execute(&world.commands).await
    }

    #[tokio::test]
    async fn the_account_has_the_id_that_was_asked_for() {
        let world = World::new();
        assert_eq!(register(&world, ID, "alice", PASSWORD).await.unwrap().id.to_string(), ID);
    }

    #[tokio::test]
    async fn a_repeat_succeeds_and_changes_nothing() {
        let world = World::new();
        let first = register(&world, ID, "alice", PASSWORD).await.unwrap();
        assert_eq!(register(&world, ID, "alice", PASSWORD).await.unwrap(), first);
    }

    #[tokio::test]
    async fn other_content_under_the_same_id_is_refused() {
        let world = World::new();
        register(&world, ID, "alice", PASSWORD).await.unwrap();
        world.signed_up("bobby").await;
        for (name, password) in [("Alice", PASSWORD), ("bobby", PASSWORD), ("alice", "another good password")]
        {
            let repeated = register(&world, ID, name, password).await;
            assert!(matches!(repeated, Err(Error::AccountIdTaken(_))), "{name}");
        }
    }

    #[tokio::test]
    async fn a_taken_name_is_refused() {
        let world = World::new();
        world.signed_up("alice").await;
        assert!(matches!(register(&world, ID, "ALICE", PASSWORD).await, Err(Error::UsernameTaken(_))));
    }
}
