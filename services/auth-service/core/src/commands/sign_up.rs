//! Creates an account. For everyone who is not logged in. Opens no session.

use fail_point::mutant;
use identity::{RequestId, Username, Violation, Violations};

use super::attempt::Checked;
use super::{Context, Trace};
use crate::Error;
use crate::domain::{
    Account, AccountKey, AccountState, Attempt, Client, ClientAddress, NewAccount, NewPassword,
    PasswordPolicy, Purpose, parse_credential,
};
use crate::ports::{
    Claim, HashingPermit as _, Ids as _, Insertion, PasswordHasher as _, Ports, Reader as _, SignUpRecord,
    Store as _, Transaction as _, Verdict,
};

/// A username and a password by the rules.
#[derive(Debug)]
pub struct SignUp {
    username: Username,
    password: NewPassword,
    request_id: Option<RequestId>,
    address: ClientAddress,
}

impl SignUp {
    /// Checks every field; all violations come at once.
    pub fn parse(
        policy: &PasswordPolicy,
        username: &str,
        password: String,
        request_id: &str,
        client: &Client,
    ) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::new();
        let credential = parse_credential(policy, &mut violations, username, password);
        let request_id = violations.field("request_id", RequestId::parse_optional(request_id));
        let parsed = credential.zip(request_id);
        violations.finish(parsed.map(|((username, password), request_id)| Self {
            username,
            password,
            // A defect: a repeat is taken for another call.
            request_id: request_id.filter(|_| !mutant("sign_up.repeats_are_new")),
            address: ClientAddress::of(client.peer_address),
        }))
    }

    /// Looks the name up, hashes, and lets the store's constraint decide.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Account, Error> {
        let address = self.address.clone();
        cx.counted_sign_up(&address, Box::pin(self.sign_up(cx))).await
    }

    async fn sign_up<P: Ports>(self, cx: &Context<P>) -> Result<Account, Error> {
        let permit = cx.hasher.admit().await?;
        let reader = cx.store.costly_reader();
        // The name before the request id: they are committed together, so a repeat that finds its own name taken
        // finds its request id too.
        let taken = reader.account(&AccountKey::Username(self.username.clone())).await?.is_some();
        if let Some(id) = self.request_id
            && let Some(known) = reader.sign_up_request(id).await?
        {
            drop(permit);
            return self.repeat(cx, &known).await;
        }
        // A defect, of the database too: it takes a name twice.
        if taken && !mutant("accounts.names_not_unique") {
            // A defect: a name is given to whoever asks for it.
            if mutant("sign_up.taken_name_is_given") {
                let found = reader.account(&AccountKey::Username(self.username.clone())).await?;
                return found.map(|stored| stored.account).ok_or(Error::UsernameTaken(self.username));
            }
            return Err(Error::UsernameTaken(self.username));
        }
        let id = cx.ids.account_id();
        let password_hash = permit.hash(id, self.password.raw()).await?;
        // Nobody waits for a hash because somebody waits for the store.
        drop(permit);
        let account = NewAccount { id, username: self.username.clone(), password_hash };
        match self.insert(cx, &account).await? {
            // A defect: what is done is refused.
            Ok(_) if self.request_id.is_some() && mutant("sign_up.made_and_refused") => {
                Err(Error::UsernameTaken(self.username))
            }
            Ok(account) => Ok(account),
            Err(known) => self.repeat(cx, &known).await,
        }
    }

    /// The unit of work. The request id goes first, so that parallel repeats wait for each other; `Err` is the request
    /// that took it.
    async fn insert<P: Ports>(
        &self,
        cx: &Context<P>,
        account: &NewAccount,
    ) -> Result<Result<Account, SignUpRecord>, Error> {
        let mut tx = cx.store.begin_costly().await?;
        if let Some(request_id) = self.request_id {
            let record = SignUpRecord { request_id, username: self.username.clone(), account_id: account.id };
            if let Claim::Known(known) = tx.claim_request(&record).await? {
                return Ok(Err(known));
            }
        }
        let now = tx.now().await?;
        match tx.insert_account(account, now).await? {
            Insertion::Inserted(added) => {
                cx.commit(tx, Trace::AccountAdded { new: account, added: &added }).await?;
                Ok(Ok(added))
            }
            Insertion::UsernameTaken => Err(Error::UsernameTaken(self.username.clone())),
            Insertion::IdTaken => Err(Error::Internal("a new account id is taken".into())),
        }
    }

    /// Answers a repeat with the account as it is now, if it is the same request: the same name and password.
    async fn repeat<P: Ports>(&self, cx: &Context<P>, known: &SignUpRecord) -> Result<Account, Error> {
        if known.username != self.username {
            return Err(Error::RequestIdReused);
        }
        let found = cx.store.costly_reader().account(&AccountKey::Id(known.account_id)).await?;
        let stored = found.ok_or_else(|| Error::Internal("a request id without its account".into()))?;
        // Whoever knows a request id could guess at its password here.
        let attempt = Attempt {
            purpose: Purpose::LogIn,
            username: stored.account.username.clone(),
            address: self.address.clone(),
        };
        let verify = async {
            let permit = cx.hasher.admit().await?;
            let verdict =
                permit.verify(stored.account.id, self.password.raw(), &stored.password_hash).await?;
            Ok(match verdict {
                Verdict::Mismatch => Checked::Wrong,
                _ if stored.account.state == AccountState::Disabled => Checked::Inactive,
                Verdict::Match | Verdict::MatchOutdated => Checked::Right(()),
            })
        };
        // A defect: a repeat is answered with another id.
        if mutant("sign_up.repeats_are_others") {
            return Ok(Account { id: cx.ids.account_id(), ..stored.account });
        }
        match cx.counted(attempt, verify).await? {
            Checked::Right(()) | Checked::Inactive => Ok(stored.account),
            Checked::Wrong => Err(Error::RequestIdReused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AccountState;
    use crate::testing::{PASSWORD, World};

    const REQUEST_ID: &str = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c";

    async fn sign_up(
        world: &World,
        username: &str,
        password: &str,
        request_id: &str,
    ) -> Result<Account, Error> {
        let command = SignUp::parse(
            &world.commands.passwords,
            username,
            password.to_owned(),
            request_id,
            &World::client(),
        );
        command.map_err(Error::InvalidFields)?.execute(&world.commands).await
    }

    #[tokio::test]
    async fn a_new_user_is_active_and_named_as_entered() {
        let world = World::new();
        let account = sign_up(&world, "Alice", PASSWORD, "").await.unwrap();
        assert_eq!((account.username.as_str(), account.state), ("Alice", AccountState::Active));
        assert_eq!(account.version.number, 1);
    }

    #[tokio::test]
    async fn a_name_is_taken_ignoring_case_and_costs_no_hash() {
        let world = World::new();
        sign_up(&world, "alice", PASSWORD, "").await.unwrap();
        let before = world.hashes();
        assert!(matches!(sign_up(&world, "ALICE", PASSWORD, "").await, Err(Error::UsernameTaken(_))));
        assert_eq!(world.hashes(), before);
    }

    #[tokio::test]
    async fn a_repeat_answers_the_same_account() {
        let world = World::new();
        let first = sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.unwrap();
        let second = sign_up(&world, "alice", PASSWORD, &REQUEST_ID.to_uppercase()).await.unwrap();
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn other_content_under_the_same_request_id_is_refused() {
        let world = World::new();
        sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.unwrap();
        for (name, password) in [("bobby", PASSWORD), ("Alice", PASSWORD), ("alice", "another good password")]
        {
            let repeated = sign_up(&world, name, password, REQUEST_ID).await;
            assert!(matches!(repeated, Err(Error::RequestIdReused)), "{name}");
        }
    }

    #[tokio::test]
    async fn a_request_id_is_forgotten_after_a_day_and_after_a_failure() {
        let world = World::new();
        sign_up(&world, "alice", PASSWORD, "").await.unwrap();
        assert!(sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.is_err());
        sign_up(&world, "bobby", PASSWORD, REQUEST_ID).await.unwrap();
        world.clock.advance(chrono::TimeDelta::hours(25));
        sign_up(&world, "carol", PASSWORD, REQUEST_ID).await.unwrap();
    }

    #[tokio::test]
    async fn every_bad_field_is_named() {
        let world = World::new();
        let Err(Error::InvalidFields(broken)) = sign_up(&world, "a", "zq9!kd", "x").await else { panic!() };
        let fields: Vec<_> = broken.iter().map(|v| v.field.as_str()).collect();
        assert_eq!(fields, ["username", "password", "request_id"]);
    }
}
