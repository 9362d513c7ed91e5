//! The auth context: accounts, credentials, sessions, and the feed of account changes.
//!
//! Domain, use cases and ports. Deliberately absent: roles and permissions (the users context owns them), and every
//! adapter; this crate cannot name tonic, prost, sqlx or tokio. Time, randomness and ids come through ports.

#[cfg(test)]
use overheard as _;

pub mod commands;
mod defects;
pub mod domain;
mod error;
pub mod ports;
pub mod queries;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Cause, Error, StoreError};
