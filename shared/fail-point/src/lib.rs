//! Named places at which a test build can die, by `abort`: like `kill -9` for all that is on disk.
//!
//! `fail_point("create_user.reserved")` is nothing in a release build. With the feature `test-hooks` the process
//! aborts there, without destructors or a flush, when the environment variable `TANDEM_FAIL_POINT` names the place:
//! so a test can stop a service between any two steps and look at what a restart makes of it.

/// Dies here if a test asked for it by name; otherwise, and in every build without `test-hooks`, does nothing.
#[inline]
pub fn fail_point(name: &'static str) {
    #[cfg(feature = "test-hooks")]
    armed::die_if_named(name);
    #[cfg(not(feature = "test-hooks"))]
    let _ = name;
}

#[cfg(feature = "test-hooks")]
mod armed {
    use std::sync::LazyLock;

    #[expect(clippy::disallowed_methods, reason = "a switch of test builds, not configuration")]
    static NAMED: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("TANDEM_FAIL_POINT").ok());

    pub(super) fn die_if_named(name: &str) {
        if NAMED.as_deref() == Some(name) {
            std::process::abort();
        }
    }
}
