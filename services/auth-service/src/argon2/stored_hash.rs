//! The PHC form of a hash, and computing it.

use argon2::{Algorithm, Argon2, AssociatedData, Params, ParamsBuilder, Version};
use auth_core::Cause;
use auth_core::domain::PasswordHash;
use auth_core::ports::Verdict;
use fail_point::mutant;
use identity::{RawPassword, UserId};
use phc::{Ident, Output, ParamsString, Salt};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use super::threads::Memory;
use super::{Argon2Settings, Cost, Pepper};
use crate::ids::random;

const HASH_LENGTH: usize = 32;
const SALT_LENGTH: usize = 16;

/// No stored hash may make a verification cost more than this, whatever it says of itself.
const MAX_STORED: Cost = Cost { memory_kib: 1024 * 1024, iterations: 16, parallelism: 4 };

/// Hashes a password with the parameters and the pepper of today.
pub(super) fn hash(
    settings: &Argon2Settings,
    memory: &mut Memory,
    account: UserId,
    password: &RawPassword,
) -> Result<PasswordHash, Cause> {
    let pepper = settings.peppers.first().ok_or("no pepper is configured")?;
    let salt = random::<SALT_LENGTH>();
    let hash = compute(settings.cost, memory, pepper, account, password, &salt)?;
    let stored = phc::PasswordHash {
        algorithm: Ident::new("argon2id")?,
        version: Some(Version::V0x13.into()),
        params: stored_parameters(settings.cost, &pepper.id)?,
        salt: Some(Salt::new(&salt)?),
        hash: Some(Output::new(&hash)?),
    };
    Ok(PasswordHash::new(stored.to_string()))
}

fn stored_parameters(cost: Cost, pepper_id: &str) -> Result<ParamsString, phc::Error> {
    let mut parameters = ParamsString::new();
    parameters.add_decimal("m", cost.memory_kib)?;
    parameters.add_decimal("t", cost.iterations)?;
    parameters.add_decimal("p", cost.parallelism)?;
    parameters.add_b64_bytes("keyid", pepper_id.as_bytes())?;
    Ok(parameters)
}

/// Compares a password with a stored hash.
pub(super) fn verify(
    settings: &Argon2Settings,
    memory: &mut Memory,
    account: UserId,
    password: &RawPassword,
    hash: &PasswordHash,
) -> Result<Verdict, Cause> {
    let stored = Stored::parse(hash.as_str())?;
    let pepper = settings.peppers.iter().find(|pepper| pepper.id.as_bytes() == stored.pepper_id);
    let pepper = pepper.ok_or("a stored hash needs a pepper that is not configured")?;
    let computed = compute(stored.cost, memory, pepper, account, password, &stored.salt)?;
    let current =
        settings.peppers.first().is_some_and(|first| first.id == pepper.id) && stored.cost == settings.cost;
    Ok(match (bool::from(computed.as_slice().ct_eq(&stored.hash)), current) {
        (false, _) => Verdict::Mismatch,
        (true, true) => Verdict::Match,
        (true, false) => Verdict::MatchOutdated,
    })
}

fn compute(
    cost: Cost,
    memory: &mut Memory,
    pepper: &Pepper,
    account: UserId,
    password: &RawPassword,
    salt: &[u8],
) -> Result<[u8; HASH_LENGTH], Cause> {
    let parameters: Params = ParamsBuilder::new()
        .m_cost(cost.memory_kib)
        .t_cost(cost.iterations)
        .p_cost(cost.parallelism)
        .output_len(HASH_LENGTH)
        .data(AssociatedData::new(account.as_bytes())?)
        .build()?;
    let secret = pepper.secret.expose_secret();
    let blocks = memory.blocks(parameters.block_count());
    let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, parameters)?;
    let mut hash = [0; HASH_LENGTH];
    argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut hash, blocks)?;
    Ok(hash)
}

/// A stored hash, its parameters within bounds.
struct Stored {
    cost: Cost,
    pepper_id: Vec<u8>,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Result<Self, Cause> {
        let stored = phc::PasswordHash::new(text).map_err(|_| "a stored hash is not in PHC form")?;
        if stored.algorithm.as_str() != "argon2id" || stored.version != Some(Version::V0x13.into()) {
            return Err("a stored hash is not Argon2id version 19".into());
        }
        let decimal = |name: &str| stored.params.get_decimal(name).ok_or("a stored hash lacks a parameter");
        let cost = Cost { memory_kib: decimal("m")?, iterations: decimal("t")?, parallelism: decimal("p")? };
        let bounded = cost.memory_kib <= MAX_STORED.memory_kib
            && cost.iterations <= MAX_STORED.iterations
            && cost.parallelism <= MAX_STORED.parallelism;
        // A defect: whoever can write a hash decides how much memory is taken.
        let bounded = bounded || mutant("stored_hashes.not_bounded");
        if !bounded {
            return Err("a stored hash has parameters out of bounds".into());
        }
        let mut buffer = [0; 16];
        let pepper_id = stored.params.get("keyid").ok_or("a stored hash names no pepper")?;
        let pepper_id =
            pepper_id.b64_decode(&mut buffer).map_err(|_| "a stored hash names no pepper")?.to_vec();
        let salt = stored.salt.ok_or("a stored hash has no salt")?.to_vec();
        let hash = stored.hash.ok_or("a stored hash has no hash")?.as_bytes().to_vec();
        Ok(Self { cost, pepper_id, salt, hash })
    }
}

