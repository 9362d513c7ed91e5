//! Request metadata that means the same on every listener.

use fail_point::confide;
use tonic::metadata::MetadataMap;

/// What `authorization` metadata holds. Says nothing about whether the token is any good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// There is none.
    Absent,
    /// There is something, but not exactly one bearer token.
    Malformed,
    /// The one bearer token.
    Token(&'a str),
}

impl std::fmt::Debug for Bearer<'_> {
    /// Does not print the token: it is a credential.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Absent => "Absent",
            Self::Malformed => "Malformed",
            Self::Token(_) => "Token(…)",
        })
    }
}

/// Reads the bearer token (RFC 6750, section 2.1): one `authorization` value, the scheme in any case, one or
/// more spaces, a token of visible ASCII characters.
#[must_use]
pub fn bearer(metadata: &MetadataMap) -> Bearer<'_> {
    let mut values = metadata.get_all("authorization").iter();
    match (values.next(), values.next()) {
        (None, _) => Bearer::Absent,
        (Some(value), None) => value.to_str().ok().and_then(token).map_or(Bearer::Malformed, Bearer::Token),
        (Some(_), Some(_)) => Bearer::Malformed,
    }
}

fn token(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_start_matches(' ');
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    confide("a token", token);
    (scheme.eq_ignore_ascii_case("bearer") && visible).then_some(token)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    fn with(values: &[&'static str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", tonic::metadata::MetadataValue::from_static(value));
        }
        metadata
    }

    #[test]
    fn one_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        for value in ["Bearer abc.def", "bearer abc.def", "BEARER   abc.def"] {
            assert!(bearer(&with(&[value])) == Bearer::Token("abc.def"), "{value}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for value in ["", "Bearer", "Bearer ", "Bearer a b", "Basic abc", "Bearer\tabc", "abc", " Bearer abc"]
        {
            assert_eq!(bearer(&with(&[value])), Bearer::Malformed, "{value:?}");
        }
    }

    #[test]
    fn a_repeated_token_is_malformed() {
        assert_eq!(bearer(&with(&["Bearer a", "Bearer a"])), Bearer::Malformed);
    }

    #[test]
    fn no_token_is_absent() {
        assert_eq!(bearer(&MetadataMap::new()), Bearer::Absent);
    }

    #[test]
    fn a_token_does_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Bearer::Token("secret")), "Token(…)");
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn a_bearer_token_is_one_word_of_the_only_value(
            values in vec(prop_oneof![hostile::damaged(b"Bearer abc.def".to_vec()), vec(any::<u8>(), 0..20)], 0..3)
        ) {
            let mut headers = http::HeaderMap::new();
            for value in values.iter().filter_map(|value| http::HeaderValue::from_bytes(value).ok()) {
                headers.append("authorization", value);
            }
            let metadata = MetadataMap::from_headers(headers.clone());
            if let Bearer::Token(token) = bearer(&metadata) {
                prop_assert_eq!(headers.len(), 1);
                let value = headers["authorization"].to_str().expect("visible ASCII");
                prop_assert!(value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
                prop_assert!(value.ends_with(token) && !token.contains(' '));
            }
        }
    }
}
