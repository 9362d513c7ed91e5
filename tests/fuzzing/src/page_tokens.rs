//! Page tokens: none opens that was not made here, for the same question.
//!
//! The first byte says what the rest is: 0, a place as it stands in a token, which is sealed; 1, the bytes of a token; 2, a place
//! in a user's sessions as auth-service seals it; 3, the same as users-service does; otherwise the whole input is a token.

use std::sync::LazyLock;

use api::users::ListUsersRequest;
use auth_core::domain::SessionPosition;
use auth_service::fuzzing::{session_position, session_token};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grpc_kit::PageTokens;
use prost::Message as _;
use users_core::domain::UserKey;
use users_core::queries::{Place, SortKey};
use users_core::testing::an_id;
use users_service::fuzzing::{page_token, place, port_token, sessions_token};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "page_tokens",
    run,
    seeds,
    words: &["\0", "\u{1}", "AQ", "\u{1}n", "\u{1}t", "pn", "pt"],
    defect: "page_tokens.a_word_opens",
};

static TOKENS: LazyLock<PageTokens> = LazyLock::new(|| PageTokens::new([7; 32]));

fn questions() -> [ListUsersRequest; 3] {
    let plain = ListUsersRequest { page_size: 10, ..Default::default() };
    let ordered = ListUsersRequest { order_by: "username".into(), roles: vec![1, 2], ..plain.clone() };
    let counted = ListUsersRequest { skip: 3, include_total: true, ..plain.clone() };
    [plain, ordered, counted]
}

fn places() -> [Place; 3] {
    [
        (SortKey::Number(-5), 0),
        (SortKey::Number(1_800_000_000_000_000), 10_000),
        (SortKey::Text("alice".into()), 1),
    ]
    .map(|(key, passed_over)| Place { key, id: an_id(1), passed_over })
}

fn with(question: &ListUsersRequest, token: &str) -> ListUsersRequest {
    ListUsersRequest { page_token: token.to_owned(), ..question.clone() }
}

fn run(input: &[u8]) {
    match input.split_first() {
        Some((0, position)) => sealed(position),
        Some((1, token)) => unsealed(&URL_SAFE_NO_PAD.encode(token)),
        Some((2, position)) => sealed_by_auth(position),
        Some((3, position)) => sealed_by_users(position),
        _ => unsealed(&String::from_utf8_lossy(input)),
    }
}

/// A position that this service has sealed itself: it is read, or refused, and means the same ever after.
fn sealed(position: &[u8]) {
    let question = &questions()[0];
    // As the service binds it: everything of the question but the size of the page and the token.
    let binding =
        [b"users".as_slice(), &ListUsersRequest { page_size: 0, ..question.clone() }.encode_to_vec()]
            .concat();
    let token = TOKENS.seal(&binding, position);
    assert_eq!(TOKENS.open(&binding, &token).as_deref(), Some(position), "another position than was sealed");
    if let Ok(Some(read)) = place(&TOKENS, &with(question, &token)) {
        let again = page_token(&TOKENS, question, &read);
        let reread = place(&TOKENS, &with(question, &again)).expect("a token of its own");
        assert_eq!(reread, Some(read), "another place after it was written and read");
    }
}

/// A place in somebody's sessions: it is read, or refused, and its token is the only one of the place.
fn sealed_by_auth(position: &[u8]) {
    let token = TOKENS.seal(an_id(1).as_bytes(), position);
    if let Some(read) = session_position(&TOKENS, an_id(1), &token) {
        assert_eq!(session_token(&TOKENS, an_id(1), read), token, "another token of the same place");
    }
    assert_eq!(session_position(&TOKENS, an_id(2), &token), None, "opened for somebody else: {token}");
}

