//! Bodies that nobody should send, to every rpc, by the way that real ones take: decoding, parsing, the use case over fakes,
//! the status.

use api::Rpc;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use proptest::sample::select;
use test_kit::hostile::{cases_of, protobuf};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer as _, ServiceExt as _};
use users_core::domain::Role;
use users_core::testing::World;

use super::*;

/// Texts that are valid somewhere.
const TEXTS: [&str; 8] = [
    "alice",
    "bobby",
    "correct horse battery staple",
    "0198f0c2-7d1e-7cc3-98a4-000000000000",
    "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c",
    "username asc",
    "create_time desc",
    "AAAAAAAAAAEAAAAAAAAAAWVwb2NoMQ",
];

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A message in its frame, or something that is no frame.
fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => protobuf(&TEXTS).prop_map(|message| framed(&message)),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

async fn answer(served: Served, rpc: Rpc, bearer: Option<&str>, body: Vec<u8>) -> Code {
    let mut request = Request::post(rpc.path()).header("content-type", "application/grpc");
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let request = request.body(Body::new(Full::from(body))).expect("a request");
    let service = served.layer.layer(served.routes.prepare());
    let response = service.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let code = |headers: &HeaderMap| headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    if let Some(code) = code(response.headers()) {
        return code;
    }
    let collected = response.into_body().collect().await.expect("a body");
    collected.trailers().and_then(code).expect("a status")
}

#[test]
fn whatever_body_is_sent_is_answered() {
    let runtime = Runtime::new().expect("a runtime");
    let rpcs: Vec<Rpc> =
        Rpc::ALL.into_iter().filter(|rpc| rpc.path().starts_with("/tandem.users.")).collect();
    let roles = select(&[None, Some(Role::User), Some(Role::SuperAdmin)][..]);
    proptest!(cases_of(800), |(rpc in select(rpcs), role in roles, body in body())| {
        let world = World::new();
        let code = runtime.block_on(async {
            world.user("bobby", Role::User).await;
            let token = match role {
                Some(role) => Some(world.provider.token_of(world.user("alice", role).await.id)),
                None => None,
            };
            let users = Users {
                commands: world.commands(),
                queries: world.queries(),
                page_tokens: PageTokens::new([7; 32]),
            };
            let served = public(users, false).expect("a listener");
            answer(served, rpc, token.as_ref().map(AccessToken::expose), body).await
        });
        prop_assert!(!matches!(code, Code::Internal | Code::Unknown), "{:?}", code);
        if role.is_none() {
            // What does not decode is not looked at further.
            let refusals = [Code::Unauthenticated, Code::InvalidArgument, Code::ResourceExhausted];
            prop_assert!(refusals.contains(&code), "{:?}", code);
        }
        if role == Some(Role::User) {
            let is_about_oneself = matches!(rpc, Rpc::UsersGetCurrentUser | Rpc::UsersGetUser);
            prop_assert!(code != Code::Ok || is_about_oneself, "a user may do this");
        }
    });
}
