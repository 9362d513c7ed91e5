//! The security log: one line for every event that an auditor asks for, in a target of its own. Never a secret, and
//! never what a caller typed: a username field may hold a password.
//!
//! `event` is what was asked for, `actor` who asked and `subject` whose account it is about, both as ids and where they are
//! known, `outcome` is `ok` or `refused`, with a `reason`. `docs/telemetry.md` lists the events.

use std::net::IpAddr;

use auth_core::Error;
use auth_core::commands::Denial;
use identity::UserId;
use telemetry::CAN_WAIT;
use tracing::field::display;

use crate::workload::Refusal;

/// Writes down what came of an event whose actor only its success names, and where it came from.
pub(crate) fn record_anonymous<T>(
    event: &'static str,
    from: Option<IpAddr>,
    outcome: &Result<T, Error>,
    of: impl FnOnce(&T) -> UserId,
) {
    let actor = outcome.as_ref().ok().map(of).map(display);
    let password_was_looked_at =
        !matches!(outcome, Err(Error::HasherBusy { .. } | Error::RateLimited { .. }));
    let (reason, outcome) = told(outcome);
    let client_address = from.map(display);
    if password_was_looked_at {
        tracing::info!(target: "security", event, actor, client_address, outcome, reason);
    } else {
        tracing::info!(name: CAN_WAIT, target: "security", event, client_address, outcome, reason);
    }
}

/// As [`record_anonymous`], of an event that came to nothing because of the token that it came with: it is good, and the actor's,
/// or could not be checked.
pub(crate) fn record_known(
    event: &'static str,
    actor: Option<UserId>,
    from: Option<IpAddr>,
    refusal: &Error,
) {
    let (actor, client_address) = (actor.map(display), from.map(display));
    let reason = reason(refusal);
    tracing::info!(target: "security", event, actor, client_address, outcome = "refused", reason);
}

/// As [`record_anonymous`], of somebody who is logged in and acts on their own account.
pub(crate) fn record_own<T>(event: &'static str, actor: UserId, outcome: &Result<T, Error>) {
    let (reason, outcome) = told(outcome);
    tracing::info!(target: "security", event, actor = %actor, outcome, reason);
}

/// As [`record_anonymous`], for an event that a workload asked for on behalf of an actor, about an account. What is no id is
/// left out: it may be any text.
pub(crate) fn for_actor<T>(
    event: &'static str,
    account_id: &str,
    actor_id: &str,
) -> impl FnOnce(&Result<T, Error>) + Send + 'static {
    let id = |text: &str| UserId::parse(text).ok().map(display);
    let (actor, subject) = (id(actor_id), id(account_id));
    move |outcome| {
        let (reason, outcome) = told(outcome);
        tracing::info!(target: "security", event, actor, subject, outcome, reason);
    }
}

/// As [`record_anonymous`], of an operator's command on this machine.
pub(crate) fn record_operators<T>(event: &'static str, outcome: &Result<T, Error>) {
    let (reason, outcome) = told(outcome);
    tracing::info!(target: "security", event, actor = "operator", outcome, reason);
}

/// Writes down that a token was not good.
pub(crate) fn record_denial(denial: Denial) {
    let reason = match denial {
        Denial::Malformed => "malformed",
        Denial::Expired => "expired",
        Denial::Revoked => "revoked",
        Denial::AccountDisabled => "account disabled",
    };
    tracing::info!(target: "security", event = "authenticate", outcome = "refused", reason);
}

/// Writes down that a workload was not let in.
pub(crate) fn record_refusal(refusal: Refusal) {
    let reason = match refusal {
        Refusal::Unauthenticated => "unauthenticated",
        Refusal::NotAllowed => "not allowed",
    };
    tracing::info!(target: "security", event = "admit_workload", outcome = "refused", reason);
}

/// The reason, if it was refused, and the outcome.
fn told<T>(outcome: &Result<T, Error>) -> (Option<&'static str>, &'static str) {
    match outcome {
        Ok(_) => (None, "ok"),
        Err(error) => (Some(reason(error)), "refused"),
    }
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
