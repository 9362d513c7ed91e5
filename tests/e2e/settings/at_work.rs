//! What settings do that no other test is about.

use std::time::{Duration, Instant};

use api::auth::GetCurrentSessionRequest;
use api::identity::{CheckCredentialRequest, GetAccountRequest, RevokeSessionsRequest};
use api::users::GetCurrentUserRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::{Caller, Engine, Pair, Processes, Service, Settings, by_id};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::crashes::BINARIES;

async fn restart(app: &mut Pair) {
    app.stop_users().await;
    app.stop_auth().await;
    app.start_auth().await;
    app.start_users().await;
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON")
}

async fn is_let_in(caller: &Caller) {
    caller.ok(GetCurrentSessionRequest {}).await;
    caller.ok(GetCurrentUserRequest::default()).await;
}

async fn is_a_stranger(caller: &Caller) {
    caller.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    caller.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
}

#[tokio::test]
async fn tokens_say_who_made_them_and_for_whom_and_those_of_others_are_refused() {
    let ours = [("TOKEN__ISSUER", "https://accounts.example"), ("TOKEN__AUDIENCE", "shop")];
    let settings = ours.iter().fold(Settings::default(), |settings, (key, value)| settings.auth(key, value));
    let mut app = Pair::start_with(settings).await;
    let said = claims(&app.user.token);
    assert_eq!((&said["iss"], &said["aud"]), (&Value::from(ours[0].1), &Value::from(ours[1].1)));
    is_let_in(&app.user).await;
    for (key, value) in ours {
        app.tell_auth(key, "somebody.else");
        restart(&mut app).await;
        is_a_stranger(&app.user).await;
        is_let_in(&*app.log_in("alice").await).await;
        app.tell_auth(key, value);
        restart(&mut app).await;
        is_let_in(&app.user).await;
    }
}

/// Of digits only: in the environment that looks like a number.
#[tokio::test]
async fn one_token_on_each_side_is_enough_for_a_workload_that_may_do_everything() {
    let token = "7305924618".repeat(4);
    let mut settings = Settings::default();
    for client in 0..2 {
        for key in ["NAME", "TOKEN_FILE", "ALLOW"] {
            settings = settings.auth(&format!("WORKLOAD__CLIENTS__{client}__{key}"), "");
        }
    }
    let settings = settings
        .auth("WORKLOAD__TOKEN", &token)
        .users("IDENTITY_PROVIDER__TOKEN", &token)
        .users("IDENTITY_PROVIDER__TOKEN_FILE", "");
    let app = Pair::start_with(settings).await;
    is_let_in(&app.user).await;
    let workload = app.anonymous.bearer(&token);
    workload.ok(GetAccountRequest { key: by_id(&app.user.id) }).await;
    let revoke = RevokeSessionsRequest { account_id: app.user.id.clone(), ..Default::default() };
    workload.ok(revoke).await;
    for stranger in [&app.full, &app.verify, &app.anonymous.bearer(&token[1..])] {
        stranger.refused("WORKLOAD_UNAUTHENTICATED", CheckCredentialRequest::default()).await;
    }
}

#[tokio::test]
async fn secrets_and_urls_are_the_same_in_their_place_and_in_a_file() {
    let mut app = Pair::start().await;
    for service in [Service::Auth, Service::Users] {
        let file = app.write(&format!("{service:?}-url"), &format!("{}\n", app.data().url(service)));
        let tell = |app: &mut Pair, key: &str, value: &str| match service {
            Service::Auth => app.tell_auth(key, value),
            Service::Users => app.tell_users(key, value),
        };
        tell(&mut app, "DATABASE__URL", "");
        tell(&mut app, "DATABASE__URL_FILE", &file);
    }
    let peppers = std::fs::read_to_string(app.home().join("peppers")).expect("peppers");
    app.tell_auth("PASSWORD__PEPPERS_FILE", "");
    app.tell_auth("PASSWORD__PEPPERS", &peppers);
    restart(&mut app).await;
    is_let_in(&app.user).await;
    is_let_in(&*app.log_in("alice").await).await;
}

#[tokio::test]
async fn where_auth_service_is_can_be_said_in_a_file() {
    let mut app = Pair::start_with(Settings::on(Settings::default().engine())).await;
    let [_, internal, _] = app.listeners();
    let file = app.write("identity-provider-url", &format!("http://{internal}\n"));
    app.tell_users("IDENTITY_PROVIDER__URL", "");
    app.tell_users("IDENTITY_PROVIDER__URL_FILE", &file);
    restart(&mut app).await;
    is_let_in(&app.user).await;
}

/// Nobody answers there.
#[tokio::test]
async fn auth_service_is_waited_for_as_long_as_the_setting_says() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let mut waits = Vec::new();
    for timeout in ["200ms", "3s"] {
        let settings = Settings::on(Engine::Sqlite)
            .users("IDENTITY_PROVIDER__URL", &url)
            .users("IDENTITY_PROVIDER__TIMEOUT", timeout);
        let pair = Processes::start_with(BINARIES, settings).await;
        let began = Instant::now();
        let caller = pair.anonymous.bearer("a.token");
        caller.refused("IDENTITY_PROVIDER_UNAVAILABLE", GetCurrentUserRequest::default()).await;
        waits.push(began.elapsed());
    }
    assert!(waits[1] >= Duration::from_secs(3) && waits[0] < waits[1], "{waits:?}");
}

/// What is written to is no terminal here.
#[tokio::test]
async fn the_log_has_the_format_that_is_set() {
    for (format, is_json) in [("json", true), ("text", false), ("auto", true), ("", true)] {
        let settings = Settings::on(Engine::Sqlite)
            .logging("info")
            .auth("LOG__FORMAT", format)
            .users("LOG__FORMAT", format);
        let mut pair = Processes::start_with(BINARIES, settings).await;
        pair.anonymous.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
        pair.anonymous.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
        for service in [Service::Users, Service::Auth] {
            pair.terminate(service).await;
            let log = pair.log(service);
            assert!(log.contains("UNAUTHENTICATED"), "{format:?}: {log}");
            for line in log.lines() {
                assert_eq!(serde_json::from_str::<Value>(line).is_ok(), is_json, "{format:?}: {line}");
                assert!(is_json || line.contains(" INFO ") && !line.contains('\u{1b}'), "{format:?}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn plaintext_beyond_loopback_is_served_where_it_is_asked_for() {
    let settings = Settings::on(Engine::Sqlite)
        .auth("SERVER__LISTEN", "0.0.0.0:0")
        .auth("SERVER__INTERNAL_LISTEN", "0.0.0.0:0")
        .users("SERVER__LISTEN", "0.0.0.0:0");
    let asked_for =
        settings.clone().auth("SERVER__ALLOW_PLAINTEXT", "true").users("SERVER__ALLOW_PLAINTEXT", "true");
    let refused = Processes::prepared(BINARIES, settings).await;
    let mut served = Processes::prepared(BINARIES, asked_for).await;
    for service in [Service::Auth, Service::Users] {
        let said = refused.command_output(service, &["serve"]).await;
        let said = (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned());
        assert!(said.0 == Some(1) && said.1.contains("plaintext beyond loopback"), "{said:?}");
        served.run(service, None).await;
        let ended = served.terminate(service).await;
        assert!(ended.iter().all(std::process::ExitStatus::success), "{ended:?}");
    }
}
