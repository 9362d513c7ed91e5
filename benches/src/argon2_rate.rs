//! What log-ins are compared with: Argon2id and nothing else, with the service's own parameters, on one thread, in memory
//! that is used again for every hash. A process of its own, so that it can be run where the service runs otherwise.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use clap::Args;

/// What a password hash of the service is made of, whatever it is compared with.
const PASSWORD: &[u8] = b"a stick in the mud of time";
const SALT: [u8; 16] = [0x5a; 16];
const PEPPER: [u8; 32] = [0xa5; 32];
const ACCOUNT: [u8; 16] = [0x3c; 16];
const HASH_LENGTH: usize = 32;

/// For how long, and of which cost.
#[derive(Args)]
pub(crate) struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Memory in KiB; the default is auth-service's.
    #[arg(long, default_value_t = 19_456)]
    memory_kib: u32,
    /// Passes over the memory; the default is auth-service's.
    #[arg(long, default_value_t = 2)]
    iterations: u32,
}

/// Hashes, and prints how many there were a second.
pub(crate) fn run(arguments: &Arguments) {
    let parameters = ParamsBuilder::new()
        .m_cost(arguments.memory_kib)
        .t_cost(arguments.iterations)
        .p_cost(1)
        .output_len(HASH_LENGTH)
        .data(AssociatedData::new(&ACCOUNT).expect("short enough"))
        .build()
        .expect("parameters that Argon2 knows");
    let mut memory = vec![Block::default(); parameters.block_count()];
    let argon2 = Argon2::new_with_secret(&PEPPER, Algorithm::Argon2id, Version::V0x13, parameters);
    let argon2 = argon2.expect("a pepper that is short enough");
    let mut hash = move || {
        let mut out = [0; HASH_LENGTH];
        argon2.hash_password_into_with_memory(PASSWORD, &SALT, &mut out, &mut memory).expect("hashes");
    };
    // The first one gets the memory from the operating system.
    hash();
    let duration = Duration::from_secs_f64(arguments.seconds);
    let begin = Instant::now();
    let mut hashes = 0_u32;
    while begin.elapsed() < duration {
        hash();
        hashes += 1;
    }
    println!("{:.3}", f64::from(hashes) / begin.elapsed().as_secs_f64());
}
