//! What a test build can be made to do and a release build cannot: die at a named place, have a named defect, or tell its
//! secrets.
//!
//! Without the feature `test-hooks` all three are nothing, and with it there is no build without debug assertions: whoever asks
//! for one, as `cargo build --release --workspace` does by way of the tests, is refused. An environment variable names what acts:
//!
//! - `TANDEM_FAIL_POINT`: [`fail_point`] of this name aborts the process, without destructors or a flush: like `kill -9`
//!   for all that is on disk. So a test can stop a service between any two steps and look at what a restart makes of it.
//! - `TANDEM_MUTANT`: [`mutant`] of this name is true, and the code beside it does what it must never do. So a test that
//!   looks for violations can show that it would find one.
//!
//! No variable makes a process tell its secrets: only code of its own can ask for them ([`confide_in`]), and only a test's does.

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

/// Tells a secret to the test that asked for them in this process, so that it can look for it where it must not be; nothing,
/// in every build without `test-hooks`.
#[inline]
pub fn confide(what: &'static str, secret: &str) {
    #[cfg(feature = "test-hooks")]
    armed::confide(what, secret);
    #[cfg(not(feature = "test-hooks"))]
    let _ = (what, secret);
}

/// Asks for every secret that there is from now on, with what it is. Who asked first is told.
#[cfg(feature = "test-hooks")]
pub fn confide_in(confidant: fn(&'static str, &str)) {
    armed::CONFIDANT.get_or_init(|| confidant);
}

#[cfg(feature = "test-hooks")]
mod armed {
    use std::sync::{LazyLock, OnceLock};

    pub(super) static CONFIDANT: OnceLock<fn(&'static str, &str)> = OnceLock::new();

    static FAIL_POINT: LazyLock<Option<String>> = LazyLock::new(|| switch("TANDEM_FAIL_POINT"));
    static MUTANT: LazyLock<Option<String>> = LazyLock::new(|| switch("TANDEM_MUTANT"));

    #[expect(clippy::disallowed_methods, reason = "a switch of test builds, not configuration")]
    fn switch(variable: &str) -> Option<String> {
        std::env::var(variable).ok()
    }

    pub(super) fn confide(what: &'static str, secret: &str) {
        if let Some(confidant) = CONFIDANT.get() {
            confidant(what, secret);
        }
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
