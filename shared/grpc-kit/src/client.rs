//! The calling end: whom to call, whether to call again, and what a call that failed on the way has done.
//!
//! [`Peers`] are the replicas of a server. Each call goes to one of them that answers; one that does not is left alone, and
//! asked for its health in the background until it answers, so that no caller has to wait for it. [`RetryBudget`] bounds
//! how much is repeated. [`Traced`] gives each call a span.
//!
//! It knows no service: what is sent, and what may be repeated, is its user's.

mod names;
mod peer;
mod peers;
mod retry_budget;
mod traced;

use std::error::Error;
use std::iter::successors;

use tonic::{ConnectError, Status};

pub use names::Names;
pub use peer::{Chosen, Failing};
pub use peers::{Away, Last, Name, Peers};
pub use retry_budget::RetryBudget;
pub use traced::Traced;

/// Whether no handler has seen the call, so that even one that writes may be sent again.
///
/// That is so when there was no connection to send it on, when it was still waiting for its connection as this closed, when
/// the connection had come to its age and the server's GOAWAY did not take the call in any more (RFC 9113, section 6.8), and
/// when the server refused the stream (section 8.7). The transport tells these by the type of the cause; codes and messages
/// do not tell them from connections that broke in the middle of a call.
#[must_use]
pub fn was_not_processed(status: &Status) -> bool {
    could_not_connect(status)
        || causes(status).any(|error| {
            error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
                || error.downcast_ref::<h2::Error>().is_some_and(is_refusal)
        })
}

/// Whether there was no connection to send the call on.
#[must_use]
pub fn could_not_connect(status: &Status) -> bool {
    causes(status).any(<dyn Error>::is::<ConnectError>)
}

/// What a status says and why, for the log: the transport's own words say only that it was the transport.
#[must_use]
pub fn explained(status: &Status) -> String {
    let mut said = status.message().to_owned();
    for cause in causes(status).map(ToString::to_string) {
        if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: Option<&(dyn Error + 'static)> = status.source();
    successors(first, |&error| error.source())
}

fn is_refusal(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
            || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
}
