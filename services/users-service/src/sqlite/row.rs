//! Columns and the values they stand for. What does not stand for one is broken, and the error says where.

use std::fmt::Display;

use identity::{AccountVersion, Epoch, Timestamp, UserId, Username};
use sqlx::FromRow;
use users_core::StoreError;
use users_core::domain::{Role, State, User};
use uuid::Uuid;

/// A row that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("table {table}, column {column}: row {row} cannot be read back")]
struct BrokenRow {
    table: &'static str,
    column: &'static str,
    row: String,
}

/// The error for such a row.
pub(super) fn broken(table: &'static str, column: &'static str, row: impl Display) -> StoreError {
    StoreError::Broken(Box::new(BrokenRow { table, column, row: row.to_string() }))
}

/// The id that these bytes are.
pub(super) fn id(bytes: &[u8], table: &'static str, column: &'static str) -> Result<UserId, StoreError> {
    let id = Uuid::from_slice(bytes).map_err(|_| broken(table, column, format!("{bytes:02x?}")))?;
    Ok(UserId::new(id))
}

/// The role that this number is.
pub(super) fn role(number: i64, table: &'static str, row: impl Display) -> Result<Role, StoreError> {
    Role::from_number(number).ok_or_else(|| broken(table, "role", row))
}

/// The name that this text is.
pub(super) fn username(text: &str, table: &'static str, row: impl Display) -> Result<Username, StoreError> {
    Username::parse(text).map_err(|_| broken(table, "username", row))
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

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let id = id(&row.id, "users", "id")?;
        let time = |micros: i64, column: &'static str| -> Result<Timestamp, StoreError> {
            database::time::from_micros(micros).map_err(|_| broken("users", column, id))
        };
        Ok(Self {
            id,
            username: username(&row.username, "users", id)?,
            role: role(row.role, "users", id)?,
            role_version: row.role_version,
            role_time: time(row.role_time, "role_time")?,
            state: State::from_number(row.state).ok_or_else(|| broken("users", "state", id))?,
            create_time: time(row.create_time, "create_time")?,
            account_update_time: time(row.account_update_time, "account_update_time")?,
            account: AccountVersion {
                epoch: Epoch::parse(&row.epoch).ok_or_else(|| broken("feed_epochs", "epoch", &row.epoch))?,
                number: row.account_version,
            },
            update_time: time(row.update_time, "update_time")?,
        })
    }
}
