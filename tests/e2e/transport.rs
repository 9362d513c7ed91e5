//! What never reaches a handler, and what is not ours to answer: deadlines, sizes, bodies, methods, reflection, health.

use api::auth::auth_service_client::AuthServiceClient;
use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, SignUpRequest};
use api::users::users_service_client::UsersServiceClient;
use api::users::{CreateUserRequest, ListUsersRequest, SetUserPasswordRequest, UserRole};
use e2e::{AUTH, Failure, IDENTITY, PASSWORD, Pair, Settings, USERS, by_id, get, patient};
use futures::future::join_all;
use http::uri::PathAndQuery;
use serde_json::Value;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_reflection::pb::v1alpha;

/// Calls a path with a message that may have nothing to do with it.
async fn call<M: prost::Message + 'static>(
    channel: &Channel,
    path: &'static str,
    message: M,
) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let codec = ProstCodec::<M, prost_types::Any>::default();
    client.unary(Request::new(message), PathAndQuery::from_static(path), codec).await.map(drop)
}

fn three(app: &Pair) -> [(&Channel, &'static str, &'static str); 3] {
    let to = app.endpoints();
    [
        (&to.auth, AUTH, "/tandem.auth.v1.AuthService"),
        (&to.internal, IDENTITY, "/tandem.identity.v1.IdentityProviderService"),
        (&to.users, USERS, "/tandem.users.v1.UsersService"),
    ]
}

#[tokio::test]
async fn an_unknown_method_is_called_one_on_every_listener() {
    let app = Pair::start().await;
    for (channel, domain, _) in three(&app) {
        for path in [
            "/tandem.auth.v1.AuthService/DeleteEverything",
            "/tandem.users.v1.UsersService/DeleteEverything",
            "/tandem.identity.v1.IdentityProviderService/DeleteEverything",
            "/tandem.auth.v2.AuthService/LogIn",
            "/x",
        ] {
            let status = call(channel, path, ()).await.expect_err("there is no such method");
            assert_eq!(Failure::of(&status, domain).reason, "UNKNOWN_METHOD", "{path}");
        }
    }
}

