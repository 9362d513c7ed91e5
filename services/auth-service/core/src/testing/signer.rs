use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::domain::{AccessToken, Claims};
use crate::ports::TokenSigner;

/// Remembers what it signed.
#[derive(Debug, Default)]
pub struct FakeSigner(Mutex<HashMap<String, Claims>>);

impl TokenSigner for FakeSigner {
    fn sign(&self, claims: &Claims) -> Result<AccessToken, Error> {
        let mut signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("token-{}", signed.len());
        signed.insert(token.clone(), claims.clone());
        Ok(AccessToken::new(token))
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}
