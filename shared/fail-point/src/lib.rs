//! What a test build can be made to do wrong, and a release build cannot: die at a named place, or have a named defect.
//!
//! Without the feature `test-hooks` both are nothing, and with it there is no build without debug assertions: whoever asks for
//! one, as `cargo build --release --workspace` does by way of the tests, is refused. An environment variable names what acts:
//!
//! - `TANDEM_FAIL_POINT`: [`fail_point`] of this name aborts the process, without destructors or a flush: like `kill -9`
//!   for all that is on disk. So a test can stop a service between any two steps and look at what a restart makes of it.
//! - `TANDEM_MUTANT`: [`mutant`] of this name is true, and the code beside it does what it must never do. So a test that
//!   looks for violations can show that it would find one.

#[cfg(all(feature = "test-hooks", not(debug_assertions)))]
compile_error!(
    "`test-hooks` is for builds with debug assertions: build what is released by itself, as with `--package auth-service`"
);

/// Dies here if a test asked for it by name; otherwise, and in every build without `test-hooks`, does nothing.
#[inline]
pub fn fail_point(name: &'static str) {
    #[cfg(feature = "test-hooks")]
    armed::die_if_named(name);
    #[cfg(not(feature = "test-hooks"))]
    let _ = name;
}

/// Whether a test asked for the defect of this name; never, in every build without `test-hooks`.
#[inline]
#[must_use]
pub fn mutant(name: &'static str) -> bool {
    #[cfg(feature = "test-hooks")]
    return armed::is_mutant(name);
    #[cfg(not(feature = "test-hooks"))]
    {
        let _ = name;
        false
    }
}

#[cfg(feature = "test-hooks")]
mod armed {
    use std::sync::LazyLock;

    static FAIL_POINT: LazyLock<Option<String>> = LazyLock::new(|| switch("TANDEM_FAIL_POINT"));
    static MUTANT: LazyLock<Option<String>> = LazyLock::new(|| switch("TANDEM_MUTANT"));

    #[expect(clippy::disallowed_methods, reason = "a switch of test builds, not configuration")]
    fn switch(variable: &str) -> Option<String> {
        std::env::var(variable).ok()
    }

    pub(super) fn die_if_named(name: &str) {
        if FAIL_POINT.as_deref() == Some(name) {
            std::process::abort();
        }
    }

    pub(super) fn is_mutant(name: &str) -> bool {
        MUTANT.as_deref() == Some(name)
    }
}