/// The same around a token of auth-service's, whatever that is, if it is a text.
fn sealed_by_users(position: &[u8]) {
    let token = TOKENS.seal(&[b"sessions of id ".as_slice(), an_id(1).as_bytes()].concat(), position);
    let read = port_token(&TOKENS, &UserKey::Id(an_id(1)), &token).ok().flatten();
    assert_eq!(read.as_deref(), std::str::from_utf8(position).ok(), "another token than was sealed");
    if let Some(read) = read {
        assert_eq!(sessions_token(&TOKENS, &UserKey::Id(an_id(1)), &read), token);
    }
    let of_another = port_token(&TOKENS, &UserKey::Id(an_id(2)), &token);
    assert!(of_another.is_err(), "opened for somebody else: {token}");
}

fn place_in_sessions() -> SessionPosition {
    let position = [&1_800_000_000_000_000_i64.to_be_bytes()[..], &[b'5'; 32]].concat();
    let token = TOKENS.seal(an_id(1).as_bytes(), &position);
    session_position(&TOKENS, an_id(1), &token).expect("microseconds and the id of a session")
}

/// Of the sessions of one user, by either service.
fn session_tokens() -> [String; 2] {
    let of_auth = session_token(&TOKENS, an_id(1), place_in_sessions());
    let of_users = sessions_token(&TOKENS, &UserKey::Id(an_id(1)), &of_auth);
    [of_auth, of_users]
}

/// A token from outside opens if it was made for the very question, and no place but the one that it was made for.
fn unsealed(token: &str) {
    if token.is_empty() {
        return;
    }
    for question in questions() {
        let made = places().into_iter().find(|place| page_token(&TOKENS, &question, place) == token);
        let opened = place(&TOKENS, &with(&question, token)).ok();
        assert_eq!(opened, made.map(Some), "opened: {token}");
    }
    let [of_auth, of_users] = session_tokens();
    let opened = session_position(&TOKENS, an_id(1), token);
    assert_eq!(opened, (token == of_auth).then(place_in_sessions), "opened: {token}");
    let opened = port_token(&TOKENS, &UserKey::Id(an_id(1)), token).ok().flatten();
    assert_eq!(opened, (token == of_users).then_some(of_auth), "opened: {token}");
}

fn seeds() -> Vec<Vec<u8>> {
    let [question, other, _] = questions();
    let tokens = places().map(|place| page_token(&TOKENS, &question, &place));
    let decoded = |token: &String| URL_SAFE_NO_PAD.decode(token).expect("base64");
    let position = |token: &String| {
        let bytes = decoded(token);
        [&[0], &bytes[1..bytes.len() - 16]].concat()
    };
    let mut seeds: Vec<Vec<u8>> = tokens.iter().map(position).collect();
    seeds.extend(tokens.iter().map(|token| [&[1][..], &decoded(token)].concat()));
    seeds.push(page_token(&TOKENS, &other, &places()[0]).into_bytes());
    seeds.extend(tokens.map(String::into_bytes));
    let of_sessions = session_tokens();
    let positions = of_sessions.iter().zip([2, 3]).map(|(token, kind)| {
        let bytes = decoded(token);
        [&[kind], &bytes[1..bytes.len() - 16]].concat()
    });
    seeds.extend(positions);
    seeds.extend(of_sessions.map(String::into_bytes));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_sealed_here_as_the_service_seals_it() {
        let [question, ..] = questions();
        let seed = &seeds()[0];
        let binding =
            [b"users".as_slice(), &ListUsersRequest { page_size: 0, ..question.clone() }.encode_to_vec()]
                .concat();
        assert_eq!(TOKENS.seal(&binding, &seed[1..]), page_token(&TOKENS, &question, &places()[0]));
    }

    #[test]
    fn places_in_sessions_are_sealed_here_as_the_services_seal_them() {
        let [of_auth, of_users] = session_tokens();
        let seeds = seeds();
        let position = |kind| &seeds.iter().find(|seed| seed[0] == kind).unwrap()[1..];
        assert_eq!(TOKENS.seal(an_id(1).as_bytes(), position(2)), of_auth);
        let binding = [b"sessions of id ".as_slice(), an_id(1).as_bytes()].concat();
        assert_eq!(TOKENS.seal(&binding, position(3)), of_users);
    }
}