#[tokio::test]
async fn the_port_is_not_served_on_any_public_listener() {
    let app = Pair::start().await;
    for (channel, domain) in [(&app.endpoints().auth, AUTH), (&app.endpoints().users, USERS)] {
        let path = "/tandem.identity.v1.IdentityProviderService/GetAccount";
        let status = call(channel, path, ()).await.expect_err("it is not here");
        assert_eq!(Failure::of(&status, domain).reason, "UNKNOWN_METHOD");
    }
    let status = call(&app.endpoints().internal, "/tandem.auth.v1.AuthService/SignUp", ()).await;
    let failure = Failure::of(&status.expect_err("nor is that there"), IDENTITY);
    assert_eq!(failure.reason, "UNKNOWN_METHOD");
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_malformed() {
    let app = Pair::start().await;
    let paths = [
        "/tandem.auth.v1.AuthService/SignUp",
        "/tandem.identity.v1.IdentityProviderService/GetAccount",
        "/tandem.users.v1.UsersService/GetUser",
    ];
    for ((channel, domain, _), path) in three(&app).into_iter().zip(paths) {
        // Field 1 is a string there; as a number it has the wrong wire type.
        let status = call(channel, path, prost_types::Duration { seconds: 1, nanos: 0 }).await;
        let failure = Failure::of(&status.expect_err("it does not decode"), domain);
        assert_eq!(failure.reason, "MALFORMED_REQUEST", "{path}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_called_so() {
    let app = Pair::start().await;
    for size in [64 * 1024, 1024 * 1024] {
        let huge = || "x".repeat(size);
        let request = LogInRequest { username: "alice".into(), password: huge() };
        app.anonymous.refused("REQUEST_TOO_LARGE", request).await;
        let request = ListUsersRequest { page_token: huge(), ..Default::default() };
        app.admin.refused("REQUEST_TOO_LARGE", request).await;
        let request = api::identity::CheckCredentialRequest { username: String::new(), password: huge() };
        app.full.refused("REQUEST_TOO_LARGE", request).await;
        let request = SignUpRequest { username: "newcomer".into(), password: huge(), ..Default::default() };
        app.anonymous.refused("REQUEST_TOO_LARGE", request).await;
        let request = ChangePasswordRequest { current_password: PASSWORD.into(), new_password: huge() };
        app.user.refused("REQUEST_TOO_LARGE", request).await;
        let request =
            CreateUserRequest { username: "newcomer".into(), password: huge(), ..Default::default() };
        app.admin.refused("REQUEST_TOO_LARGE", request).await;
        let request = SetUserPasswordRequest { user: by_id(&app.user.id), password: huge() };
        app.admin.refused("REQUEST_TOO_LARGE", request).await;
    }
    let request = LogInRequest { username: "alice".into(), password: "x".repeat(60 * 1024) };
    assert_eq!(app.anonymous.refused("INVALID_FIELD", request).await.broken(), [("password", "TOO_LONG")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_deadline_passes_is_told_so_by_the_server() {
    // One hash after the other, each of which takes longer than anybody here waits.
    let settings = Settings::default()
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "16")
        .auth("PASSWORD__MAX_PARALLEL_HASHES", "1");
    let app = Pair::start_with(settings).await;
    let [address, ..] = app.listeners();
    let origin: http::Uri = format!("http://{address}").parse().expect("an address");
    let client = AuthServiceClient::with_origin(patient(address).await, origin);
    let hurried = app.anonymous.with("grpc-timeout", "150m");
    let calls = join_all((0..8).map(async |_| {
        let request = LogInRequest { username: "alice".into(), password: PASSWORD.into() };
        client.clone().log_in(hurried.request(request)).await
    }));
    let refused = calls.await.into_iter().filter_map(Result::err);
    let reasons: Vec<_> = refused.map(|status| Failure::of(&status, AUTH).reason).collect();
    // Whoever finds somebody else's hash in front hears at once that it would be late.
    let honest = |reason: &String| ["DEADLINE_EXCEEDED", "HASHER_BUSY"].contains(&reason.as_str());
    assert!(
        reasons.iter().all(honest) && reasons.iter().any(|reason| reason == "DEADLINE_EXCEEDED"),
        "{reasons:?}"
    );
    app.user.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_deadline_passes_is_no_denial_and_can_be_repeated() {
    let settings = Settings::default()
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "4")
        .auth("PASSWORD__MAX_PARALLEL_HASHES", "1");
    let app = Pair::start_with(settings).await;
    let [.., address] = app.listeners();
    let origin: http::Uri = format!("http://{address}").parse().expect("an address");
    let mut client = UsersServiceClient::with_origin(patient(address).await, origin);
    let request = CreateUserRequest {
        username: "worker".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c".into(),
    };
    for timeout in ["1n", "1m", "30m", "60m", "100m"] {
        let hurried = app.super_admin.with("grpc-timeout", timeout);
        let Err(status) = client.create_user(hurried.request(request.clone())).await else { continue };
        let failure = Failure::of(&status, USERS);
        let honest = ["DEADLINE_EXCEEDED", "IDENTITY_PROVIDER_UNAVAILABLE", "HASHER_BUSY"]
            .contains(&failure.reason.as_str());
        assert!(honest, "{timeout}: {failure:?}");
    }
    app.super_admin.ok(request).await;
    let all = ListUsersRequest { username_prefix: "worker".into(), ..Default::default() };
    let found = app.admin.ok(all).await.message.users;
    assert_eq!(found.iter().map(api::users::User::role).collect::<Vec<_>>(), [UserRole::Admin]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_too_long_for_a_hash_is_told_to_come_again() {
    let settings = Settings::default()
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "4")
        .auth("PASSWORD__MAX_PARALLEL_HASHES", "1")
        .auth("PASSWORD__QUEUE_WAIT", "50ms");
    let app = Pair::start_with(settings).await;
    let request = LogInRequest { username: "alice".into(), password: PASSWORD.into() };
    let calls = join_all((0..8).map(|_| app.anonymous.call(request.clone()))).await;
    let failures: Vec<_> = calls.into_iter().filter_map(Result::err).collect();
    assert!(!failures.is_empty() && failures.len() < 8, "the first one at least is served");
    for failure in failures {
        assert_eq!(failure.reason, "HASHER_BUSY", "{failure:?}");
    }
    app.log_in("alice").await;
}

async fn reflected(channel: &Channel, request: MessageRequest) -> ServerReflectionResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers =
        client.server_reflection_info(tokio_stream::once(request)).await.expect("reflection is served");
    answers.into_inner().message().await.expect("an answer").expect("one answer")
}

async fn services(channel: &Channel) -> Vec<String> {
    let answer = reflected(channel, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let mut names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    names.retain(|name| !name.starts_with("grpc.reflection."));
    names
}

#[tokio::test]
async fn reflection_lists_what_the_listener_serves_and_resolves_error_details() {
    let app = Pair::start().await;
    let to = app.endpoints();
    assert_eq!(services(&to.auth).await, ["grpc.health.v1.Health", "tandem.auth.v1.AuthService"]);
    assert_eq!(services(&to.users).await, ["grpc.health.v1.Health", "tandem.users.v1.UsersService"]);
    for channel in [&to.auth, &to.users] {
        for symbol in ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RequestInfo"] {
            let answer = reflected(channel, MessageRequest::FileContainingSymbol(symbol.into())).await;
            let found = matches!(answer.message_response, Some(MessageResponse::FileDescriptorResponse(_)));
            assert!(found, "{symbol}: {answer:?}");
        }
    }
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(to.users.clone());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let answers =
        old.server_reflection_info(tokio_stream::once(request)).await.expect("v1alpha is served too");
    assert!(answers.into_inner().message().await.expect("an answer").is_some());
    let refused = ServerReflectionClient::new(to.internal.clone())
        .server_reflection_info(tokio_stream::once(ServerReflectionRequest::default()))
        .await;
    assert_eq!(refused.expect_err("not on the internal listener").code(), Code::Unimplemented);
}

#[tokio::test]
async fn reflection_can_be_turned_off() {
    let settings =
        Settings::default().auth("SERVER__REFLECTION", "false").users("SERVER__REFLECTION", "false");
    let app = Pair::start_with(settings).await;
    for channel in [&app.endpoints().auth, &app.endpoints().users] {
        let refused = ServerReflectionClient::new(channel.clone())
            .server_reflection_info(tokio_stream::once(ServerReflectionRequest::default()))
            .await;
        assert_eq!(refused.expect_err("it is off").code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn every_listener_says_how_it_is() {
    let app = Pair::start().await;
    for (channel, _, path) in three(&app) {
        let mut health = HealthClient::new(channel.clone());
        for service in ["", &path[1..]] {
            let answer = health.check(HealthCheckRequest { service: service.into() }).await.expect("known");
            assert_eq!(answer.get_ref().status(), ServingStatus::Serving, "{service}");
        }
        let unknown = health.check(HealthCheckRequest { service: "no.such.Service".into() }).await;
        assert_eq!(unknown.expect_err("unknown").code(), Code::NotFound);
    }
    for address in [app.auth_ops(), app.users_ops()] {
        assert_eq!(get(address, "/livez").await.0, 200);
        assert_eq!(get(address, "/readyz").await.0, 200);
        assert_eq!(get(address, "/nothing").await.0, 404);
    }
}

#[tokio::test]
async fn the_jwks_has_the_key_that_signs_and_no_private_one() {
    let app = Pair::start().await;
    let (status, body) = get(app.auth_ops(), "/.well-known/jwks.json").await;
    assert_eq!(status, 200);
    let jwks: Value = serde_json::from_str(&body).expect("JSON");
    let keys = jwks["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 1);
    for (field, value) in [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA"), ("use", "sig")] {
        assert_eq!(keys[0][field], value);
    }
    assert!(keys[0].get("d").is_none(), "{body}");
    assert_eq!(header_of(&app.user.token)["kid"], keys[0]["kid"]);
    assert_eq!(get(app.users_ops(), "/.well-known/jwks.json").await.0, 404);
}

#[tokio::test]
async fn a_token_has_exactly_the_claims_of_the_contract() {
    let app = Pair::start().await;
    let header = header_of(&app.user.token);
    assert_eq!((&header["alg"], &header["typ"]), (&Value::from("EdDSA"), &Value::from("at+jwt")));
    let claims = part_of(&app.user.token, 1);
    let mut names: Vec<_> = claims.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "auth_time", "exp", "iat", "iss", "sid", "sub"]);
    assert_eq!(claims["sub"], app.user.id);
    assert_eq!(claims["sid"], app.user.session.session_id);
    assert_eq!(claims["exp"], app.user.session.expire_time.expect("a time").seconds);
    assert_eq!(claims["auth_time"], app.user.session.authenticated_time.expect("a time").seconds);
}

fn header_of(token: &str) -> Value {
    part_of(token, 0)
}

fn part_of(token: &str, number: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(number).expect("three parts");
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).expect("base64");
    serde_json::from_slice(&json).expect("JSON")
}
