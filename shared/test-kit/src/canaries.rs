//! Secrets that a test knows, in every shape in which a careless line might show them.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a test says what it found")]

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The least length of a secret that can be looked for: a shorter one would be found everywhere.
pub const LEAST: usize = 12;

/// So much of a longer one is looked for, from its beginning: tests send passwords of a mebibyte.
const MOST: usize = 128;

/// What must not be said, and what it is.
#[derive(Debug, Default)]
pub struct Canaries(BTreeMap<String, String>);

impl Canaries {
    /// None yet.
    pub const NONE: Self = Self(BTreeMap::new());

    /// What no password is stored without: its hash is a secret that no test knows.
    pub fn add_hashes(&mut self) {
        self.0.entry("$argon2id$".to_owned()).or_insert_with(|| "a hash".to_owned());
    }

    /// A new secret, which is long enough to be found by no accident.
    #[must_use]
    pub fn hatch(&mut self, what: &str) -> String {
        let secret = format!("kQ7{}", uuid::Uuid::from_u128(rand::random()).simple());
        self.add(what, &secret);
        secret
    }

    /// A new one that is shorter than any password may be.
    #[must_use]
    pub fn hatch_short(&mut self, what: &str) -> String {
        let secret = uuid::Uuid::from_u128(rand::random()).simple().to_string()[..12].to_owned();
        self.add(what, &secret);
        secret
    }

    /// A secret that somebody else made.
    pub fn add(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= LEAST, "{what} would be found everywhere");
        let secret = &secret[..secret.floor_char_boundary(MOST)];
        if self.0.contains_key(secret) {
            return;
        }
        self.0.extend(shapes(secret.as_bytes()).into_iter().map(|shape| (shape, what.to_owned())));
    }

    /// A token, whose last part alone is what nobody else can make.
    pub fn add_token(&mut self, what: &str, token: &str) {
        self.add(what, token);
        self.add(what, token.rsplit('.').next().expect("a signature"));
    }

    /// Fails if any is in what was said somewhere.
    pub fn look_into<'a>(&self, heard: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        if let Some((_, found)) = self.found_in(heard).next() {
            panic!("{found}");
        }
    }

    /// What is in what was said somewhere: the first for each place, with the place.
    pub fn found_in<'a>(
        &self,
        heard: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> impl Iterator<Item = (&'a str, String)> {
        let known: Vec<_> = self.0.iter().collect();
        // All at once: there may be thousands, and much that was said.
        let shapes = AhoCorasick::new(known.iter().map(|(shape, _)| shape)).expect("some shapes");
        heard.into_iter().filter_map(move |(place, said)| {
            let found = shapes.find(said)?;
            let (shape, what) = known[found.pattern()];
            let from =
                said[..found.start()].iter().rposition(|byte| *byte == b'\n').map_or(0, |line| line + 1);
            let line = said[from..].split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line: String = String::from_utf8_lossy(line).chars().take(2000).collect();
            Some((place, format!("{place} shows {what} as {shape}:\n{line}")))
        })
    }
}

/// Every shape in which a careless line might show some bytes: as text, as `Debug` shows bytes, and as they look in the base64 of
/// something that has them in the middle, at whatever place in it.
#[must_use]
pub fn shapes(bytes: &[u8]) -> Vec<String> {
    let mut shapes = vec![String::from_utf8_lossy(bytes).into_owned()];
    shapes.push(format!("{bytes:?}").trim_matches(['[', ']']).to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_shape() {
        let mut canaries = Canaries::default();
        let secret = canaries.hatch("a secret");
        let found = |said: String| {
            std::panic::catch_unwind(|| canaries.look_into([("it", said.as_bytes())])).is_err()
        };
        for before in ["", "x", "xy", "xyz"] {
            let inside = format!("{before}{secret}: and more");
            assert!(found(STANDARD_NO_PAD.encode(&inside)) && found(URL_SAFE_NO_PAD.encode(&inside)));
            assert!(found(format!("{:?}", inside.as_bytes())));
            assert!(found(inside));
        }
        assert!(!found(secret[1..].to_owned()));
    }
}
