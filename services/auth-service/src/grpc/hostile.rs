//! Bodies that nobody should send, to every rpc of both listeners, by the way that real ones take: decoding, parsing, the use
//! case over fakes, the status.

use std::convert::Infallible;

use api::Rpc;
use auth_core::testing::World;
use axum::http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use proptest::sample::select;
use test_kit::hostile::{cases_of, protobuf};
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer as _, Service, ServiceExt as _};

use super::*;
use crate::workload::{Allowance, Tokens, Workload};

const WORKLOAD_TOKEN: &str = "sG7uX2kq9vT4wZ1nB8yC3eR6fH0jL5mD";

/// Texts that are valid somewhere.
const TEXTS: [&str; 7] = [
    "alice",
    "correct horse battery staple",
    "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c",
    "00000000-0000-0000-0000-000000000001",
    "00000000000000000000000000000002",
    "first.1",
    "token-0",
];

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    Bearer,
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a small message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A message in its frame, or something that is no frame.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let message = protobuf(&TEXTS);
    prop_oneof![
        8 => message.prop_map(|message| framed(&message)),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

/// What the call is answered, without the body of a stream that does not end.
async fn answer(
    service: impl Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    rpc: Rpc,
    bearer: Option<&str>,
    body: Vec<u8>,
) -> Code {
    let mut request = Request::post(rpc.path()).header("content-type", "application/grpc");
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let request = request.body(Body::new(Full::from(body))).expect("a request");
    let response = service.oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let code = |headers: &axum::http::HeaderMap| {
        headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
    };
    match code(response.headers()) {
        Some(code) => code,
        None if rpc.is_streaming() => Code::Ok,
        None => {
            let collected = response.into_body().collect().await.expect("a body");
            collected.trailers().and_then(code).expect("a status")
        }
    }
}

fn check(rpcs: &'static [Rpc], listener: impl Fn(&World, Rpc) -> Served, good: impl Fn(&World) -> String) {
    let runtime = Runtime::new().expect("a runtime");
    let callers = select(&[Caller::Nobody, Caller::Bearer][..]);
    proptest!(cases_of(600), |(rpc in select(rpcs), caller in callers, body in body())| {
        let world = World::new();
        let code = runtime.block_on(async {
            world.logged_in("alice").await;
            let Served { routes, layer, .. } = listener(&world, rpc);
            let token = good(&world);
            let bearer = (caller == Caller::Bearer).then_some(token.as_str());
            answer(layer.layer(routes.prepare()), rpc, bearer, body).await
        });
        prop_assert!(!matches!(code, Code::Internal | Code::Unknown), "{:?}", code);
        let is_open = matches!(rpc, Rpc::AuthSignUp | Rpc::AuthLogIn);
        if caller == Caller::Nobody && !is_open {
            // What does not decode is not looked at further.
            let refusals = [Code::Unauthenticated, Code::InvalidArgument, Code::ResourceExhausted];
            prop_assert!(refusals.contains(&code), "{:?}", code);
        }
    });
}

fn use_cases(world: &World) -> UseCases<auth_core::testing::Fakes> {
    UseCases {
        commands: Arc::clone(&world.commands),
        queries: Arc::clone(&world.queries),
        page_tokens: Arc::new(PageTokens::new([7; 32])),
        trusted_proxies: Arc::new([]),
    }
}

fn rpcs(of: fn(&Rpc) -> bool) -> &'static [Rpc] {
    Box::leak(Rpc::ALL.into_iter().filter(of).collect::<Box<[Rpc]>>())
}

#[test]
fn whatever_body_an_end_user_sends_is_answered() {
    let of_end_users = rpcs(|rpc| rpc.path().starts_with("/tandem.auth."));
    let listener = |world: &World, _| public(use_cases(world), false).expect("a listener");
    check(of_end_users, listener, |_| "token-0".to_owned());
}

#[test]
fn whatever_body_a_workload_sends_is_answered() {
    let runtime = Runtime::new().expect("a runtime");
    let of_workloads = rpcs(|rpc| rpc.path().starts_with("/tandem.identity."));
    let listener = |world: &World, _| {
        let workload = Workload {
            name: "users-service".to_owned(),
            tokens: Some(Tokens::fixed(WORKLOAD_TOKEN.into())),
            san: None,
            allowance: Allowance::Full,
        };
        // The outer runtime waits for this one.
        let workloads = std::thread::scope(|scope| {
            let follows = scope.spawn(|| runtime.block_on(Workloads::follow(&[workload])));
            follows.join().expect("no panic").expect("a token")
        });
        internal(use_cases(world), workloads).expect("a listener")
    };
    check(of_workloads, listener, |_| WORKLOAD_TOKEN.to_owned());
}
