//! Access tokens as JWTs: EdDSA over Ed25519, `typ: at+jwt` (RFC 9068), a `kid`, and exactly the claims
//! `iss aud sub sid iat exp auth_time`.
//!
//! One algorithm, whatever a token's header says. `exp` is not compared with a clock here: the use case does that, with
//! the service's clock. Anything unexpected, a claim too many included, makes a token no token of ours.
//!
//! A token that was good is not verified again (see [`verified`]). Keys come and go with the process, and with it what it
//! remembers.

mod verified;

use std::collections::HashMap;

use auth_core::Error;
use auth_core::domain::{AccessToken, Claims, SessionId};
use auth_core::ports::TokenSigner;
use chrono::DateTime;
use fail_point::mutant;
use identity::{Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::keys::{SigningKey, VerificationKey};
use verified::VerifiedTokens;

const TYPE: &str = "at+jwt";

/// What the signer is told by the configuration.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The key that signs.
    pub signing_key: SigningKey,
    /// Further keys whose tokens are good: of before, or of after, a rotation.
    pub verification_keys: Vec<VerificationKey>,
}

/// Signs and verifies access tokens.
pub(crate) struct JwtSigner {
    issuer: String,
    audience: String,
    header: Header,
    signing_key: EncodingKey,
    verification_keys: HashMap<String, DecodingKey>,
    validation: Validation,
    verified: VerifiedTokens,
    jwks: String,
}

impl JwtSigner {
    pub(crate) fn new(settings: TokenSettings) -> Result<Self, jsonwebtoken::errors::Error> {
        let public = settings.signing_key.public.clone();
        let header =
            Header { typ: Some(TYPE.to_owned()), kid: Some(public.id()), ..Header::new(Algorithm::EdDSA) };
        let mut keys = vec![public];
        for key in settings.verification_keys {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        for key in &keys {
            tracing::debug!(
                kid = key.id(),
                signs = *key == settings.signing_key.public,
                "tokens of a key are good"
            );
        }
        let decoding = |key: &VerificationKey| Ok((key.id(), DecodingKey::from_ed_components(&key.x())?));
        let verification_keys =
            keys.iter().map(decoding).collect::<Result<_, jsonwebtoken::errors::Error>>()?;

        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = 0;
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        // A defect: what was signed for somebody else is good here too.
        validation.validate_aud = !mutant("access_tokens.of_any_audience");

        Ok(Self {
            jwks: jwks(&keys),
            issuer: settings.issuer,
            audience: settings.audience,
            header,
            signing_key: EncodingKey::from_ed_der(settings.signing_key.pkcs8.expose_secret()),
            verification_keys,
            validation,
            verified: VerifiedTokens::new(),
        })
    }

    /// Checks everything about a token but the time.
    fn check(&self, token: &str) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let key = self.verification_keys.get(header.kid.as_deref()?)?;
        decode::<WireClaims>(token, key, &self.validation).ok()?.claims.into_claims()
    }

    /// The public keys as a JWK set (RFC 7517).
    pub(crate) fn jwks(&self) -> &str {
        &self.jwks
    }
}

fn jwks(keys: &[VerificationKey]) -> String {
    let key = |key: &VerificationKey| {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id(), "x": key.x(),
        })
    };
    serde_json::json!({ "keys": keys.iter().map(key).collect::<Vec<_>>() }).to_string()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireClaims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
    auth_time: i64,
}

impl WireClaims {
    fn into_claims(self) -> Option<Claims> {
        Some(Claims {
            user_id: UserId::parse(&self.sub).ok()?,
            session_id: SessionId::parse(&self.sid)?,
            issue_time: seconds(self.iat)?,
            expire_time: seconds(self.exp)?,
            authenticated_time: seconds(self.auth_time)?,
        })
    }
}

fn seconds(seconds: i64) -> Option<Timestamp> {
    DateTime::from_timestamp(seconds, 0)
}

