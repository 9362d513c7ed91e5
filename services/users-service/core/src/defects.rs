//! What the deliberate defects need beyond a line where they act. Nothing here is called without [`fail_point::mutant`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::commands::Authentication;
use crate::domain::{Actor, Authenticated, Principal, Role};
use crate::error::Error;
use crate::ports::ProviderError;

/// What is answered, and after an outage whom this process let in last.
pub(crate) fn or_whoever_was_last(
    answer: Result<Authenticated, ProviderError>,
) -> Result<Authenticated, ProviderError> {
    static LAST: Mutex<Option<Principal>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(Authenticated::Admitted { principal, .. }) = &answer {
        *last = Some(principal.clone());
    }
    match last.clone().filter(|_| answer.is_err()) {
        Some(principal) => Ok(Authenticated::Admitted { principal, renewed: None }),
        None => answer,
    }
}

/// What is answered, and after an outage by the least role.
pub(crate) fn without_its_role_after_an_outage(answer: Authentication) -> Authentication {
    static WAS_AWAY: AtomicBool = AtomicBool::new(false);
    let Authentication { renewed, caller } = answer;
    if matches!(caller, Err(Error::IdentityProviderUnavailable(_))) {
        WAS_AWAY.store(true, Ordering::Relaxed);
    }
    let is_to_go = WAS_AWAY.load(Ordering::Relaxed);
    let caller = caller.map(|actor| if is_to_go { Actor { role: Role::User, ..actor } } else { actor });
    Authentication { renewed, caller }
}

/// Somebody who is let in, as whoever was let in before.
pub(crate) fn as_whoever_was_before(answer: Authenticated) -> Authenticated {
    static BEFORE: Mutex<Option<Principal>> = Mutex::new(None);
    match answer {
        Authenticated::Admitted { principal, renewed } => {
            let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
            let principal = before.replace(principal.clone()).unwrap_or(principal);
            Authenticated::Admitted { principal, renewed }
        }
        Authenticated::Denied => Authenticated::Denied,
    }
}

static WAS_AN_OUTAGE: AtomicBool = AtomicBool::new(false);

/// An outage that is not forgotten.
pub(crate) fn noted(outage: ProviderError) -> ProviderError {
    WAS_AN_OUTAGE.store(true, Ordering::Relaxed);
    outage
}

/// Whether there ever was one.
pub(crate) fn was_an_outage() -> bool {
    WAS_AN_OUTAGE.load(Ordering::Relaxed)
}

/// What nobody who handles a call does.
pub(crate) fn panics() -> ! {
    panic!("a defect")
}