/// What the fuzz targets see of stored hashes.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::{
        Argon2Settings, Cause, Cost, Memory, PasswordHash, RawPassword, Stored, UserId, Verdict, verify,
    };

    /// What a verification of this hash would cost, if it is one.
    #[must_use]
    pub fn cost_of(hash: &str) -> Option<Cost> {
        Stored::parse(hash).ok().map(|stored| stored.cost)
    }

    /// Compares a password with a stored hash.
    pub fn verdict(
        settings: &Argon2Settings,
        account: UserId,
        password: &RawPassword,
        hash: &str,
    ) -> Result<Verdict, Cause> {
        verify(settings, &mut Memory::default(), account, password, &PasswordHash::new(hash.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

    fn pepper(id: &str) -> Pepper {
        Pepper { id: id.to_owned(), secret: vec![id.as_bytes()[0]; 32].into() }
    }

    fn settings(cost: Cost, peppers: &[&str]) -> Argon2Settings {
        let peppers = peppers.iter().map(|id| pepper(id)).collect();
        Argon2Settings { cost, peppers, max_parallel: 1, queue_wait: Duration::from_millis(20) }
    }

    fn account(byte: u8) -> UserId {
        UserId::new(Uuid::from_bytes([byte; 16]))
    }

    fn password(text: &str) -> RawPassword {
        RawPassword::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let settings = settings(CHEAP, &["a"]);
        let hash = hash(&settings, &mut Memory::default(), account(1), &password("right")).unwrap();
        let verdict = |account, text| {
            verify(&settings, &mut Memory::default(), account, &password(text), &hash).unwrap()
        };
        assert_eq!(verdict(account(1), "right"), Verdict::Match);
        assert_eq!(verdict(account(1), "wrong"), Verdict::Mismatch);
        assert_eq!(
            verdict(account(2), "right"),
            Verdict::Mismatch,
            "a hash copied to another row does not verify"
        );
    }

    #[test]
    fn what_is_left_in_the_memory_makes_no_difference() {
        let (settings, mut memory) = (settings(CHEAP, &["a"]), Memory::default());
        let hash = hash(&settings, &mut memory, account(1), &password("right")).unwrap();
        for text in ["wrong", "another", "right"] {
            let verdict = verify(&settings, &mut memory, account(1), &password(text), &hash).unwrap();
            assert_eq!(verdict == Verdict::Match, text == "right", "{text}");
        }
    }

    #[test]
    fn older_parameters_and_older_peppers_verify_and_are_outdated() {
        let first = settings(CHEAP, &["a"]);
        let hash = hash(&first, &mut Memory::default(), account(1), &password("right")).unwrap();
        let rotated = settings(CHEAP, &["b", "a"]);
        assert_eq!(
            verify(&rotated, &mut Memory::default(), account(1), &password("right"), &hash).unwrap(),
            Verdict::MatchOutdated
        );
        let dearer = settings(Cost { iterations: 2, ..CHEAP }, &["a"]);
        assert_eq!(
            verify(&dearer, &mut Memory::default(), account(1), &password("right"), &hash).unwrap(),
            Verdict::MatchOutdated
        );
        let without = settings(CHEAP, &["b"]);
        assert!(
            verify(&without, &mut Memory::default(), account(1), &password("right"), &hash).is_err(),
            "an unknown pepper is no mismatch"
        );
    }

    #[test]
    fn the_form_is_phc_with_the_pepper_named_and_nothing_secret() {
        let hash =
            hash(&settings(CHEAP, &["p1"]), &mut Memory::default(), account(1), &password("right")).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=8,t=1,p=1,keyid=cDE$"), "{}", hash.as_str());
    }

    #[test]
    fn stored_parameters_are_bounded_and_broken_hashes_are_errors() {
        let salt_and_hash = "$c29tZXNhbHRzb21lc2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";
        for head in [
            "$argon2id$v=19$m=4294967295,t=1,p=1,keyid=YQ",
            "$argon2id$v=19$m=8,t=100,p=1,keyid=YQ",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$argon2id$v=16$m=8,t=1,p=1,keyid=YQ",
            "$argon2i$v=19$m=8,t=1,p=1,keyid=YQ",
        ] {
            assert!(Stored::parse(&format!("{head}{salt_and_hash}")).is_err(), "{head}");
        }
        for text in ["", "garbage", "$argon2id$v=19$m=8,t=1,p=1,keyid=YQ"] {
            assert!(Stored::parse(text).is_err(), "{text}");
        }
        assert!(Stored::parse(&format!("$argon2id$v=19$m=8,t=1,p=1,keyid=YQ{salt_and_hash}")).is_ok());
    }
    #[test]
    fn no_damaged_hash_lets_anybody_in() {
        let settings = settings(CHEAP, &["a"]);
        let good = hash(&settings, &mut Memory::default(), account(1), &password("right")).unwrap();
        let right = password("right");
        proptest!(hostile::cases(), |(text in prop_oneof![hostile::damaged_text(good.as_str()), hostile::text()])| {
            let Ok(stored) = Stored::parse(&text) else { return Ok(()) };
            // It is bounded, but a test need not wait for it.
            if stored.cost.memory_kib > 64 || text == good.as_str() {
                return Ok(());
            }
            let stored = PasswordHash::new(text);
            let verdict = verify(&settings, &mut Memory::default(), account(1), &right, &stored);
            prop_assert!(!matches!(verdict, Ok(Verdict::Match | Verdict::MatchOutdated)), "{}", stored.as_str());
        });
    }
}
