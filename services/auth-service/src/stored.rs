//! Stored values that every engine keeps in the same way, and reading them back: one that cannot be is an error that names
//! table, column and row. Knows no engine.

use std::fmt;
use std::net::IpAddr;

use auth_core::StoreError;
use auth_core::domain::{AccountState, AddressCount, Failures, Purpose};
use chrono::TimeDelta;
use identity::{Epoch, Timestamp, Username};

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

/// How a purpose is stored.
pub(crate) const fn purpose_number(purpose: Purpose) -> i16 {
    match purpose {
        Purpose::LogIn => 1,
        Purpose::ChangePassword => 2,
        Purpose::RegisterAccount => 3,
    }
}

/// The purposes that accounts have failures of.
pub(crate) const PURPOSES: [Purpose; 3] = [Purpose::LogIn, Purpose::ChangePassword, Purpose::RegisterAccount];

/// What is stored as the purpose of sign-ups, which are counted by address alone.
pub(crate) const SIGN_UP: i16 = 4;

/// What is stored as the address of failures from all addresses.
pub(crate) const EVERYWHERE: &str = "*";

/// Failures as they are stored: both columns, or no row.
pub(crate) fn failures(
    count: Option<i64>,
    last_time: Option<Timestamp>,
    row: impl fmt::Display,
) -> Result<Option<Failures>, StoreError> {
    let Some((count, last_time)) = count.zip(last_time) else { return Ok(None) };
    let count = u32::try_from(count).map_err(|_| unreadable("failures", "count", row))?;
    Ok(Some(Failures { count, last_time }))
}

/// As [`failures`], of an address.
pub(crate) fn address_count(
    count: Option<i64>,
    end_time: Option<Timestamp>,
    row: impl fmt::Display,
) -> Result<Option<AddressCount>, StoreError> {
    let Some((count, end_time)) = count.zip(end_time) else { return Ok(None) };
    let count = u32::try_from(count).map_err(|_| unreadable("address_counts", "count", row))?;
    Ok(Some(AddressCount { count, end_time }))
}

/// A number of attempts, which is small.
pub(crate) fn attempts(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A count as a column that holds less of them, far more than there ever are.
pub(crate) fn count_column(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
