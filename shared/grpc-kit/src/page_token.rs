//! Opaque page tokens that only this service can have made.
//!
//! A token carries a position in a list and is bound to the question that the list answers: with another
//! question, another key or any changed bit it does not open. It is authenticated, not encrypted; what is in
//! a position is not secret from the caller, who has just read that row.
//!
//! On the wire: base64url without padding of `version || position || tag`, where `tag` is the first 16 bytes
//! of HMAC-SHA256 over `version || length of binding || binding || position`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The format of a token; another one is another version.
const VERSION: u8 = 1;
/// 128 bits: forging one takes as many online attempts as guessing a session id.
const TAG_BYTES: usize = 16;

/// Makes and opens page tokens with one key.
#[derive(Clone)]
pub struct PageTokens {
    keyed: Hmac<Sha256>,
}

impl PageTokens {
    /// With a key of 32 random bytes, shared by every replica of the service.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // HMAC itself fills a key up with zeros to SHA-256's block (RFC 2104); done here, it cannot fail.
        let mut block = [0; 64];
        block[..key.len()].copy_from_slice(&key);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// A token for `position`, which opens only together with `binding`: an encoding of everything else that
    /// the next request must repeat.
    #[must_use]
    pub fn seal(&self, binding: &[u8], position: &[u8]) -> String {
        let tag = self.authenticate(binding, position).finalize().into_bytes();
        let mut token = Vec::with_capacity(1 + position.len() + TAG_BYTES);
        token.push(VERSION);
        token.extend_from_slice(position);
        token.extend_from_slice(&tag[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The position in `token`; `None` when it was not sealed with this key and `binding`.
    #[must_use]
    pub fn open(&self, binding: &[u8], token: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (position, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_BYTES)?)?;
        if *version != VERSION {
            return None;
        }
        // Compares in constant time.
        self.authenticate(binding, position).verify_truncated_left(tag).ok()?;
        Some(position.to_vec())
    }

    fn authenticate(&self, binding: &[u8], position: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&[VERSION]);
        // The length keeps `("ab", "c")` and `("a", "bc")` apart.
        mac.update(&(binding.len() as u64).to_be_bytes());
        mac.update(binding);
        mac.update(position);
        mac
    }
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PageTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    fn tokens() -> PageTokens {
        PageTokens::new([7; 32])
    }

    #[test]
    fn a_token_opens_with_what_it_was_sealed_with() {
        for position in [b"".as_slice(), b"2026-11-20|42"] {
            let token = tokens().seal(b"query", position);
            assert_eq!(tokens().open(b"query", &token).as_deref(), Some(position));
        }
    }

    #[test]
    fn another_binding_or_key_does_not_open_it() {
        let token = tokens().seal(b"ab", b"c");
        assert_eq!(tokens().open(b"a", &token), None);
        assert_eq!(tokens().open(b"", &token), None);
        assert_eq!(PageTokens::new([8; 32]).open(b"ab", &token), None);
    }

    #[test]
    fn no_changed_bit_goes_unnoticed() {
        let token = URL_SAFE_NO_PAD.decode(tokens().seal(b"query", b"position")).expect("base64url");
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tokens().open(b"query", &URL_SAFE_NO_PAD.encode(changed)), None, "bit {bit}");
        }
    }

    #[test]
    fn garbage_and_cut_tokens_do_not_open() {
        let token = tokens().seal(b"query", b"position");
        for end in 0..token.len() {
            assert_eq!(tokens().open(b"query", &token[..end]), None, "cut at {end}");
        }
        for garbage in ["", "?", "AQ", &format!("{token}="), &format!("{token}A")] {
            assert_eq!(tokens().open(b"query", garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn the_key_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", tokens()), "PageTokens { .. }");
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn nothing_opens_but_what_was_sealed(
            (binding, position) in (vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..20)),
            damage in vec(any::<u8>(), 0..60).prop_flat_map(hostile::damaged),
            key in any::<[u8; 32]>(),
        ) {
            let token = tokens().seal(&binding, &position);
            prop_assert_eq!(tokens().open(&binding, &token), Some(position.clone()));
            prop_assert_eq!(PageTokens::new(key).open(&binding, &token), None);
            prop_assert_eq!(tokens().open(&[&binding[..], b"x"].concat(), &token), None);
            prop_assert_eq!(tokens().open(&binding, &URL_SAFE_NO_PAD.encode(damage)), None);
            // A part of the position that moves into the binding.
            if let Some((first, rest)) = position.split_first() {
                let moved = [&[VERSION][..], rest, &URL_SAFE_NO_PAD.decode(&token).expect("base64url")[1 + position.len()..]];
                let moved = URL_SAFE_NO_PAD.encode(moved.concat());
                prop_assert_eq!(tokens().open(&[&binding[..], &[*first]].concat(), &moved), None);
            }
        }

        #[test]
        fn a_damaged_token_does_not_open(
            text in hostile::damaged_text(&PageTokens::new([7; 32]).seal(b"query", b"position"))
        ) {
            let opened = tokens().open(b"query", &text);
            prop_assert_eq!(opened.is_some(), text == tokens().seal(b"query", b"position"));
        }
    }
}
