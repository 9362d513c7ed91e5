//! Page tokens: the place where a page begins, sealed together with the question that it answers.

use api::users as pb;
use fail_point::mutant;
use grpc_kit::PageTokens;
use identity::UserId;
use prost::Message as _;
use users_core::Error;
use users_core::domain::UserKey;
use users_core::queries::{Place, SortKey};

const NUMBER: u8 = b'n';
const TEXT: u8 = b't';
/// Before the kind of the key, where some of the users to pass over are behind already.
const PASSED_OVER: u8 = b'p';

/// Every field of the question but the size of the page and the token itself.
fn question(request: &pb::ListUsersRequest) -> Vec<u8> {
    let question = pb::ListUsersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    [b"users".as_slice(), &question.encode_to_vec()].concat()
}

/// The place that the request goes on from; none for the first page.
pub(super) fn open(tokens: &PageTokens, request: &pb::ListUsersRequest) -> Result<Option<Place>, Error> {
    // A defect: a word in place of a key.
    let is_a_word = mutant("page_tokens.a_word_opens") && begins_with_a_word(&request.page_token);
    if request.page_token.is_empty() || is_a_word {
        return Ok(None);
    }
    tokens
        .open(&question(request), &request.page_token)
        .and_then(|bytes| decode(&bytes))
        .map(Some)
        .ok_or(Error::InvalidPageToken)
}

/// The token of the next page; empty when there is none.
pub(super) fn seal(tokens: &PageTokens, request: &pb::ListUsersRequest, next: Option<&Place>) -> String {
    next.map_or_else(String::new, |place| tokens.seal(&question(request), &encode(place)))
}

/// The port's own place in a user's sessions; none for the first page.
pub(super) fn open_sessions(
    tokens: &PageTokens,
    user: &UserKey,
    token: &str,
) -> Result<Option<String>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    tokens
        .open(&sessions_of(user), token)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Some)
        .ok_or(Error::InvalidPageToken)
}

/// The token of the next page of a user's sessions; empty when there is none.
pub(super) fn seal_sessions(tokens: &PageTokens, user: &UserKey, next: Option<&str>) -> String {
    next.map_or_else(String::new, |next| tokens.seal(&sessions_of(user), next.as_bytes()))
}

/// Bound to the target as it was asked for, so that a token is checked with the other fields, before the target is
/// looked at. The port's token inside is bound to the account.
fn sessions_of(user: &UserKey) -> Vec<u8> {
    match user {
        UserKey::Id(id) => [b"sessions of id ".as_slice(), id.as_bytes()].concat(),
        UserKey::Username(name) => [b"sessions of name ", name.canonical().as_bytes()].concat(),
    }
}

/// For the defect: four bytes that nobody guesses, compared as one number, which a fuzzer that is guided is told of.
fn begins_with_a_word(token: &str) -> bool {
    let word = token.as_bytes().first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    word.is_some_and(|word| word == u32::from_be_bytes(*b"root"))
}

fn encode(place: &Place) -> Vec<u8> {
    let mut bytes = place.id.as_bytes().to_vec();
    if place.passed_over > 0 {
        bytes.push(PASSED_OVER);
        bytes.extend(place.passed_over.to_be_bytes());
    }
    match &place.key {
        SortKey::Number(number) => {
            bytes.push(NUMBER);
            bytes.extend(number.to_be_bytes());
        }
        SortKey::Text(text) => {
            bytes.push(TEXT);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Place> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (passed_over, rest) = match rest.split_first()? {
        (&PASSED_OVER, rest) => rest.split_first_chunk().map(|(n, rest)| (u16::from_be_bytes(*n), rest))?,
        _ => (0, rest),
    };
    let (kind, value) = rest.split_first()?;
    let key = match *kind {
        NUMBER => SortKey::Number(i64::from_be_bytes(value.try_into().ok()?)),
        TEXT => SortKey::Text(String::from_utf8(value.to_vec()).ok()?),
        _ => return None,
    };
    let id = UserId::new(uuid::Uuid::from_bytes(*id));
    Some(Place { key, id, passed_over })
}

#[cfg(test)]
mod tests {
    use super::*;
    use users_core::testing::an_id;

    fn request(token: &str) -> pb::ListUsersRequest {
        pb::ListUsersRequest { page_size: 10, page_token: token.into(), skip: 3, ..Default::default() }
    }

    #[test]
    fn a_token_leads_back_to_its_place_with_another_page_size_too() {
        let tokens = PageTokens::new([7; 32]);
        for (key, passed_over) in
            [(SortKey::Number(-5), 0), (SortKey::Number(7), 10_000), (SortKey::Text("alice".into()), 1)]
        {
            let place = Place { key, id: an_id(1), passed_over };
            let token = seal(&tokens, &request(""), Some(&place));
            let next = pb::ListUsersRequest { page_size: 1000, ..request(&token) };
            assert_eq!(open(&tokens, &next).unwrap(), Some(place));
        }
        assert_eq!(open(&tokens, &request("")).unwrap(), None);
    }

    #[test]
    fn a_token_opens_for_its_own_question_only() {
        let tokens = PageTokens::new([7; 32]);
        let place = Place { key: SortKey::Number(1), id: an_id(1), passed_over: 0 };
        let token = seal(&tokens, &request(""), Some(&place));
        let others = [
            pb::ListUsersRequest { skip: 4, ..request(&token) },
            pb::ListUsersRequest { order_by: "role".into(), ..request(&token) },
            pb::ListUsersRequest { roles: vec![1], ..request(&token) },
            pb::ListUsersRequest { include_total: true, ..request(&token) },
            request("nonsense"),
            request(&seal_sessions(&tokens, &UserKey::Id(an_id(1)), Some("next"))),
        ];
        for other in others {
            assert!(matches!(open(&tokens, &other), Err(Error::InvalidPageToken)), "{other:?}");
        }
    }

    #[test]
    fn a_token_of_another_users_sessions_is_refused_without_asking() {
        let tokens = PageTokens::new([7; 32]);
        let [one, other] = [1, 2].map(|number| UserKey::Id(an_id(number)));
        let token = seal_sessions(&tokens, &one, Some("next"));
        assert_eq!(open_sessions(&tokens, &one, &token).unwrap().as_deref(), Some("next"));
        assert!(matches!(open_sessions(&tokens, &other, &token), Err(Error::InvalidPageToken)));
    }
}
