//! Ed25519 keys in files: generating them, and reading private (PKCS#8) and public (SPKI) ones in PEM form.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use fail_point::confide;
use pem::{EncodeConfig, LineEnding, Pem};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// The header of an Ed25519 public key in SPKI form, RFC 8410.
const SPKI_HEADER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A file's content is not the key that is wanted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnfitKey(&'static str);

/// The key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    pub(crate) pkcs8: SecretSlice<u8>,
    pub(crate) public: VerificationKey,
}

/// A key that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationKey {
    bytes: [u8; 32],
}

impl SigningKey {
    /// Makes a new key; returns it in PEM form.
    pub fn generate_pem() -> Result<SecretString, UnfitKey> {
        let pair = Ed25519KeyPair::generate().map_err(|_| UnfitKey("a key cannot be generated"))?;
        let der =
            pair.as_der().map_err(|_: aws_lc_rs::error::Unspecified| UnfitKey("a key cannot be encoded"))?;
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = der;
        let pem = Pem::new(PRIVATE, der.as_ref());
        Ok(pem::encode_config(&pem, EncodeConfig::new().set_line_ending(LineEnding::LF)).into())
    }

    /// Reads a private key in PEM form.
    pub fn parse(text: &SecretString) -> Result<Self, UnfitKey> {
        confide("a private key", text.expose_secret());
        let pem = pem::parse(text.expose_secret()).map_err(|_| UnfitKey("is not in PEM form"))?;
        if pem.tag() != PRIVATE {
            return Err(UnfitKey("is not a private key in PKCS#8 form"));
        }
        let pair = Ed25519KeyPair::from_pkcs8(pem.contents())
            .map_err(|_| UnfitKey("is not an Ed25519 private key"))?;
        let bytes =
            pair.public_key().as_ref().try_into().map_err(|_| UnfitKey("is not an Ed25519 private key"))?;
        Ok(Self { pkcs8: pem.into_contents().into(), public: VerificationKey { bytes } })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id()).finish_non_exhaustive()
    }
}

impl VerificationKey {
    /// Reads a public key in PEM form; of a private one, its public half.
    pub fn parse(text: &SecretString) -> Result<Self, UnfitKey> {
        let pem = pem::parse(text.expose_secret()).map_err(|_| UnfitKey("is not in PEM form"))?;
        match pem.tag() {
            PUBLIC => {
                let bytes = pem.contents().strip_prefix(&SPKI_HEADER).and_then(|key| key.try_into().ok());
                bytes.map(|bytes| Self { bytes }).ok_or(UnfitKey("is not an Ed25519 public key"))
            }
            _ => SigningKey::parse(text).map(|key| key.public),
        }
    }

    /// The public key as in a JWK's `x`.
    #[must_use]
    pub fn x(&self) -> String {
        BASE64.encode(self.bytes)
    }

    /// The key's id (`kid`): its JWK thumbprint, RFC 7638 and RFC 8037, so that nobody has to think of one.
    #[must_use]
    pub fn id(&self) -> String {
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        BASE64.encode(Sha256::digest(canonical.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn a_generated_key_can_be_read_back_and_differs_from_the_next() {
        let text = SigningKey::generate_pem().unwrap();
        let key = SigningKey::parse(&text).unwrap();
        assert_eq!(VerificationKey::parse(&text).unwrap(), key.public);
        assert_ne!(SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap().public, key.public);
        assert!(!format!("{key:?}").contains("pkcs8"));
    }

    #[test]
    fn a_public_key_and_its_thumbprint_are_as_in_rfc_8037() {
        // RFC 8037, appendices A.1 to A.3.
        let der = [&SPKI_HEADER[..], &BASE64.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap()]
            .concat();
        let key = VerificationKey::parse(&pem::encode(&Pem::new(PUBLIC, der)).into()).unwrap();
        assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(SigningKey::parse(&text.into()).is_err());
            assert!(VerificationKey::parse(&text.into()).is_err());
        }
        let truncated = pem::encode(&Pem::new(PUBLIC, &SPKI_HEADER[..]));
        assert!(VerificationKey::parse(&truncated.into()).is_err());
    }
    #[test]
    fn a_damaged_key_is_none_or_is_one_that_signs() {
        let text = SigningKey::generate_pem().unwrap();
        let text = secrecy::ExposeSecret::expose_secret(&text);
        proptest!(hostile::cases(), |(damaged in prop_oneof![hostile::damaged_text(text), hostile::text()])| {
            if let Ok(key) = SigningKey::parse(&damaged.clone().into()) {
                prop_assert_eq!(VerificationKey::parse(&damaged.into()).unwrap().id(), key.public.id());
            }
        });
    }
}
