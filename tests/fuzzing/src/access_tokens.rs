//! Access tokens: what was not issued is not accepted, and what is accepted says what it says.
//!
//! An input is a token; or three lines, of which a token is made: its header and its payload as JSON, and how it is signed. With
//! `ours` it is signed with the key of the service, so that only what is in it can be wrong with it.

use std::sync::LazyLock;

use auth_core::domain::{Claims, SessionId};
use auth_service::fuzzing::Tokens;
use auth_service::{SigningKey, TokenSettings};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use identity::UserId;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "access_tokens",
    run,
    seeds,
    words: &[
        "\"alg\":",
        "\"typ\":",
        "\"kid\":",
        "\"crit\":",
        "\"jwk\":",
        "\"iss\":",
        "\"aud\":",
        "\"sub\":",
        "\"sid\":",
        "\"iat\":",
        "\"exp\":",
        "\"auth_time\":",
        "\"nbf\":",
        "EdDSA",
        "HS256",
        "none",
        "at+jwt",
        "JWT",
        "tandem",
        "ours",
        "hmac",
        "[\"tandem\"]",
        "null",
        "1e3",
        "-1",
        "9223372036854775807",
        "\\u0000",
        "eyJ",
        ".",
    ],
    defect: "access_tokens.of_any_audience",
};

/// The private key of RFC 8037, appendix A.1, in PKCS#8 form: nobody's, and the same in every run, so that an input that was
/// found is found again.
const PKCS8: [u8; 48] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, 0x9d,
    0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
    0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// The id of that key, appendix A.3, and its public half.
const KEY_ID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

const HEADER: &str = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}"#;
const PAYLOAD: &str = r#"{"iss":"tandem","aud":"tandem","sub":"0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c","sid":"07070707070707070707070707070707","iat":1800000000,"exp":1800001800,"auth_time":1800000000}"#;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let settings = TokenSettings {
        issuer: "tandem".to_owned(),
        audience: "tandem".to_owned(),
        signing_key: SigningKey::parse(&pem().into()).expect("a private key"),
        verification_keys: Vec::new(),
    };
    Tokens::new(settings).expect("a key that signs")
});

/// The private key, as it stands in a file.
pub(crate) fn pem() -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(PKCS8))
}

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.split('\n').collect::<Vec<_>>()[..] {
        [header, payload, signature] => made_up(header, payload, signature),
        _ => assert!(accepted(text).is_none() || text == issued(), "accepted: {text}"),
    }
}

fn made_up(header: &str, payload: &str, signature: &str) {
    let token = signed(header, payload, signature);
    let Some(claims) = accepted(&token) else { return };
    assert!(signature == "ours" || token == issued(), "accepted: {token}");
    assert!(is_header_of_ours(header), "accepted with the header {header}");
    assert_eq!(claims_of_ours(payload), Some(claims), "accepted with the payload {payload}");
}

/// What a token says, however often it is asked: it is remembered after the first time.
fn accepted(token: &str) -> Option<Claims> {
    let claims = TOKENS.verify(token);
    assert_eq!(TOKENS.verify(token), claims, "another answer from memory to {token}");
    claims
}

fn issued() -> String {
    signed(HEADER, PAYLOAD, "ours")
}

fn signed(header: &str, payload: &str, signature: &str) -> String {
    let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let sign = |key, algorithm| {
        jsonwebtoken::crypto::sign(unsigned.as_bytes(), &key, algorithm).expect("a key of the algorithm")
    };
    let signature = match signature {
        "ours" => sign(EncodingKey::from_ed_der(&PKCS8), Algorithm::EdDSA),
        // As if the public key were a secret that both sides know.
        "hmac" => sign(EncodingKey::from_secret(PUBLIC.as_bytes()), Algorithm::HS256),
        other => other.to_owned(),
    };
    format!("{unsigned}.{signature}")
}

fn is_header_of_ours(header: &str) -> bool {
    let Ok(header) = serde_json::from_str::<Value>(header) else { return false };
    header["alg"] == "EdDSA" && header["typ"] == "at+jwt" && header["kid"] == KEY_ID
}

/// What a payload says in which there is everything that has to be, and nothing else.
fn claims_of_ours(payload: &str) -> Option<Claims> {
    let payload: Value = serde_json::from_str(payload).ok()?;
    if payload.as_object()?.len() != 7 || payload["iss"] != "tandem" || payload["aud"] != "tandem" {
        return None;
    }
    let time = |claim: &str| {
        let seconds = payload[claim].as_i64()?;
        identity::Timestamp::from_timestamp(seconds, 0)
    };
    Some(Claims {
        user_id: UserId::parse(payload["sub"].as_str()?).ok()?,
        session_id: SessionId::parse(payload["sid"].as_str()?)?,
        issue_time: time("iat")?,
        expire_time: time("exp")?,
        authenticated_time: time("auth_time")?,
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let made_up = |header: &str, signature: &str| format!("{header}\n{PAYLOAD}\n{signature}").into_bytes();
    let other = signed(HEADER, &PAYLOAD.replace("tandem", "somebody"), "ours");
    vec![
        issued().into_bytes(),
        other.into_bytes(),
        made_up(HEADER, "ours"),
        made_up(HEADER, ""),
        made_up(&HEADER.replace("EdDSA", "HS256"), "hmac"),
        made_up(&HEADER.replace("EdDSA", "none"), ""),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_that_the_others_are_made_of_is_good() {
        assert_eq!(accepted(&issued()), claims_of_ours(PAYLOAD));
        assert!(accepted(&issued()).is_some() && is_header_of_ours(HEADER));
    }

    #[test]
    fn a_payload_with_more_or_less_or_for_somebody_else_is_none_of_ours() {
        for (good, other) in
            [("{", r#"{"admin":true,"#), (r#""iat":1800000000,"#, ""), ("tandem", "other"), (":18", ":1e18")]
        {
            assert_eq!(claims_of_ours(&PAYLOAD.replace(good, other)), None, "{other}");
        }
    }
}
