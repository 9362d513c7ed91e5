//! Who may call the internal listener: workloads with a token of their own, or with a certificate.

use std::path::PathBuf;

use configuration::{SecretFile, UnfitFile};
use credentials::{Followed, PeerNames};
use fail_point::{confide, mutant};
use grpc_kit::metadata::{Bearer, bearer};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};
use tonic::metadata::MetadataMap;

use crate::config::MIN_SECRET_BYTES;

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
    /// For the operator.
    pub name: String,
    /// What it may send.
    pub tokens: Option<Tokens>,
    /// The name that its certificate proves: a DNS name or a URI, such as a SPIFFE id.
    pub san: Option<String>,
    /// What it may call.
    pub allowance: Allowance,
}

/// The tokens of a workload, any of which is good, so that they can be rotated.
#[derive(Clone, Debug)]
pub struct Tokens {
    values: Vec<SecretString>,
    /// Where they are, when they are in a file.
    file: Option<PathBuf>,
}

impl Tokens {
    /// One that never changes.
    pub(crate) fn fixed(token: SecretString) -> Self {
        confide("the token of a workload", token.expose_secret());
        Self { values: vec![token], file: None }
    }

    /// Those on the lines of a file. What is no file, a pipe say, is read once.
    pub(crate) fn in_file(file: SecretFile) -> Self {
        let values = file.lines().map(SecretString::from).collect();
        Self { values, file: Some(file.path).filter(|path| path.is_file()) }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.values.len()
    }

    /// What is wrong with them.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let is_short = |token: &SecretString| token.expose_secret().len() < MIN_SECRET_BYTES;
        self.values.iter().any(is_short).then_some("a token is shorter than 32 bytes")
    }

    /// Their digests, now and when their file changes.
    async fn follow(&self, workload: &str) -> Result<Followed<Vec<[u8; 32]>>, UnfitTokens> {
        let tokens = self.clone();
        let what = format!("the tokens of the workload {workload}");
        Followed::of(what, self.file.iter().cloned().collect(), move || {
            let tokens = tokens.read_again()?;
            Ok(tokens.values.iter().map(|token| digest(token.expose_secret())).collect())
        })
        .await
    }

    fn read_again(&self) -> Result<Self, UnfitTokens> {
        let Some(file) = &self.file else { return Ok(self.clone()) };
        let tokens = Self::in_file(SecretFile::load(file)?);
        match tokens.flaw() {
            Some(why) => Err(UnfitTokens::Flaw(file.clone(), why)),
            None => Ok(tokens),
        }
    }
}

/// Tokens that cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum UnfitTokens {
    /// Their file cannot be used.
    #[error(transparent)]
    File(#[from] UnfitFile),
    /// What is in it cannot be used.
    #[error("the file {0}: {1}")]
    Flaw(PathBuf, &'static str),
}

/// Why a workload may not make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No credential, or one of nobody.
    Unauthenticated,
    /// A credential that does not allow this.
    NotAllowed,
}

/// The workloads that are known, each with its tokens as they are now.
#[derive(Debug)]
pub(crate) struct Workloads(Vec<Known>);

#[derive(Debug)]
struct Known {
    /// The digests of its tokens. Each file is followed by itself, so that one that is no good holds up nobody else's.
    tokens: Option<Followed<Vec<[u8; 32]>>>,
    san: Option<String>,
    allowance: Allowance,
}

impl Workloads {
    /// Follows the files of the tokens. Needs a tokio runtime.
    pub(crate) async fn follow(workloads: &[Workload]) -> Result<Self, UnfitTokens> {
        let mut known = Vec::with_capacity(workloads.len());
        for Workload { name, tokens, san, allowance } in workloads {
            let tokens = match tokens {
                Some(tokens) => Some(tokens.follow(name).await?),
                None => None,
            };
            known.push(Known { tokens, san: san.clone(), allowance: *allowance });
        }
        Ok(Self(known))
    }

    /// None.
    #[cfg(feature = "fuzzing")]
    pub(crate) const fn of_nobody() -> Self {
        Self(Vec::new())
    }

    /// Admits the caller of a method that needs `needed`, by its token or by the names that its certificate proves.
    pub(crate) fn admit(
        &self,
        metadata: &MetadataMap,
        names: Option<&PeerNames>,
        needed: Allowance,
    ) -> Result<(), Refusal> {
        let by_token = match bearer(metadata) {
            Bearer::Token(token) => self.of_token(token),
            _ => None,
        };
        // A defect: whoever comes without a token is let in.
        if mutant("workloads.without_a_token") && matches!(bearer(metadata), Bearer::Absent) {
            return Ok(());
        }
        match by_token.max(names.and_then(|names| self.of_names(names))) {
            None => Err(Refusal::Unauthenticated),
            Some(allowance) if allowance < needed => Err(Refusal::NotAllowed),
            Some(_) => Ok(()),
        }
    }

    /// Compares digests, all of them and in constant time: neither a token's length nor its beginning shows.
    fn of_token(&self, token: &str) -> Option<Allowance> {
        let presented = digest(token);
        let mut found = None;
        for Known { tokens, allowance, .. } in &self.0 {
            let Some(tokens) = tokens else { continue };
            for known in tokens.current().iter() {
                let same: Choice = known.ct_eq(&presented);
                if bool::from(same) {
                    found = found.max(Some(*allowance));
                }
            }
        }
        found
    }

    fn of_names(&self, names: &PeerNames) -> Option<Allowance> {
        let known = self.0.iter().filter(|known| known.san.as_ref().is_some_and(|san| names.contains(san)));
        known.map(|known| known.allowance).max()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn workloads() -> Workloads {
        let workload = |name: &str, tokens: &[&str], allowance| Workload {
            name: name.to_owned(),
            tokens: Some(Tokens {
                values: tokens.iter().map(|token| SecretString::from(*token)).collect(),
                file: None,
            }),
            san: None,
            allowance,
        };
        let users = workload("users", &["old-full", "new-full"], Allowance::Full);
        Workloads::follow(&[users, workload("shop", &["verify"], Allowance::Verify)]).await.unwrap()
    }

    async fn admit(authorization: Option<&str>, needed: Allowance) -> Result<(), Refusal> {
        let mut metadata = MetadataMap::new();
        if let Some(value) = authorization {
            metadata.insert("authorization", value.parse().unwrap());
        }
        workloads().await.admit(&metadata, None, needed)
    }

    #[tokio::test]
    async fn every_token_of_a_workload_is_good_for_what_it_is_allowed() {
        for token in ["Bearer old-full", "bearer new-full"] {
            assert_eq!(admit(Some(token), Allowance::Full).await, Ok(()));
            assert_eq!(admit(Some(token), Allowance::Verify).await, Ok(()));
        }
        assert_eq!(admit(Some("Bearer verify"), Allowance::Verify).await, Ok(()));
        assert_eq!(admit(Some("Bearer verify"), Allowance::Full).await, Err(Refusal::NotAllowed));
    }

    #[tokio::test]
    async fn none_a_malformed_and_an_unknown_credential_are_nobodys() {
        for credential in
            [None, Some("Bearer"), Some("Basic old-full"), Some("Bearer old-ful"), Some("Bearer x")]
        {
            assert_eq!(
                admit(credential, Allowance::Verify).await,
                Err(Refusal::Unauthenticated),
                "{credential:?}"
            );
        }
    }
}
