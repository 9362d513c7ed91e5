//! What tests of several crates need, and no service: a dependency of tests alone.

mod reserved;

pub use self::reserved::Reserved;
