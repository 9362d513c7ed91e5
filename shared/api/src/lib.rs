//! The contract as Rust: messages, clients and servers generated from `proto/`, and the descriptor set.
//!
//! It holds no conversion from or to domain types: those are in each service's `wire.rs`, so that a change of the contract
//! stops at the edge.

#[cfg(test)]
use overheard as _;

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
mod generated {
    pub mod auth {
        pub mod v1 {
            tonic::include_proto!("tandem.auth.v1");
        }
    }
    pub mod identity {
        pub mod v1 {
            tonic::include_proto!("tandem.identity.v1");
        }
    }
    pub mod users {
        pub mod v1 {
            tonic::include_proto!("tandem.users.v1");
        }
    }
}

/// `tandem.auth.v1`: sign-up, log-in, log-out and a user's own sessions.
pub use generated::auth::v1 as auth;
/// `tandem.identity.v1`: the identity-provider port.
pub use generated::identity::v1 as identity;
/// `tandem.users.v1`: administration of users.
pub use generated::users::v1 as users;

mod redacted {
    use crate::generated as tandem;
    include!(concat!(env!("OUT_DIR"), "/redacted.rs"));
}

include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// The compiled protobuf of one package each, with what it imports of Google's types: what a listener that serves the
/// package shows by reflection.
pub mod descriptors {
    /// `tandem.auth.v1`.
    pub const AUTH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tandem.auth.v1.bin"));
    /// `tandem.identity.v1`.
    pub const IDENTITY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tandem.identity.v1.bin"));
    /// `tandem.users.v1`.
    pub const USERS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tandem.users.v1.bin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_a_secret() {
        let request = auth::ChangePasswordRequest {
            current_password: "hunter2".into(),
            new_password: "hunter3".into(),
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("<redacted>"), "{shown}");
    }

    #[test]
    fn every_rpc_is_known() {
        assert_eq!(Rpc::ALL.len(), 9 + 10 + 11);
        assert!(Rpc::IdentityProviderWatchAccounts.is_streaming());
        assert_eq!(Rpc::AuthLogIn.path(), "/tandem.auth.v1.AuthService/LogIn");
    }
}
