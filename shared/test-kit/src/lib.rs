//! What tests of several crates need, and no service: a dependency of tests alone.

mod proxy;
mod reserved;

pub use self::proxy::{Commits, Cut, Mode, Passed, Proxy};
pub use self::reserved::Reserved;
