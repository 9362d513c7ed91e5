//! Rows as they are stored, and reading them back.

use auth_core::StoreError;
use auth_core::domain::{Account, Client, PasswordHash, Session, SessionId, StoredAccount};
use auth_core::ports::LockedAccount;
use identity::{AccountVersion, Timestamp, UserId};
use uuid::Uuid;

use crate::stored;

pub(super) fn session_uuid(id: &SessionId) -> Uuid {
    Uuid::from_u128(id.bits())
}

/// A row of `accounts`, with the epoch of the feed.
#[derive(sqlx::FromRow)]
pub(super) struct AccountRow {
    #[sqlx(rename = "account_id")]
    id: Uuid,
    username: String,
    state: i16,
    #[sqlx(rename = "account_create_time")]
    create_time: Timestamp,
    update_time: Timestamp,
    version: i64,
    epoch: String,
}

impl AccountRow {
    pub(super) fn read(self) -> Result<Account, StoreError> {
        let id = UserId::new(self.id);
        Ok(Account {
            id,
            username: stored::username("accounts", &self.username, id)?,
            state: stored::state(self.state, id)?,
            create_time: self.create_time,
            update_time: self.update_time,
            version: AccountVersion { epoch: stored::epoch(&self.epoch)?, number: self.version },
        })
    }
}

/// A row of `accounts` with its credential.
#[derive(sqlx::FromRow)]
pub(super) struct StoredAccountRow {
    #[sqlx(flatten)]
    account: AccountRow,
    password_hash: String,
    credential_version: i64,
}

impl StoredAccountRow {
    pub(super) fn read(self) -> Result<StoredAccount, StoreError> {
        Ok(StoredAccount {
            account: self.account.read()?,
            password_hash: PasswordHash::new(self.password_hash),
            credential_version: self.credential_version,
        })
    }
}

/// The same with the time.
#[derive(sqlx::FromRow)]
pub(super) struct LockedAccountRow {
    #[sqlx(flatten)]
    stored: StoredAccountRow,
    now: Timestamp,
}

impl LockedAccountRow {
    pub(super) fn read(self) -> Result<LockedAccount, StoreError> {
        Ok(LockedAccount { stored: self.stored.read()?, now: self.now })
    }
}

/// A row of `sessions`.
#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    #[sqlx(rename = "session_id")]
    id: Uuid,
    #[sqlx(rename = "session_account_id")]
    account_id: Uuid,
    #[sqlx(rename = "session_create_time")]
    create_time: Timestamp,
    expire_time: Timestamp,
    absolute_expire_time: Timestamp,
    last_used_time: Timestamp,
    authenticated_time: Timestamp,
    user_agent: String,
    peer_address: Option<String>,
}

impl SessionRow {
    pub(super) fn read(self) -> Result<Session, StoreError> {
        let id = SessionId::from_random(self.id.into_bytes());
        let peer_address = stored::peer_address(self.peer_address, &id)?;
        Ok(Session {
            id,
            user_id: UserId::new(self.account_id),
            create_time: self.create_time,
            expire_time: self.expire_time,
            absolute_expire_time: self.absolute_expire_time,
            last_used_time: self.last_used_time,
            authenticated_time: self.authenticated_time,
            client: Client { user_agent: self.user_agent, peer_address },
        })
    }
}
