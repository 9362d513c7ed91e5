//! What tests of several crates need, and no service: a dependency of tests alone.

#[cfg(test)]
use overheard as _;

mod canaries;
pub mod hostile;
mod invariant;
mod proxy;
mod reserved;

pub use self::canaries::{Canaries, LEAST, shapes};
pub use self::invariant::Invariant;
pub use self::proxy::{Commits, Cut, Mode, Passed, Proxy};
pub use self::reserved::Reserved;
