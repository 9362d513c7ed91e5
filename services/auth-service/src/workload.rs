//! Who may call the internal listener: workloads with a token of their own.

use grpc_kit::metadata::{Bearer, bearer};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tonic::metadata::MetadataMap;

/// What a workload may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// What every back end needs: checking tokens and reading accounts.
    Verify,
    /// Everything: users-service.
    Full,
}

/// A client of the internal listener.
#[derive(Clone, Debug)]
pub struct Workload {
    /// For the log.
    pub name: String,
    /// Any of them is good, so that tokens can be rotated.
    pub tokens: Vec<SecretString>,
    /// What it may call.
    pub allowance: Allowance,
}

/// Why a workload may not make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No credential, or one of nobody.
    Unauthenticated,
    /// A credential that does not allow this.
    NotAllowed,
}

/// The digests of all tokens, and what each allows.
#[derive(Debug)]
pub(crate) struct Workloads(Vec<([u8; 32], Allowance)>);

impl Workloads {
    pub(crate) fn new(workloads: &[Workload]) -> Self {
        let tokens = workloads.iter().flat_map(|workload| {
            workload.tokens.iter().map(|token| (digest(token.expose_secret()), workload.allowance))
        });
        Self(tokens.collect())
    }

    /// Admits the caller of a method that needs `needed`.
    pub(crate) fn admit(&self, metadata: &MetadataMap, needed: Allowance) -> Result<(), Refusal> {
        let Bearer::Token(token) = bearer(metadata) else { return Err(Refusal::Unauthenticated) };
        match self.allowance(token) {
            None => Err(Refusal::Unauthenticated),
            Some(allowance) if allowance < needed => Err(Refusal::NotAllowed),
            Some(_) => Ok(()),
        }
    }

    /// Compares digests, all of them and in constant time: neither a token's length nor its beginning shows.
    fn allowance(&self, token: &str) -> Option<Allowance> {
        let presented = digest(token);
        let mut found = None;
        for (known, allowance) in &self.0 {
            let same: Choice = known.ct_eq(&presented);
            if bool::from(same) {
                found = found.max(Some(*allowance));
            }
        }
        found
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workloads() -> Workloads {
        let workload = |name: &str, tokens: &[&str], allowance| Workload {
            name: name.to_owned(),
            tokens: tokens.iter().map(|token| SecretString::from(*token)).collect(),
            allowance,
        };
        Workloads::new(&[
            workload("users", &["old-full", "new-full"], Allowance::Full),
            workload("shop", &["verify"], Allowance::Verify),
        ])
    }

    fn admit(authorization: Option<&str>, needed: Allowance) -> Result<(), Refusal> {
        let mut metadata = MetadataMap::new();
        if let Some(value) = authorization {
            metadata.insert("authorization", value.parse().unwrap());
        }
        workloads().admit(&metadata, needed)
    }

    #[test]
    fn every_token_of_a_workload_is_good_for_what_it_is_allowed() {
        for token in ["Bearer old-full", "bearer new-full"] {
            assert_eq!(admit(Some(token), Allowance::Full), Ok(()));
            assert_eq!(admit(Some(token), Allowance::Verify), Ok(()));
        }
        assert_eq!(admit(Some("Bearer verify"), Allowance::Verify), Ok(()));
        assert_eq!(admit(Some("Bearer verify"), Allowance::Full), Err(Refusal::NotAllowed));
    }

    #[test]
    fn none_a_malformed_and_an_unknown_credential_are_nobodys() {
        for credential in
            [None, Some("Bearer"), Some("Basic old-full"), Some("Bearer old-ful"), Some("Bearer x")]
        {
            assert_eq!(admit(credential, Allowance::Verify), Err(Refusal::Unauthenticated), "{credential:?}");
        }
    }
}
