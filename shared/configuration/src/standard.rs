//! Variables whose names somebody else's standard gives, beside those of ours, which begin with the service's prefix.

/// What the process's environment says under this very name. What is empty or not text counts as not said, as
/// OpenTelemetry has it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this crate is where the environment is read")]
pub fn standard_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
