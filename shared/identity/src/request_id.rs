use std::fmt;

use uuid::Uuid;

use crate::Rule;

/// A UUID by which a caller marks a repeat of the same request; not the `x-request-id` of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// Reads a UUID with hyphens, in any case.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let id = Uuid::try_parse(text).map_err(|_| Rule::NotAUuid)?;
        let id = Self(id);
        if text.eq_ignore_ascii_case(&id.to_string()) { Ok(id) } else { Err(Rule::NotAUuid) }
    }

    /// Reads an optional field: the empty text is none.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, Rule> {
        if text.is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_hyphenated())
    }
}
