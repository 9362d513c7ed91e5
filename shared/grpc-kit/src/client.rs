//! What a caller of such a server needs: to know about a call that failed on the way, and to trace its calls.

mod traced;

use std::error::Error;
use std::iter::successors;

use tonic::Status;

pub use traced::Traced;

/// Whether no handler has seen the call, so that even one that writes may be sent again.
///
/// That is so when the call was still waiting for its connection as this closed, when the connection had come to its age
/// and the server's GOAWAY did not take the call in any more (RFC 9113, section 6.8), and when the server refused the
/// stream (section 8.7). The transport tells these by the type of the cause; codes and messages do not tell them from
/// connections that broke in the middle of a call.
#[must_use]
pub fn was_not_processed(status: &Status) -> bool {
    let first: Option<&(dyn Error + 'static)> = status.source();
    successors(first, |&error| error.source()).any(|error| {
        error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref::<h2::Error>().is_some_and(is_refusal)
    })
}

fn is_refusal(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)
            || error.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM))
}
