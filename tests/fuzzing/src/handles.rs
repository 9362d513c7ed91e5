//! Ids, cursors, etags and consistency tokens: whatever is read has one spelling, and is within its bounds.
//!
//! An input is a text; or, after a byte 0, what stands in base64 in one.

use auth_core::domain::{FeedCursor, SessionId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{AccountVersion, ConsistencyToken, Epoch, RequestId, UserId};
use users_core::domain::Etag;

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "handles",
    run,
    seeds,
    words: &["\0", "\0a", "\0r", "epoch1", ".0", "-", "0198f0c2", "urn:uuid:", "{", "}"],
    defect: "consistency_tokens.of_any_version",
};

fn run(input: &[u8]) {
    match input.split_first() {
        Some((0, bytes)) => is_read_as_it_is(&URL_SAFE_NO_PAD.encode(bytes)),
        _ => is_read_as_it_is(&String::from_utf8_lossy(input)),
    }
}

fn is_read_as_it_is(text: &str) {
    if let Ok(token) = ConsistencyToken::parse(text) {
        assert_eq!(token.encode(), text);
        let (ConsistencyToken::Account { version: AccountVersion { number, .. }, .. }
        | ConsistencyToken::Role { version: number, .. }) = token;
        assert!(number >= 1, "the version {number} of {text}");
    }
    if let Some(etag) = Etag::parse(text) {
        assert_eq!(etag.to_string(), text);
    }
    if let Some(cursor) = FeedCursor::parse(text) {
        assert_eq!(cursor.to_string(), text);
        assert!(cursor.number >= 0, "{text}");
    }
    if let Ok(id) = UserId::parse(text) {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = RequestId::parse(text) {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    if let Some(id) = SessionId::parse(text) {
        assert_eq!(format!("{:032x}", id.bits()), text);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let user_id = UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").expect("an id");
    let account = AccountVersion { epoch: Epoch::parse("epoch1").expect("an epoch"), number: 42 };
    let texts = [
        ConsistencyToken::Account { user_id, version: account.clone() }.encode(),
        ConsistencyToken::Role { user_id, version: 7 }.encode(),
        Etag { role_version: 3, account }.to_string(),
    ];
    let mut seeds: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| [&[0][..], &URL_SAFE_NO_PAD.decode(text).expect("base64")].concat())
        .collect();
    seeds.extend(texts.map(String::into_bytes));
    seeds.extend([user_id.to_string(), "epoch1.42".into(), "07".repeat(16)].map(String::into_bytes));
    seeds
}
