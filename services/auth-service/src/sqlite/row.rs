//! Rows as they are stored, and reading them back: one that cannot be is an error that names table, column and row.

use std::fmt;

use auth_core::StoreError;
use auth_core::domain::{Account, Client, PasswordHash, Session, SessionId, StoredAccount};
use database::sqlite::{NotAtOnce, Row};
use database::time::from_micros;
use identity::{AccountVersion, Timestamp, UserId};
use uuid::Uuid;

use crate::stored::{self, unreadable};

pub(super) fn id(table: &'static str, column: &'static str, bytes: &[u8]) -> Result<UserId, StoreError> {
    Uuid::from_slice(bytes)
        .map(UserId::new)
        .map_err(|_| unreadable(table, column, format_args!("{bytes:02x?}")))
}

fn time(
    table: &'static str,
    column: &'static str,
    row: impl fmt::Display,
    micros: i64,
) -> Result<Timestamp, StoreError> {
    from_micros(micros).map_err(|_| unreadable(table, column, row))
}

/// A row of `accounts`, with the epoch of the feed.
#[derive(sqlx::FromRow)]
pub(super) struct AccountRow {
    #[sqlx(rename = "account_id")]
    id: Vec<u8>,
    username: String,
    state: i16,
    #[sqlx(rename = "account_create_time")]
    create_time: i64,
    update_time: i64,
    version: i64,
    epoch: String,
}

impl AccountRow {
    /// The columns from `first` on, in the order of the fields.
    pub(super) fn at(row: &Row<'_>, first: usize) -> Result<Self, NotAtOnce> {
        Ok(Self {
            id: row.blob(first)?.to_owned(),
            username: row.text(first + 1)?.to_owned(),
            state: i16::try_from(row.integer(first + 2)?).map_err(|_| NotAtOnce)?,
            create_time: row.integer(first + 3)?,
            update_time: row.integer(first + 4)?,
            version: row.integer(first + 5)?,
            epoch: row.text(first + 6)?.to_owned(),
        })
    }

    pub(super) fn read(self) -> Result<Account, StoreError> {
        const TABLE: &str = "accounts";
        let id = id(TABLE, "id", &self.id)?;
        Ok(Account {
            id,
            username: stored::username(TABLE, &self.username, id)?,
            state: stored::state(self.state, id)?,
            create_time: time(TABLE, "create_time", id, self.create_time)?,
            update_time: time(TABLE, "update_time", id, self.update_time)?,
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

/// A row of `sessions`.
#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    #[sqlx(rename = "session_id")]
    id: String,
    #[sqlx(rename = "session_account_id")]
    account_id: Vec<u8>,
    #[sqlx(rename = "session_create_time")]
    create_time: i64,
    expire_time: i64,
    absolute_expire_time: i64,
    last_used_time: i64,
    authenticated_time: i64,
    user_agent: String,
    peer_address: Option<String>,
}

impl SessionRow {
    /// The columns from `first` on, in the order of the fields.
    pub(super) fn at(row: &Row<'_>, first: usize) -> Result<Self, NotAtOnce> {
        Ok(Self {
            id: row.text(first)?.to_owned(),
            account_id: row.blob(first + 1)?.to_owned(),
            create_time: row.integer(first + 2)?,
            expire_time: row.integer(first + 3)?,
            absolute_expire_time: row.integer(first + 4)?,
            last_used_time: row.integer(first + 5)?,
            authenticated_time: row.integer(first + 6)?,
            user_agent: row.text(first + 7)?.to_owned(),
            peer_address: row.optional_text(first + 8)?.map(str::to_owned),
        })
    }

    pub(super) fn read(self) -> Result<Session, StoreError> {
        const TABLE: &str = "sessions";
        let id = SessionId::parse(&self.id).ok_or_else(|| unreadable(TABLE, "id", &self.id))?;
        let peer_address = stored::peer_address(self.peer_address, &id)?;
        Ok(Session {
            user_id: self::id(TABLE, "account_id", &self.account_id)?,
            create_time: time(TABLE, "create_time", &id, self.create_time)?,
            expire_time: time(TABLE, "expire_time", &id, self.expire_time)?,
            absolute_expire_time: time(TABLE, "absolute_expire_time", &id, self.absolute_expire_time)?,
            last_used_time: time(TABLE, "last_used_time", &id, self.last_used_time)?,
            authenticated_time: time(TABLE, "authenticated_time", &id, self.authenticated_time)?,
            client: Client { user_agent: self.user_agent, peer_address },
            id,
        })
    }
}
