//! What tests of several crates need, and no service: a dependency of tests alone.

pub mod hostile;
mod invariant;
mod proxy;
mod reserved;

pub use self::invariant::Invariant;
pub use self::proxy::{Commits, Cut, Mode, Passed, Proxy};
pub use self::reserved::Reserved;
