//! What unit tests let slip: everything that is said in the process of a test, and every secret that there is in it.
//!
//! A test binary that names this crate (`use overheard as _;`) needs nothing else, and no test a line: where `TANDEM_OVERHEARD`
//! names a folder, all that a test logs goes there at `trace`, and so do the secrets that the code under test is given
//! (`fail_point::confide`). Afterwards the program of this crate looks at all of them ([`look`]). It expects each test in a process of
//! its own, as nextest runs them. End-to-end tests do the same by themselves (`tests/src/discretion.rs`).
//!
//! Not seen is what a test writes into a file of its own, and what goes to a subscriber that it sets for a while.

mod ears;
mod looks;
mod place;

pub use looks::{Findings, look};

/// Calls [`ears::listen`] before `main`: what is said by any test, and by nobody else before it, is heard.
// SAFETY: what is in this section is called by the C library before `main`, on the main thread, with arguments that a function is
// free to ignore. The standard library works by then on glibc: its own start is in no need of anything of `main`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "nothing safe runs in every test without a line in it")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = ears::listen;
