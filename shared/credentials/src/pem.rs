//! Certificates and keys as they stand in files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use configuration::{SecretFile, UnfitFile};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretString};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::followed::MAX_BYTES;

/// Why a file does not hold what it should. Names the file, never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum UnfitPem {
    /// It cannot be read.
    #[error("the file {file} cannot be read: {cause}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// It is not fit to hold a secret.
    #[error(transparent)]
    Secret(#[from] UnfitFile),
    /// It does not hold certificates.
    #[error("the file {0} holds no certificate in PEM")]
    NoCertificate(PathBuf),
    /// It does not hold a key.
    #[error("the file {0} holds no private key in PEM")]
    NoKey(PathBuf),
    /// A certificate of an authority that is none: whoever has its key could vouch for anybody.
    #[error("the file {0} holds a certificate that is not an authority's")]
    NoAuthority(PathBuf),
    /// They are there, and TLS has no use for them: they do not belong together, are of an unknown kind, are no authority.
    #[error("{0} cannot be used: {1}")]
    Unusable(PathBuf, String),
}

impl UnfitPem {
    pub(crate) fn unusable(file: &Path, why: impl ToString) -> Self {
        Self::Unusable(file.to_owned(), why.to_string())
    }
}

/// A file with one certificate or more, and what they are.
pub(crate) fn certificates(file: &Path) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), UnfitPem> {
    let content = read(file).map_err(|cause| UnfitPem::Unreadable { file: file.to_owned(), cause })?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok((content, certificates)),
        Ok(_) | Err(_) => Err(UnfitPem::NoCertificate(file.to_owned())),
    }
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(MAX_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

/// A file with the key to a certificate, which must not be readable by everyone.
pub(crate) fn key(file: &Path) -> Result<(SecretString, PrivateKeyDer<'static>), UnfitPem> {
    let content = SecretFile::load(file)?.content;
    let key = PrivateKeyDer::from_pem_slice(content.expose_secret().as_bytes());
    Ok((content, key.map_err(|_| UnfitPem::NoKey(file.to_owned()))?))
}

/// A file with the certificates of authorities, each of which must be one.
pub(crate) fn authorities(file: &Path) -> Result<(Vec<u8>, RootCertStore), UnfitPem> {
    let (content, certificates) = certificates(file)?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        // rustls takes whatever it is told to trust, and then whatever that has signed.
        if !is_authority(&certificate) {
            return Err(UnfitPem::NoAuthority(file.to_owned()));
        }
        roots.add(certificate).map_err(|error| UnfitPem::unusable(file, error))?;
    }
    Ok((content, roots))
}

fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, certificate)| certificate.is_ca())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn file_with(folder: &TempDir, content: &str) -> PathBuf {
        let file = folder.path().join("file.pem");
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    fn certificate(is_ca: IsCa) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn only_an_authority_may_vouch_for_others() {
        let folder = TempDir::new().unwrap();
        let authority = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(authorities(&file_with(&folder, &authority)).unwrap().1.len(), 1);
        for other in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            let both = authority.clone() + &certificate(other);
            assert!(matches!(authorities(&file_with(&folder, &both)), Err(UnfitPem::NoAuthority(_))));
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = TempDir::new().unwrap();
        let empty = file_with(&folder, "nothing of the kind");
        assert!(matches!(certificates(&empty), Err(UnfitPem::NoCertificate(_))));
        assert!(matches!(key(&empty), Err(UnfitPem::NoKey(_))));
        assert!(matches!(certificates(folder.path()), Err(UnfitPem::Unreadable { .. })));
    }
}
