//! What the fuzz targets see of this service: whatever reads what comes from outside, as it is used in production, over the
//! fakes of the core where it needs a store.

use auth_core::domain::Claims;
use auth_core::ports::TokenSigner as _;

pub use crate::argon2::fuzzing::{cost_of, verdict};
pub use crate::grpc::fuzzing::{client_address, end_users, session_position, session_token, workloads};

use crate::TokenSettings;
use crate::jwt::JwtSigner;

/// Access tokens.
pub struct Tokens(JwtSigner);

impl Tokens {
    /// Those of these settings.
    pub fn new(settings: TokenSettings) -> Result<Self, jsonwebtoken::errors::Error> {
        JwtSigner::new(settings).map(Self)
    }

    /// What a token says, if it is one of ours.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claims> {
        self.0.verify(token)
    }
}
