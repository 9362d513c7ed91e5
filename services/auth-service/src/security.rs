//! The security log: one line for every event that an auditor asks for, in a target of its own. Never a secret, and
//! never what a caller typed: a username field may hold a password.

use auth_core::Error;
use identity::UserId;

/// Writes down what came of an event, and of whom when that is known.
pub(crate) fn record<T>(event: &'static str, outcome: &Result<T, Error>, of: impl FnOnce(&T) -> UserId) {
    match outcome {
        Ok(value) => tracing::info!(target: "security", event, outcome = "ok", user_id = %of(value)),
        Err(error) => tracing::info!(target: "security", event, outcome = "refused", reason = reason(error)),
    }
}

/// As [`record`], for an event that a workload asked for on behalf of an actor.
pub(crate) fn record_for<T>(
    event: &'static str,
    outcome: &Result<T, Error>,
    account_id: &str,
    actor_id: &str,
) {
    let outcome = outcome.as_ref().map_or_else(reason, |_| "ok");
    tracing::info!(target: "security", event, outcome, account_id, actor_id);
}

/// In the words of the log; the labels of metrics have the same ones.
pub(crate) const fn reason(error: &Error) -> &'static str {
    match error {
        Error::Unauthenticated => "unauthenticated",
        Error::InvalidCredentials => "invalid credentials",
        Error::AccountInactive => "account inactive",
        Error::AlreadyAuthenticated => "already authenticated",
        Error::CurrentPasswordMismatch => "current password mismatch",
        Error::PasswordUnchanged => "password unchanged",
        Error::InvalidFields(_) => "invalid fields",
        Error::SessionNotFound(_) => "session not found",
        Error::AccountNotFound(_) => "account not found",
        Error::UsernameTaken(_) => "username taken",
        Error::AccountIdTaken(_) => "account id taken",
        Error::VersionMismatch => "version mismatch",
        Error::CursorUnknown => "cursor unknown",
        Error::RequestIdReused => "request id reused",
        Error::RateLimited { .. } => "rate limited",
        Error::HasherBusy { .. } => "hasher busy",
        Error::Store(_) => "store failed",
        Error::Internal(_) => "internal error",
    }
}
