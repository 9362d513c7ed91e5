//! What log-ins are compared with: Argon2id and nothing else, with the service's own parameters, on one thread, in
//! memory that is used again for every hash. A process of its own, so that it can be run where the service runs
//! otherwise.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, AssociatedData, Block, ParamsBuilder, Version};
use clap::Args;

use crate::usage::CpuTime;

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

/// How many hashes there were. The two differ by what else ran on the core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// In a second.
    pub(crate) a_second: f64,
    /// In a second that the process spent on a core.
    pub(crate) a_cpu_second: f64,
}

impl Rate {
    /// What lies between the two.
    pub(crate) const fn mean(self, other: Self) -> Self {
        Self {
            a_second: f64::midpoint(self.a_second, other.a_second),
            a_cpu_second: f64::midpoint(self.a_cpu_second, other.a_cpu_second),
        }
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} a second, {:.3} a second of CPU time", self.a_second, self.a_cpu_second)
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(a_second), Some(a_cpu_second)) => Ok(Self { a_second, a_cpu_second }),
            _ => Err("two numbers are wanted"),
        }
    }
}

/// Hashes, and prints how many there were.
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
    let this = std::process::id();
    let (begin, before) = (Instant::now(), CpuTime::of(this));
    let mut hashes = 0_u32;
    while begin.elapsed() < duration {
        hash();
        hashes += 1;
    }
    let used = CpuTime::of(this).since(&before);
    let hashes = f64::from(hashes);
    let rate =
        Rate { a_second: hashes / used.wall.as_secs_f64(), a_cpu_second: hashes / used.cpu.as_secs_f64() };
    println!("{rate}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_was_printed() {
        let rate = Rate { a_second: 71.25, a_cpu_second: 80.5 };
        assert_eq!(rate.to_string().parse(), Ok(rate));
        assert!("no rate".parse::<Rate>().is_err());
    }
}
