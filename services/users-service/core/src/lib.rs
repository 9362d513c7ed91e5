//! Users and their roles: the rules, the use cases and what they need of the outside.
//!
//! This crate knows who may do what to whom. It does not know that there are sockets, SQL or protobuf: whatever does
//! I/O is behind a port ([`ports`]), and the compiler keeps it so, since no such crate is among the dependencies.
//! Accounts, passwords and sessions belong to another service; here they are a projection and a port.

#[cfg(test)]
use overheard as _;

pub mod commands;
mod defects;
pub mod domain;
pub mod error;
pub mod ports;
pub mod queries;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::{AdministrationError, Error, StoreError};
