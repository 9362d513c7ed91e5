//! The security log: one line for every command of an administrator, in a target of its own, however it ended. Never a
//! secret, and never what a caller typed beyond the name of its subject, which was parsed before.

use users_core::Error;
use users_core::domain::Actor;

/// Does what an administrator commands, and writes down what came of it.
pub(crate) async fn audited<T>(
    command: &'static str,
    actor: &Actor,
    subject: String,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let outcome = work.await;
    let result = outcome.as_ref().map_or_else(refusal, |_| "ok");
    tracing::info!(target: "security", command, actor = %actor.id, subject, outcome = result);
    outcome
}

/// Writes down what came of an operator's command, who has no name here.
pub(crate) fn record_operators<T, E>(command: &'static str, subject: &str, outcome: &Result<T, E>) {
    let result = if outcome.is_ok() { "ok" } else { "refused" };
    tracing::info!(target: "security", command, actor = "operator", subject, outcome = result);
}

const fn refusal(error: &Error) -> &'static str {
    match error {
        Error::Unauthenticated => "unauthenticated",
        Error::RoleTooLow { .. } => "role too low",
        Error::InvalidField(_) => "invalid field",
        Error::InvalidPageToken => "invalid page token",
        Error::UserNotFound(_) => "user not found",
        Error::UsernameTaken(_) => "username taken",
        Error::EtagMismatch { .. } => "etag mismatch",
        Error::RequestIdReused => "request id reused",
        Error::RateLimited { .. } => "rate limited",
        Error::HasherBusy { .. } => "hasher busy",
        Error::StorageUnavailable(_) => "storage unavailable",
        Error::OutcomeUnknown(_) => "outcome unknown",
        Error::IdentityProviderUnavailable(_) => "identity provider unavailable",
        Error::NotYetConsistent => "not yet consistent",
        Error::DeadlineExceeded => "deadline exceeded",
        Error::Internal(_) => "internal error",
    }
}
