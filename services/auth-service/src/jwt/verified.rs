//! Tokens that were verified before: their signature is not checked again.
//!
//! What a signature says of a text can never change, and the keys are the process's for as long as it lives. So a token
//! that was good once is remembered by its digest, and the same text read again says the same. Nothing else is
//! remembered: no refusal, which would let anybody fill the memory, and nothing about sessions and accounts, which may
//! end at any moment. A token that has expired is forgotten when its place is needed; until then the use case refuses it,
//! by its clock.

use std::fmt;

use auth_core::domain::Claims;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

/// How many tokens are remembered: about 19 MiB of them. Beyond that, those that were not used for the longest go first.
const CAPACITY: usize = 100_000;

/// The whole token's SHA-256. Found in the memory or not, the time says nothing about the text of a token: to come near
/// a remembered digest takes the token itself.
type Digest = [u8; SHA256_OUTPUT_LEN];

/// The memory.
pub(super) struct VerifiedTokens(Cache<Digest, Claims>);

// Derived, it would count tokens and show whose they are.
impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedTokens")
    }
}

impl VerifiedTokens {
    /// An empty one, which takes no memory yet.
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        // It only fails on options that are missing.
        let cache = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(capacity as u64)
            // Remembering what was forgotten would take half as much again, for tokens that mostly have expired.
            .ghost_allocation(0.0)
            .build()
            .map_or_else(
                |_| Cache::new(capacity),
                |options| {
                    let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
                    Cache::with_options(options, UnitWeighter, hasher, lifecycle)
                },
            );
        Self(cache)
    }

    /// What the token says, if it is good: from memory when this very text was good before, else `verify` decides.
    pub(super) fn recall_or(
        &self,
        token: &str,
        verify: impl FnOnce(&str) -> Option<Claims>,
    ) -> Option<Claims> {
        let digest = of(token);
        if let Some(claims) = self.0.get(&digest) {
            return Some(claims);
        }
        let claims = verify(token)?;
        self.0.insert(digest, claims.clone());
        Some(claims)
    }
}

fn of(token: &str) -> Digest {
    let mut bytes = Digest::default();
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use auth_core::domain::SessionId;
    use chrono::DateTime;
    use identity::UserId;

    use super::*;

    fn claims() -> Claims {
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Claims {
            user_id: UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap(),
            session_id: SessionId::from_random([7; 16]),
            issue_time: time,
            expire_time: time,
            authenticated_time: time,
        }
    }

    #[test]
    fn a_good_token_is_verified_once_and_says_the_same_again() {
        let (verified, checks) = (VerifiedTokens::new(), Cell::new(0));
        for _ in 0..3 {
            let found = verified.recall_or("good", |_| {
                checks.set(checks.get() + 1);
                Some(claims())
            });
            assert_eq!(found, Some(claims()));
        }
        assert_eq!(checks.get(), 1);
    }

    #[test]
    fn a_refused_token_is_not_remembered() {
        let (verified, checks) = (VerifiedTokens::new(), Cell::new(0));
        for _ in 0..3 {
            let found = verified.recall_or("bad", |_| {
                checks.set(checks.get() + 1);
                None
            });
            assert_eq!(found, None);
        }
        assert_eq!((checks.get(), verified.0.len()), (3, 0));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let verified = VerifiedTokens::with_capacity(100);
        for number in 0..1000 {
            verified.recall_or(&number.to_string(), |_| Some(claims()));
            assert!(verified.0.len() <= 100);
        }
        assert!(verified.0.len() > 50, "and room is used: {}", verified.0.len());
    }

    #[test]
    fn a_full_memory_has_the_size_that_is_said() {
        let verified = VerifiedTokens::new();
        for number in 0..CAPACITY * 2 {
            verified.recall_or(&number.to_string(), |_| Some(claims()));
        }
        // The session's id is text on the heap: 32 bytes, and what the allocator adds.
        let bytes = verified.0.memory_used().total() + CAPACITY * 48;
        assert!(verified.0.len() <= CAPACITY && bytes < 20 << 20, "{bytes}");
    }

    #[test]
    fn it_shows_nobodys_token() {
        let verified = VerifiedTokens::new();
        verified.recall_or("secret", |_| Some(claims()));
        assert_eq!(format!("{verified:?}"), "VerifiedTokens");
    }
}
