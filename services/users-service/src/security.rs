//! The security log: one line for every command of an administrator, in a target of its own, however it ended. Never a
//! secret, and never what a caller typed beyond the name of its subject, where it is one.
//!
//! `event` is what was asked for, `actor` who asked, `subject` whom it is about, by the id or name that was asked for,
//! `outcome` is `ok` or `refused`, with a `reason`. `docs/telemetry.md` lists the events.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;
use identity::UserId;
use users_core::{AdministrationError, Error};

/// Does what an administrator commands, and writes down what came of it. Of whom it is about nothing is said where the request
/// names nobody properly.
pub(crate) async fn audited<T>(
    event: &'static str,
    actor: UserId,
    subject: Option<String>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    // What it left done when it panicked is not known; that it was asked for is.
    let (outcome, panic) = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => (outcome, None),
        Err(panic) => (Err(Error::Internal("a panic".into())), Some(panic)),
    };
    let (reason, result) = told(&outcome, refusal);
    tracing::info!(target: "security", event, actor = %actor, subject, outcome = result, reason);
    match panic {
        Some(panic) => resume_unwind(panic),
        None => outcome,
    }
}

/// Writes down that somebody asked for what their role does not allow. What it was is in the path of the call.
pub(crate) fn record_refusal(actor: UserId, subject: Option<String>, error: &Error) {
    let reason = refusal(error);
    tracing::info!(target: "security", event = "authorize", actor = %actor, subject, outcome = "refused", reason);
}

/// Writes down what came of an operator's command, who has no name here.
pub(crate) fn record_operators<T>(
    event: &'static str,
    subject: &str,
    outcome: &Result<T, AdministrationError>,
) {
    let (reason, outcome) = told(outcome, operators_refusal);
    tracing::info!(target: "security", event, actor = "operator", subject, outcome, reason);
}

/// The reason, if it was refused, and the outcome.
fn told<T, E>(
    outcome: &Result<T, E>,
    reason: impl FnOnce(&E) -> &'static str,
) -> (Option<&'static str>, &'static str) {
    match outcome {
        Ok(_) => (None, "ok"),
        Err(error) => (Some(reason(error)), "refused"),
    }
}

const fn operators_refusal(error: &AdministrationError) -> &'static str {
    match error {
        AdministrationError::SuperAdminExists => "super admin exists",
        AdministrationError::BootstrapRunning => "bootstrap running",
        AdministrationError::BootstrapUnfinished(_) => "bootstrap unfinished",
        AdministrationError::DemotedSince(_) => "demoted since",
        AdministrationError::NotASuperAdmin(_) => "not a super admin",
        AdministrationError::LastActiveSuperAdmin(_) => "last active super admin",
        AdministrationError::Failed(error) => refusal(error),
    }
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
