//! Stored hashes: whatever stands in their place lets nobody in but with the right password, and costs no more than it may.

use std::sync::LazyLock;
use std::time::Duration;

use auth_core::ports::Verdict;
use auth_service::fuzzing::{cost_of, verdict};
use auth_service::{Argon2Settings, Cost, Pepper};
use identity::{RawPassword, UserId};
use users_core::testing::{a_password, an_id};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "stored_hashes",
    run,
    seeds,
    words: &[
        "$argon2id$",
        "$argon2i$",
        "$argon2d$",
        "v=19",
        "v=16",
        "m=8",
        "m=4294967295",
        "m=1048577",
        "t=1",
        "t=17",
        "p=1",
        "p=5",
        "keyid=",
        "keyid=YQ",
        "data=",
        ",",
        "$",
        "=",
        "0",
        "00",
        "-1",
        "+1",
    ],
    defect: "stored_hashes.not_bounded",
};

/// Of "right", for the account 1, with the pepper `a`.
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1,keyid=YQ$c29tZXNhbHRzb21lc2FsdA$Nk3GjTOdjXCiPHfC3dfIw7ellxF6tF9tUYcBIRVfY/I";

static SETTINGS: LazyLock<Argon2Settings> = LazyLock::new(|| Argon2Settings {
    cost: Cost { memory_kib: 8, iterations: 1, parallelism: 1 },
    peppers: vec![Pepper { id: "a".to_owned(), secret: vec![b'a'; 32].into() }],
    max_parallel: 1,
    queue_wait: Duration::ZERO,
});
static RIGHT: LazyLock<RawPassword> = LazyLock::new(|| a_password("right"));
static WRONG: LazyLock<RawPassword> = LazyLock::new(|| a_password("wrong"));

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some(cost) = cost_of(&text) else { return };
    assert!(
        cost.memory_kib <= 1024 * 1024 && cost.iterations <= 16 && cost.parallelism <= 4,
        "{cost:?} would be spent on {text}"
    );
    // It is bounded, but nobody need wait for it here.
    if cost.memory_kib > 64 {
        return;
    }
    assert!(!lets_in(an_id(1), &WRONG, &text), "the wrong password is good for {text}");
    assert!(!lets_in(an_id(2), &RIGHT, &text), "another account's password is good for {text}");
    // Another spelling of the same hash is the same hash; one of another salt or with another end is none.
    if lets_in(an_id(1), &RIGHT, &text) {
        assert_eq!(end(&text), end(HASH), "the right password is good for {text}");
        assert_eq!(cost, SETTINGS.cost, "the right password is good for {text}");
    }
}

fn lets_in(account: UserId, password: &RawPassword, hash: &str) -> bool {
    matches!(verdict(&SETTINGS, account, password, hash), Ok(Verdict::Match | Verdict::MatchOutdated))
}

/// The salt and the hash.
fn end(text: &str) -> Vec<&str> {
    text.rsplit('$').take(2).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let others = [
        ("m=8", "m=64"),
        ("t=1", "t=16"),
        ("p=1", "p=2"),
        ("keyid=YQ", "keyid=Yg"),
        ("argon2id", "argon2i"),
        ("v=19", "v=16"),
        ("keyid=YQ", "keyid=YQ,data=YQ"),
        (HASH, "$argon2id$v=19$m=8,t=1,p=1,keyid=YQ$c29tZXNhbHRzb21lc2FsdA"),
    ];
    let mut seeds = vec![HASH.as_bytes().to_vec()];
    seeds.extend(others.map(|(part, other)| HASH.replace(part, other).into_bytes()));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_that_the_others_are_made_of_is_good() {
        assert!(lets_in(an_id(1), &RIGHT, HASH));
    }
}
