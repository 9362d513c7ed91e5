//! Secrets that a test knows, in every shape in which a careless line might show them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What must not be said, and what it is.
#[derive(Default)]
pub(super) struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A new secret, which is long enough to be found by no accident.
    pub(super) fn hatch(&mut self, what: &str) -> String {
        let secret = format!("kQ7{}", uuid::Uuid::from_u128(rand::random()).simple());
        self.add(what, &secret);
        secret
    }

    /// A new one that is shorter than any password may be.
    pub(super) fn hatch_short(&mut self, what: &str) -> String {
        let secret = uuid::Uuid::from_u128(rand::random()).simple().to_string()[..12].to_owned();
        self.add(what, &secret);
        secret
    }

    /// A secret that somebody else made.
    pub(super) fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 12, "{what} would be found everywhere");
        let mut shapes = vec![secret.to_owned(), list(secret.as_bytes())];
        shapes.extend(within_base64(secret.as_bytes()));
        self.0.extend(shapes.into_iter().map(|shape| (what.to_owned(), shape)));
    }

    /// A token, whose last part alone is what nobody else can make.
    pub(super) fn add_token(&mut self, what: &str, token: &str) {
        self.add(what, token);
        self.add(what, token.rsplit('.').next().expect("a signature"));
    }

    /// Fails if any is in what was said.
    pub(super) fn look_into(&self, place: &str, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        for (what, shape) in &self.0 {
            if let Some(at) = said.find(shape.as_str()) {
                let from = said[..at].rfind('\n').map_or(0, |line| line + 1);
                let line: String =
                    said[from..].lines().next().unwrap_or_default().chars().take(2000).collect();
                panic!("{place} shows {what} as {shape}:\n{line}");
            }
        }
    }
}

/// As `Debug` shows bytes.
fn list(bytes: &[u8]) -> String {
    format!("{bytes:?}").trim_matches(['[', ']']).to_owned()
}

/// As it looks in the base64 of something that has it in the middle, at whatever place in it.
fn within_base64(bytes: &[u8]) -> Vec<String> {
    let mut shapes = Vec::new();
    for (before, of_before) in [(0, 0), (1, 2), (2, 3)] {
        let mut padded = vec![0; before];
        padded.extend_from_slice(bytes);
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            // The last digit has bits of what comes after.
            shapes.push(encoded[of_before..encoded.len() - 1].to_owned());
        }
    }
    shapes
}

#[test]
fn a_secret_is_found_in_every_shape() {
    let mut canaries = Canaries::default();
    let secret = canaries.hatch("a secret");
    let found =
        |said: String| std::panic::catch_unwind(|| canaries.look_into("it", said.as_bytes())).is_err();
    for before in ["", "x", "xy", "xyz"] {
        let inside = format!("{before}{secret}: and more");
        assert!(found(STANDARD_NO_PAD.encode(&inside)) && found(URL_SAFE_NO_PAD.encode(&inside)));
        assert!(found(format!("{:?}", inside.as_bytes())));
        assert!(found(inside));
    }
    assert!(!found(secret[1..].to_owned()));
}
