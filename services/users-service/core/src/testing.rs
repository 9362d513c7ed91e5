//! Fakes of the ports, and a world that is set up in one line: for the tests here and for the store contract.

#![expect(clippy::missing_panics_doc, reason = "a fake that cannot go on fails the test that uses it")]

mod identity_provider;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, TimeDelta};
use identity::{AccountVersion, Epoch, RawPassword, Timestamp, UserId, Username};

use crate::domain::{
    Account, Actor, FeedState, LEASE_LIFETIME, Lease, LeaseOwner, Role, State, User, UserKey,
};
use crate::ports::{
    FeedRows as _, Ids, Ports, Reservations as _, Store as _, Transaction as _, UserRows as _,
};
use crate::{commands, queries};

pub use identity_provider::FakeIdentityProvider;
pub use store::{LostCommit, MemoryStore};

/// The fakes as one type.
pub struct Fakes;

impl Ports for Fakes {
    type Store = MemoryStore;
    type IdentityProvider = FakeIdentityProvider;
    type Ids = SequentialIds;
}

/// Ids one after the other.
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl Ids for SequentialIds {
    fn next(&self) -> UserId {
        an_id(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The id with this number.
#[must_use]
pub fn an_id(number: u64) -> UserId {
    let text = format!("0198f0c2-7d1e-7cc3-98a4-{number:012x}");
    UserId::parse(&text).expect("an id in canonical form")
}

/// A username.
#[must_use]
pub fn a_username(text: &str) -> Username {
    Username::parse(text).expect("a username by the rules")
}

/// A password.
#[must_use]
pub fn a_password(text: &str) -> RawPassword {
    RawPassword::parse(text.to_owned()).expect("a password within the maximum")
}

/// An epoch.
#[must_use]
pub fn an_epoch(text: &str) -> Epoch {
    Epoch::parse(text).expect("letters and digits")
}

/// A time, in seconds after the moment at which the fakes begin.
#[must_use]
pub fn a_time(seconds: i64) -> Timestamp {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + seconds)
}

/// An active account at version 1 of the epoch in which the fake provider begins.
#[must_use]
pub fn an_account(id: UserId, username: &str) -> Account {
    Account {
        id,
        username: a_username(username),
        state: State::Active,
        create_time: a_time(0),
        update_time: a_time(0),
        version: AccountVersion { epoch: an_epoch("epoch1"), number: 1 },
    }
}

/// A user that no store knows.
#[must_use]
pub fn a_user(username: &str, role: Role) -> User {
    User {
        id: an_id(1_000_000),
        username: a_username(username),
        role,
        role_version: 1,
        role_time: a_time(0),
        state: State::Active,
        create_time: a_time(0),
        account_update_time: a_time(0),
        account: AccountVersion { epoch: an_epoch("epoch1"), number: 1 },
        update_time: a_time(0),
    }
}

/// A caller that no store knows, of the epoch in which the fake provider begins.
#[must_use]
pub fn an_actor(role: Role) -> Actor {
    Actor::new(&a_user("actor", role), an_epoch("epoch1"))
}

/// A caller whom this provider has just vouched for.
#[must_use]
pub fn an_actor_of(provider: &FakeIdentityProvider, role: Role) -> Actor {
    Actor::new(&a_user("actor", role), provider.epoch())
}

/// A store, a provider and ids, empty at first.
pub struct World {
    /// The store.
    pub store: Arc<MemoryStore>,
    /// The owner of accounts.
    pub provider: Arc<FakeIdentityProvider>,
    ids: Arc<SequentialIds>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let ids = Arc::new(SequentialIds::default());
        Self { store: Arc::default(), provider: Arc::new(FakeIdentityProvider::new(Arc::clone(&ids))), ids }
    }

    /// What commands may use of it.
    #[must_use]
    pub fn commands(&self) -> commands::Context<Fakes> {
        commands::Context {
            store: Arc::clone(&self.store),
            provider: Arc::clone(&self.provider),
            ids: Arc::clone(&self.ids),
        }
    }

    /// What queries may use of it.
    #[must_use]
    pub fn queries(&self) -> queries::Context<Fakes> {
        queries::Context::new(self.store.reader().clone())
    }

    /// What queries of a caller without a token need.
    pub async fn caught_up(&self) -> commands::CaughtUp {
        commands::CatchUp::default()
            .execute(&self.commands())
            .await
            .expect("there is nothing to catch up with")
    }

    /// An id that nobody has.
    #[must_use]
    pub fn new_id(&self) -> UserId {
        self.ids.next()
    }

    /// A user that has an account and is projected.
    pub async fn user(&self, username: &str, role: Role) -> User {
        let id = self.reserve(role).await;
        let account = self.provider.register_as(id, username);
        self.apply(&account).await;
        self.find(id).await.expect("it was applied")
    }

    /// Such a user as a caller.
    pub async fn actor(&self, username: &str, role: Role) -> Actor {
        Actor::new(&self.user(username, role).await, self.provider.epoch())
    }

    /// The user as it is stored.
    pub async fn find(&self, id: UserId) -> Option<User> {
        self.store.find_user(&UserKey::Id(id)).await.expect("the store answers")
    }

    /// An id that is reserved with this role.
    pub async fn reserve(&self, role: Role) -> UserId {
        let id = self.new_id();
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.reserve(id, role).await.expect("the store answers");
        tx.commit().await.expect("the store answers");
        id
    }

    /// Makes a user that is active look inactive here.
    pub async fn project_as_inactive(&self, id: UserId) {
        let mut account = self.provider.account(id);
        account.state = State::Inactive;
        account.version.number += 1000;
        self.apply(&account).await;
    }

    /// Takes the lease on the feed.
    pub async fn lease(&self, owner: LeaseOwner) -> Option<Lease> {
        let mut tx = self.store.begin().await.expect("the store answers");
        let fence = tx.take_lease(owner, LEASE_LIFETIME).await.expect("the store answers");
        tx.commit().await.expect("the store answers");
        fence.map(|fence| Lease { owner, fence })
    }

    /// How far the feed was applied.
    pub async fn feed_state(&self) -> FeedState {
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.feed_state().await.expect("the store answers")
    }

    async fn apply(&self, account: &Account) {
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.apply_account(account).await.expect("the store answers");
        tx.commit().await.expect("the store answers");
    }
}
