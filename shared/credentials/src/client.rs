//! TLS of a client.

use std::path::PathBuf;

use configuration::Reader;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use secrecy::SecretString;

use crate::pem::{self, UnfitPem};

/// The settings that make a client's TLS.
#[derive(Clone, Copy, Debug)]
pub struct ClientKeys {
    /// The authorities of the server's certificate.
    pub authorities: &'static str,
    /// The chain of the client's own certificates, its own first.
    pub certificate: &'static str,
    /// The key to its own.
    pub key: &'static str,
}

/// By whose word a client knows its server, and what the server knows it by.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    authorities: Option<PathBuf>,
    own: Option<(PathBuf, PathBuf)>,
}

/// What is in the files, which has been tried.
#[derive(Debug)]
pub struct ClientPem {
    /// The authorities of the server's certificate; `None`: those of the operating system.
    pub authorities: Option<Vec<u8>>,
    /// The client's certificates and the key.
    pub own: Option<(Vec<u8>, SecretString)>,
}

impl ClientTls {
    /// Reads and tries the settings, all of which may be left out. What is wrong the reader is told.
    pub fn read(reader: &mut Reader, keys: ClientKeys) -> Self {
        let authorities = reader.optional_path(keys.authorities);
        let certificate = reader.optional_path(keys.certificate);
        let key = reader.secret_file(keys.key).map(|file| file.path);
        for (one, other) in [(keys.certificate, keys.key), (keys.key, keys.certificate)] {
            if reader.is_set(one) && !reader.is_set(other) {
                reader.refuse(one, format!("needs {other} as well"));
            }
        }
        let tls = Self { authorities, own: certificate.zip(key) };
        if let Err(unfit) = tls.load() {
            let of_own = tls.own.is_some() && tls.own_pem().is_err();
            reader.refuse(if of_own { keys.certificate } else { keys.authorities }, unfit.to_string());
        }
        tls
    }

    /// Whether the client has a certificate of its own.
    #[must_use]
    pub const fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Whether any of the settings is given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.authorities.is_some() || self.own.is_some()
    }

    /// The files that it is made of.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let own = self.own.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.authorities.iter().chain(own).cloned().collect()
    }

    /// Reads the files and tries what is in them.
    pub fn load(&self) -> Result<ClientPem, UnfitPem> {
        let own = self.own_pem()?;
        let authorities = self.authorities.as_deref().map(pem::authorities).transpose()?;
        Ok(ClientPem { authorities: authorities.map(|(content, _)| content), own })
    }

    fn own_pem(&self) -> Result<Option<(Vec<u8>, SecretString)>, UnfitPem> {
        let Some((certificate, key)) = &self.own else { return Ok(None) };
        let (chain_pem, chain) = pem::certificates(certificate)?;
        let (key_pem, key) = pem::key(key)?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|error| UnfitPem::unusable(certificate, error))?;
        Ok(Some((chain_pem, key_pem)))
    }
}
