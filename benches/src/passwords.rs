//! What it costs to look whether a password may be set, with the worst that somebody could send.

use std::hint::black_box;
use std::time::{Duration, Instant};

use auth_core::domain::PasswordPolicy;
use identity::{MAX_PASSWORD_CODE_POINTS, RawPassword};

const ROUNDS: usize = 1_000;

/// Measures and prints.
pub(crate) fn run() {
    let long = |unit: &str| unit.chars().cycle().take(MAX_PASSWORD_CODE_POINTS).collect::<String>();
    let unlike: String = (0..MAX_PASSWORD_CODE_POINTS).map(pseudo_random).collect();
    let passwords = [
        ("a passphrase", "correct horse battery staple".to_owned()),
        ("256 times one character", long("a")),
        ("256 of a common password", long("password1")),
        ("256 of a sequence", long("abcdefghijklmnopqrstuvwxyz")),
        ("256 that are not alike", unlike),
    ];
    println!("Whether a password may be set (medians of {ROUNDS})");
    println!();
    for min_length in [8, 15] {
        let policy = PasswordPolicy::new(min_length);
        for (what, password) in &passwords {
            let time = median(&policy, password);
            println!("  minimum {min_length:>2}, {what:<26} {:>7.1} us", time.as_secs_f64() * 1e6);
        }
    }
}

fn median(policy: &PasswordPolicy, password: &str) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let password = RawPassword::parse(password.to_owned()).expect("short enough");
            let began = Instant::now();
            let _ = black_box(policy.check(black_box(password)));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[ROUNDS / 2]
}

/// Steps of a generator that is no secret to anybody, as visible ASCII.
fn pseudo_random(step: usize) -> char {
    let mixed = (step as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    char::from(b'!' + u8::try_from(mixed >> 32 & 0x3F).unwrap_or_default())
}
