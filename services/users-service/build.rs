//! Rebuilds when a migration is added: the compiler sees only the ones it read the last time.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/users");
}
