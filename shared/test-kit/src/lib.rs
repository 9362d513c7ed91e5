//! What tests of several crates need, and no service: a dependency of tests alone.

pub mod hostile;
mod reserved;

pub use self::reserved::Reserved;
