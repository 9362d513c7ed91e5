//! Values as every engine stores them, read back. What does not stand for one is broken, and the error says where: it is
//! never skipped. Knows no engine.

use std::fmt::Display;

use identity::{Epoch, Username};
use users_core::StoreError;
use users_core::domain::{Role, State};

/// A row that cannot be read back.
#[derive(Debug, thiserror::Error)]
#[error("table {table}, column {column}: row {row} cannot be read back")]
struct BrokenRow {
    table: &'static str,
    column: &'static str,
    row: String,
}

/// The error for such a row.
pub(crate) fn broken(table: &'static str, column: &'static str, row: impl Display) -> StoreError {
    StoreError::Broken(Box::new(BrokenRow { table, column, row: row.to_string() }))
}

/// The role that this number is.
pub(crate) fn role(
    number: impl Into<i64>,
    table: &'static str,
    row: impl Display,
) -> Result<Role, StoreError> {
    Role::from_number(number.into()).ok_or_else(|| broken(table, "role", row))
}

/// The state that this number is.
pub(crate) fn state(
    number: impl Into<i64>,
    table: &'static str,
    row: impl Display,
) -> Result<State, StoreError> {
    State::from_number(number.into()).ok_or_else(|| broken(table, "state", row))
}

/// The name that this text is.
pub(crate) fn username(text: &str, table: &'static str, row: impl Display) -> Result<Username, StoreError> {
    Username::parse(text).map_err(|_| broken(table, "username", row))
}

/// The epoch that this text is.
pub(crate) fn epoch(text: &str, table: &'static str) -> Result<Epoch, StoreError> {
    Epoch::parse(text).ok_or_else(|| broken(table, "epoch", text))
}

/// The key of page tokens that these bytes are.
pub(crate) fn page_token_key(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| broken("service", "page_token_key", 1))
}

/// What an error of an engine means for whoever asked.
pub(crate) fn failed(is_passing: bool, error: impl Into<users_core::error::Cause>) -> StoreError {
    if is_passing { StoreError::Unavailable(error.into()) } else { StoreError::Broken(error.into()) }
}

/// What follows the last text that begins with a prefix of canonical usernames: no name has this byte.
pub(crate) fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}\u{7f}")
}
