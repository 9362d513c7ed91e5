//! Columns of SQLite and the values they stand for.

use database::sqlite::{NotAtOnce, Row};
use identity::{AccountVersion, Timestamp, UserId};
use sqlx::FromRow;
use users_core::StoreError;
use users_core::domain::User;
use uuid::Uuid;

use crate::stored::{self, broken};

/// The id that these bytes are.
pub(super) fn id(bytes: &[u8], table: &'static str, column: &'static str) -> Result<UserId, StoreError> {
    let id = Uuid::from_slice(bytes).map_err(|_| broken(table, column, format!("{bytes:02x?}")))?;
    Ok(UserId::new(id))
}

/// A user with the epoch of its account.
#[derive(Debug, FromRow)]
pub(super) struct UserRow {
    id: Vec<u8>,
    username: String,
    role: i64,
    role_version: i64,
    role_time: i64,
    state: i64,
    create_time: i64,
    account_update_time: i64,
    epoch: String,
    account_version: i64,
    update_time: i64,
}

impl UserRow {
    /// The columns in the order of the fields.
    pub(super) fn at(row: &Row<'_>) -> Result<Self, NotAtOnce> {
        Ok(Self {
            id: row.blob(0)?.to_owned(),
            username: row.text(1)?.to_owned(),
            role: row.integer(2)?,
            role_version: row.integer(3)?,
            role_time: row.integer(4)?,
            state: row.integer(5)?,
            create_time: row.integer(6)?,
            account_update_time: row.integer(7)?,
            epoch: row.text(8)?.to_owned(),
            account_version: row.integer(9)?,
            update_time: row.integer(10)?,
        })
    }
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let id = id(&row.id, "users", "id")?;
        let time = |micros: i64, column: &'static str| -> Result<Timestamp, StoreError> {
            database::time::from_micros(micros).map_err(|_| broken("users", column, id))
        };
        Ok(Self {
            id,
            username: stored::username(&row.username, "users", id)?,
            role: stored::role(row.role, "users", id)?,
            role_version: row.role_version,
            role_time: time(row.role_time, "role_time")?,
            state: stored::state(row.state, "users", id)?,
            create_time: time(row.create_time, "create_time")?,
            account_update_time: time(row.account_update_time, "account_update_time")?,
            account: AccountVersion {
                epoch: stored::epoch(&row.epoch, "feed_epochs")?,
                number: row.account_version,
            },
            update_time: time(row.update_time, "update_time")?,
        })
    }
}
