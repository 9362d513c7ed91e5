//! Columns of PostgreSQL and the values they stand for.

use identity::{AccountVersion, Timestamp, UserId};
use sqlx::FromRow;
use users_core::StoreError;
use users_core::domain::User;
use uuid::Uuid;

use crate::stored;

/// The columns of a user but for the epoch. Each by its name: a statement that is prepared for all columns fails when a
/// later schema has more.
macro_rules! columns {
    () => {
        "users.id, users.username, users.role, users.role_version, users.role_time, users.state,
         users.create_time, users.account_update_time, users.account_version, users.update_time"
    };
}
pub(super) use columns;

/// A user with the epoch of its account.
#[derive(Debug, FromRow)]
pub(super) struct UserRow {
    pub(super) id: Uuid,
    username: String,
    role: i16,
    role_version: i64,
    role_time: Timestamp,
    state: i16,
    create_time: Timestamp,
    account_update_time: Timestamp,
    epoch: String,
    account_version: i64,
    update_time: Timestamp,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let id = UserId::new(row.id);
        Ok(Self {
            id,
            username: stored::username(&row.username, "users", id)?,
            role: stored::role(row.role, "users", id)?,
            role_version: row.role_version,
            role_time: row.role_time,
            state: stored::state(row.state, "users", id)?,
            create_time: row.create_time,
            account_update_time: row.account_update_time,
            account: AccountVersion {
                epoch: stored::epoch(&row.epoch, "feed_epochs")?,
                number: row.account_version,
            },
            update_time: row.update_time,
        })
    }
}

/// A small number as it is stored.
pub(super) fn small(number: i64) -> i16 {
    i16::try_from(number).expect("roles and states have small numbers")
}
