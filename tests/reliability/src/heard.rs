//! What is said to whoever calls and to operators, kept for a look whether there is a secret in it.

use std::sync::{Mutex, PoisonError};

use tonic::Status;

/// Everything that was said, one after the other.
#[derive(Debug, Default)]
pub struct Heard(Mutex<String>);

impl Heard {
    /// Somebody was told this.
    pub fn hear(&self, said: &[u8]) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(&String::from_utf8_lossy(said));
        text.push('\n');
    }

    /// Somebody was refused: the sentence, and the details as they came. Not the metadata, in which a renewed token may be.
    pub fn hear_status(&self, status: &Status) {
        self.hear(status.message().as_bytes());
        self.hear(status.details());
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    #[test]
    fn i11_the_sentence_and_the_details_of_an_error_are_kept() {
        let mut details = ErrorDetails::new();
        details.set_error_info("REASON", "domain", [("what".to_owned(), "a detail".to_owned())]);
        let heard = Heard::default();
        heard.hear_status(&Status::with_error_details(Code::NotFound, "a sentence", details));
        heard.hear(b"a line of a command");
        for said in ["a sentence", "a detail", "a line of a command"] {
            assert!(heard.text().contains(said), "{said}");
        }
    }
}