impl TokenSigner for JwtSigner {
    fn sign(&self, claims: &Claims) -> Result<AccessToken, Error> {
        let claims = WireClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: claims.user_id.to_string(),
            sid: claims.session_id.to_string(),
            iat: claims.issue_time.timestamp(),
            exp: claims.expire_time.timestamp(),
            auth_time: claims.authenticated_time.timestamp(),
        };
        let token = encode(&self.header, &claims, &self.signing_key)
            .map_err(|cause| Error::Internal(cause.into()))?;
        Ok(AccessToken::new(token))
    }

    fn verify(&self, token: &str) -> Option<Claims> {
        self.verified.recall_or(token, |token| self.check(token))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use proptest::prelude::*;
    use proptest::sample::select;
    use test_kit::hostile;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::parse(&SigningKey::generate_pem().unwrap()).unwrap()
    }

    fn signer(signing_key: SigningKey, verification_keys: Vec<VerificationKey>) -> JwtSigner {
        let settings = TokenSettings {
            issuer: "tandem".into(),
            audience: "tandem".into(),
            signing_key,
            verification_keys,
        };
        JwtSigner::new(settings).unwrap()
    }

    fn claims() -> Claims {
        let time = seconds(1_800_000_000).unwrap();
        Claims {
            user_id: UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap(),
            session_id: SessionId::from_random([7; 16]),
            issue_time: time,
            expire_time: time,
            authenticated_time: time,
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let signer = signer(key(), Vec::new());
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.verify(token.expose()), Some(claims()));
        let header = decode_header(token.expose()).unwrap();
        assert_eq!((header.alg, header.typ.as_deref()), (Algorithm::EdDSA, Some(TYPE)));
    }

    #[test]
    fn tokens_of_a_rotated_key_are_good_while_it_is_configured() {
        let (old, new) = (key(), key());
        let token = signer(old.clone(), Vec::new()).sign(&claims()).unwrap();
        assert!(signer(new.clone(), vec![old.public]).verify(token.expose()).is_some());
        assert!(signer(new, Vec::new()).verify(token.expose()).is_none());
    }

    #[test]
    fn a_token_that_is_remembered_says_what_it_said_when_it_was_verified() {
        let signer = signer(key(), Vec::new());
        let token = signer.sign(&claims()).unwrap();
        let checked = signer.check(token.expose());
        assert_eq!(signer.verify(token.expose()), checked, "the first time");
        assert_eq!(signer.verify(token.expose()), checked, "from memory");
    }

    #[test]
    fn every_other_spelling_of_a_remembered_token_is_refused() {
        let signer = signer(key(), Vec::new());
        let token = signer.sign(&claims()).unwrap().expose().to_owned();
        assert!(signer.verify(&token).is_some());
        // The last character of a base64 text can have bits that mean nothing, and strict decoding refuses them too.
        for position in 0..token.len() {
            for bit in 0..7 {
                let mut changed = token.clone().into_bytes();
                changed[position] ^= 1 << bit;
                let changed = String::from_utf8(changed).unwrap();
                assert!(signer.verify(&changed).is_none(), "position {position}, bit {bit}");
            }
            let mut shorter = token.clone();
            shorter.remove(position);
            assert!(signer.verify(&shorter).is_none(), "without position {position}");
        }
        for changed in [
            format!("{token}="),
            format!("{token}A"),
            format!("{token}."),
            format!(" {token}"),
            format!("{token}\n"),
        ] {
            assert!(signer.verify(&changed).is_none(), "{changed:?}");
        }
        assert!(signer.verify(&token).is_some(), "and the good one is good still");
    }

    #[test]
    fn other_types_algorithms_claims_and_audiences_are_refused() {
        let key = key();
        let signer = signer(key.clone(), Vec::new());
        let encoding = EncodingKey::from_ed_der(key.pkcs8.expose_secret());
        let good = serde_json::json!({
            "iss": "tandem", "aud": "tandem", "sub": claims().user_id.to_string(),
            "sid": claims().session_id.to_string(), "iat": 1, "exp": 2, "auth_time": 1,
        });
        let sign = |header: &Header, claims: &serde_json::Value| encode(header, claims, &encoding).unwrap();
        assert!(signer.verify(&sign(&signer.header, &good)).is_some());

        for (claim, value) in [
            ("iss", serde_json::json!("other")),
            ("aud", serde_json::json!("other")),
            ("aud", serde_json::json!(["tandem", "other"])),
            ("sub", serde_json::json!("other")),
            ("sid", serde_json::json!("other")),
            ("exp", serde_json::json!("2")),
            ("admin", serde_json::json!(true)),
            // Which nobody looks at: it may be past or to come.
            ("nbf", serde_json::json!(1)),
        ] {
            let mut claims = good.clone();
            claims[claim] = value;
            assert!(signer.verify(&sign(&signer.header, &claims)).is_none(), "{claim}");
        }
        for claim in ["iss", "aud", "sub", "sid", "iat", "exp", "auth_time"] {
            let mut claims = good.clone();
            claims.as_object_mut().unwrap().remove(claim);
            assert!(signer.verify(&sign(&signer.header, &claims)).is_none(), "{claim}");
        }
        let plain = Header { typ: Some("JWT".into()), ..signer.header.clone() };
        let nameless = Header { kid: None, ..signer.header.clone() };
        for header in [plain, nameless] {
            assert!(signer.verify(&sign(&header, &good)).is_none());
        }
        let hmac = Header { alg: Algorithm::HS256, ..signer.header.clone() };
        let forged = encode(&hmac, &good, &EncodingKey::from_secret(key.public.x().as_bytes())).unwrap();
        assert!(signer.verify(&forged).is_none());
    }

    #[test]
    fn the_key_set_has_every_key_once_and_no_private_part() {
        let (key, other) = (key(), key());
        let signer = signer(key.clone(), vec![other.public.clone(), key.public.clone()]);
        let jwks: serde_json::Value = serde_json::from_str(signer.jwks()).unwrap();
        let ids: Vec<_> = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
        assert_eq!(ids, [key.public.id(), other.public.id()]);
        assert!(jwks["keys"][0].get("d").is_none());
    }
    #[test]
    fn no_mixture_of_tokens_and_no_damaged_one_is_accepted() {
        let (ours, theirs) = (key(), key());
        let (signer, other) = (signer(ours, Vec::new()), signer(theirs, Vec::new()));
        let first = claims();
        let later = Claims { session_id: SessionId::from_random([8; 16]), ..claims() };
        let sign = |signer: &JwtSigner, claims: &Claims| signer.sign(claims).unwrap().expose().to_owned();
        let good = [sign(&signer, &first), sign(&signer, &later)];
        let all = [good[0].clone(), good[1].clone(), sign(&other, &first), sign(&other, &later)];
        // Remembered, or nothing would be found in the memory.
        assert!(good.iter().all(|token| signer.verify(token).is_some()));
        let parts =
            |number: usize| all.each_ref().map(|token| token.split('.').nth(number).unwrap().to_owned());
        let mixed = (select(parts(0).to_vec()), select(parts(1).to_vec()), select(parts(2).to_vec()))
            .prop_map(|(header, payload, signature)| format!("{header}.{payload}.{signature}"));
        let damaged = select(all.to_vec()).prop_flat_map(|token| hostile::damaged_text(&token));
        proptest!(hostile::cases(), |(token in prop_oneof![mixed, damaged, hostile::text()])| {
            prop_assert_eq!(signer.verify(&token).is_some(), good.contains(&token));
        });
    }

    #[test]
    fn no_other_header_and_no_other_payload_is_accepted() {
        let key = key();
        let ours = signer(key.clone(), Vec::new());
        let good = ours.sign(&claims()).unwrap().expose().to_owned();
        let [header, payload, signature] =
            [0, 1, 2].map(|number| good.split('.').nth(number).unwrap().to_owned());
        let json = |part: &str| String::from_utf8(BASE64.decode(part).unwrap()).unwrap();
        let of_header = prop_oneof![
            hostile::damaged_text(&json(&header)),
            (
                select(vec!["none", "None", "HS256", "RS256", "ES256", "EdDSA", "Ed25519", ""]),
                select(vec!["at+jwt", "JWT", "application/at+jwt", ""]),
                select(vec![key.public.id(), String::new(), "../../key".into()]),
                select(vec!["", r#","jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, r#","crit":["exp"]"#]),
            )
                .prop_map(|(alg, typ, kid, more)| {
                    format!(r#"{{"typ":"{typ}","alg":"{alg}","kid":"{kid}"{more}}}"#)
                }),
        ];
        let of_payload = prop_oneof![Just(json(&payload)), hostile::damaged_text(&json(&payload))];
        proptest!(hostile::cases(), |(header in of_header, payload in of_payload, how in 0_u8..3)| {
            let unsigned = format!("{}.{}", BASE64.encode(&header), BASE64.encode(&payload));
            let signature = match how {
                0 => signature.clone(),
                1 => String::new(),
                // As if the public key were a secret that both sides know.
                _ => jsonwebtoken::crypto::sign(
                    unsigned.as_bytes(),
                    &EncodingKey::from_secret(key.public.x().as_bytes()),
                    Algorithm::HS256,
                ).unwrap(),
            };
            let token = format!("{unsigned}.{signature}");
            prop_assert_eq!(ours.verify(&token).is_some(), token == good);
        });
    }
}
