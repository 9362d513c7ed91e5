//! How a call ended.

use std::borrow::Cow;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The status code, and the reason where there is one: `OK`, `UNAVAILABLE HASHER_BUSY`.
    pub(crate) label: Cow<'static, str>,
    /// For how long its `google.rpc.RetryInfo` asks the caller to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Ending {
    /// The label of success.
    pub(crate) const OK: &'static str = "OK";
    /// The label of a refusal because the hasher has too much to do.
    pub(crate) const BUSY: &'static str = "UNAVAILABLE HASHER_BUSY";
    /// The label of a call for which there was no connection.
    pub(crate) const UNREACHABLE: &'static str = "NO CONNECTION";

    /// One without anything to say about it.
    pub(crate) const fn plain(label: &'static str) -> Self {
        Self { label: Cow::Borrowed(label), retry_after: None }
    }

    /// Whether the call succeeded.
    pub(crate) fn is_ok(&self) -> bool {
        self.label == Self::OK
    }

    /// Reads an error.
    pub(crate) fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let code = name(status.code());
        let label = match details.error_info() {
            Some(info) => {
                format!("{code} {}", info.reason.strip_prefix("ERROR_REASON_").unwrap_or(&info.reason))
            }
            // The transport's, or not as the contract says: either way somebody will want to know.
            None => format!("{code} ({})", status.message()),
        };
        let retry_after = details.retry_info().map(|info| info.retry_delay.unwrap_or_default());
        Self { label: Cow::Owned(label), retry_after }
    }
}

/// As the contract writes it: `DEADLINE_EXCEEDED`.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_refusal_is_known_by_its_code_and_reason() {
        let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        details.set_error_info("ERROR_REASON_HASHER_BUSY", "auth.tandem", []);
        let status = Status::with_error_details(Code::Unavailable, "busy", details);
        let ending = Ending::of(&status);
        assert_eq!(ending.label, Ending::BUSY);
        assert_eq!(ending.retry_after, Some(Duration::from_millis(250)));
    }

    #[test]
    fn an_error_without_details_shows_its_message() {
        let ending = Ending::of(&Status::deadline_exceeded("too late"));
        assert_eq!(ending.label, "DEADLINE_EXCEEDED (too late)");
        assert_eq!(ending.retry_after, None);
    }
}
