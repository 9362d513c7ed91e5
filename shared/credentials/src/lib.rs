//! Certificates, keys and tokens that are in files, and are read again when these change: a credential is replaced without
//! a restart, and without a connection that is lost.
//!
//! TLS of a listener ([`ServerTls`]) and of a client ([`ClientTls`]), the names that a client's certificate proves
//! ([`PeerNames`]), and what follows files ([`Followed`]).

#[cfg(test)]
use overheard as _;

mod client;
mod followed;
mod peer;
mod pem;
mod server;

pub use client::{ClientKeys, ClientPem, ClientTls};
pub use followed::Followed;
pub use peer::PeerNames;
pub use pem::UnfitPem;
pub use server::{ServerKeys, ServerTls, TlsListener};
