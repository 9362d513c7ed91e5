//! What a call may be refused for by what it asks for, whatever was done before; and what it must be refused for.

use super::books::{Books, needs_to_outrank};
use super::{Check, End, Findings};
use crate::history::{Call, Does, UNAUTHENTICATED, Who};

pub(super) fn check(books: &Books<'_>, end: Option<&End>, findings: &mut Findings) {
    let calls = books.records.iter().enumerate().filter(|(_, record)| record.call.who != Who::Operator);
    for (number, record) in calls {
        let (does, denial) = (record.call.does, record.denial());
        if let Some(reason) = denial {
            let what = || format!("{does:?} is refused with {reason}, which it gives no reason for");
            let wrong = (!may_be_for(books, &record.call, reason)).then(what);
            findings.judge(Check::DenialOfAnotherCall, wrong, [number]);
        }
        if let Some(reason) = record.call.deserves
            && end.is_some_and(|end| record.start > end.mended)
        {
            let what = || format!("{does:?} must be refused with {reason} and is not");
            findings.judge(Check::DenialMissing, (denial != Some(reason)).then(what), [number]);
        }
    }
}

/// Whether there is something in the call that can be refused for this.
fn may_be_for(books: &Books<'_>, call: &Call, reason: &str) -> bool {
    match reason {
        // Whether the token is good is for others to say.
        UNAUTHENTICATED => true,
        "INVALID_CREDENTIALS" | "ACCOUNT_INACTIVE" => call.does == Does::LogIn,
        "CURRENT_PASSWORD_MISMATCH" => call.does == Does::ChangePassword,
        "USERNAME_TAKEN" => call.creates().is_some(),
        "USER_NOT_FOUND" => call.user.is_some() && call.caller().is_some(),
        "ROLE_TOO_LOW" => {
            call.does == Does::ListUsers
                || call.user.is_some() && call.user.as_deref() != call.caller()
                || needs_to_outrank(call.does)
        }
        // One's own that has ended is no reason: it is gone, as was asked for.
        "SESSION_NOT_FOUND" => {
            call.does == Does::RevokeSession
                && call
                    .session
                    .as_ref()
                    .and_then(|id| books.sessions.get(id))
                    .is_some_and(|session| call.caller().is_some_and(|caller| caller != session.user))
        }
        "ETAG_MISMATCH" => call.etag.is_some(),
        "REQUEST_ID_REUSED" => call.request_id.is_some(),
        "RATE_LIMITED" => {
            matches!(call.does, Does::LogIn | Does::ChangePassword | Does::SignUp | Does::CreateUser)
        }
        _ => false,
    }
}
