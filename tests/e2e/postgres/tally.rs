//! Counts how calls ended, so that a run in which nothing happened is seen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use e2e::{Call, Caller, Failure, Reply};
use tonic::{Code, Status};

/// How a call ended that was good.
pub(crate) const OK: &str = "OK";
/// How a call ended that the client gave up.
pub(crate) const CANCELLED: &str = "given up by the client";
/// How a call ended that nobody answered.
pub(crate) const AWAY: &str = "nobody answers";
/// All that may be said of an outage.
pub(crate) const OUTAGES: [&str; 5] = [
    "STORAGE_UNAVAILABLE",
    "IDENTITY_PROVIDER_UNAVAILABLE",
    "OUTCOME_UNKNOWN",
    "HASHER_BUSY",
    "DEADLINE_EXCEEDED",
];

/// How often which call ended how.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<&'static str, Calls>>);

/// Calls of one kind.
#[derive(Debug, Default)]
struct Calls {
    ends: BTreeMap<String, usize>,
    longest: Duration,
}

impl Tally {
    /// Makes a call and counts it; of those who are refused, the reason.
    pub(crate) async fn call<M: Call>(
        &self,
        caller: &Caller,
        message: M,
    ) -> Result<Reply<M::Answer>, String> {
        let begin = Instant::now();
        let outcome = caller.raw(message).await.map_err(|status| reason::<M>(&status));
        self.note::<M>(outcome.as_ref().err().map_or(OK, String::as_str), begin.elapsed());
        outcome
    }

    /// Counts a call and remembers how long the longest lasted.
    pub(crate) fn note<M>(&self, end: &str, lasted: Duration) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = calls.entry(name::<M>()).or_default();
        *calls.ends.entry(end.to_owned()).or_default() += 1;
        calls.longest = calls.longest.max(lasted);
    }

    /// How many calls ended so.
    pub(crate) fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = calls.values().flat_map(|calls| &calls.ends);
        ends.filter(|(end, _)| wanted(end)).map(|(_, times)| times).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (call, Calls { ends, longest }) in &*calls {
            let ends: Vec<_> = ends.iter().map(|(end, times)| format!("{times} {end}")).collect();
            writeln!(f, "  {call:<20} {} (the longest {longest:.1?})", ends.join(", "))?;
        }
        Ok(())
    }
}

/// The reason of an error, which is held against the table of errors. Only the client itself says nothing but a code.
pub(crate) fn reason<M: Call>(status: &Status) -> String {
    if status.code() == Code::Cancelled && status.details().is_empty() {
        return if status.message() == "Timeout expired" {
            CANCELLED.to_owned()
        } else {
            format!("{status:?}")
        };
    }
    if status.details().is_empty() && matches!(status.code(), Code::Unavailable | Code::Unknown) {
        return AWAY.to_owned();
    }
    Failure::of(status, M::DOMAIN).reason
}

/// The verb and noun of a request.
fn name<M>() -> &'static str {
    let path = std::any::type_name::<M>();
    let name = path.rsplit("::").next().unwrap_or(path);
    name.strip_suffix("Request").unwrap_or(name)
}
