//! Stored values that every engine keeps in the same way, and reading them back: one that cannot be is an error that names
//! table, column and row. Knows no engine.

use std::fmt;
use std::net::IpAddr;

use auth_core::StoreError;
use auth_core::domain::AccountState;
use chrono::TimeDelta;
use identity::{Epoch, Username};

/// A stored value that this service never wrote.
#[derive(Debug)]
struct Unreadable {
    table: &'static str,
    column: &'static str,
    row: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} cannot be read back in row {}", self.table, self.column, self.row)
    }
}

impl std::error::Error for Unreadable {}

pub(crate) fn unreadable(table: &'static str, column: &'static str, row: impl fmt::Display) -> StoreError {
    StoreError::Broken(Box::new(Unreadable { table, column, row: row.to_string() }))
}

/// A request id is remembered for so long.
pub(crate) const REQUEST_MEMORY: TimeDelta = TimeDelta::hours(24);

pub(crate) const ACTIVE: i16 = 1;
const DISABLED: i16 = 2;

pub(crate) const fn state_number(state: AccountState) -> i16 {
    match state {
        AccountState::Active => ACTIVE,
        AccountState::Disabled => DISABLED,
    }
}

pub(crate) fn state(number: i16, row: impl fmt::Display) -> Result<AccountState, StoreError> {
    match number {
        ACTIVE => Ok(AccountState::Active),
        DISABLED => Ok(AccountState::Disabled),
        _ => Err(unreadable("accounts", "state", row)),
    }
}

pub(crate) fn username(
    table: &'static str,
    text: &str,
    row: impl fmt::Display,
) -> Result<Username, StoreError> {
    Username::parse(text).map_err(|_| unreadable(table, "username", row))
}

pub(crate) fn epoch(text: &str) -> Result<Epoch, StoreError> {
    Epoch::parse(text).ok_or_else(|| unreadable("feed", "epoch", 1))
}

pub(crate) fn page_token_key(bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| unreadable("page_token_key", "key", 1))
}

pub(crate) fn peer_address(
    text: Option<String>,
    row: impl fmt::Display,
) -> Result<Option<IpAddr>, StoreError> {
    let address = text.map(|text| text.parse()).transpose();
    address.map_err(|_| unreadable("sessions", "peer_address", row))
}
