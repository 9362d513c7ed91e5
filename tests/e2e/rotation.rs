//! Signing keys, peppers and hash parameters are replaced one after the other, and nobody is logged out or shut out.

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{GetUserRequest, User};
use auth_service::SigningKey;
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, by_id, eventually, get};
use secrecy::ExposeSecret as _;
use serde_json::Value;

async fn restart_auth(app: &mut Pair) {
    app.stop_auth().await;
    app.start_auth().await;
    eventually("the connection to be made again", async || {
        app.super_admin.call(api::users::GetCurrentUserRequest::default()).await.ok()
    })
    .await;
}

async fn alice(app: &Pair) -> User {
    let request = GetUserRequest { user: by_id(&app.user.id), consistency_token: String::new() };
    app.super_admin.ok(request).await.message.user.expect("a user")
}

async fn key_ids(app: &Pair) -> Vec<Value> {
    let jwks: Value =
        serde_json::from_str(&get(app.auth_ops(), "/.well-known/jwks.json").await.1).expect("JSON");
    jwks["keys"].as_array().expect("keys").iter().map(|key| key["kid"].clone()).collect()
}

#[tokio::test]
async fn tokens_of_a_key_that_only_verifies_stay_good_and_those_of_a_forgotten_one_do_not() {
    let mut app = Pair::start().await;
    let old = app.home().join("signing-key.pem").display().to_string();
    let old_ids = key_ids(&app).await;
    let new = app.write("new-key.pem", SigningKey::generate_pem().expect("a key").expose_secret());

    app.tell_auth("TOKEN__SIGNING_KEY_FILE", &new);
    app.tell_auth("TOKEN__VERIFICATION_KEY_FILES", &old);
    restart_auth(&mut app).await;
    let ids = key_ids(&app).await;
    assert_eq!((ids.len(), &ids[1]), (2, &old_ids[0]));
    app.user.ok(GetCurrentSessionRequest {}).await;
    let newer = app.log_in("alice").await;

    app.tell_auth("TOKEN__VERIFICATION_KEY_FILES", &new);
    app.super_admin = app.log_in("superadmin").await;
    restart_auth(&mut app).await;
    assert_eq!(key_ids(&app).await, ids[..1]);
    app.user.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    newer.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn a_pepper_can_be_forgotten_once_everybody_has_logged_in_with_the_next() {
    let mut app = Pair::start().await;
    let first = std::fs::read_to_string(app.home().join("peppers")).expect("peppers");
    let second = first.replace("p1:", "p2:").replace(&first[3..9], "AAAAAA");
    let _ = app.write("peppers", &format!("{second},{first}"));
    restart_auth(&mut app).await;
    let before = alice(&app).await;
    app.clock.advance(TimeDelta::seconds(5));
    app.log_in("alice").await;
    assert_eq!(alice(&app).await, before, "a rehash is no change of the user");

    let _ = app.write("peppers", &second);
    restart_auth(&mut app).await;
    app.log_in("alice").await;
    // The hash of the admin, who has not logged in since, cannot be checked: that is not the admin's fault.
    let request = LogInRequest { username: "admin".into(), password: PASSWORD.into() };
    assert_eq!(app.anonymous.raw(request).await.expect_err("no pepper").code(), tonic::Code::Internal);
    app.user.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn dearer_hashes_are_made_at_the_next_log_in_and_change_no_user() {
    let mut app = Pair::start().await;
    let before = alice(&app).await;
    app.tell_auth("PASSWORD__ARGON2_ITERATIONS", "2");
    restart_auth(&mut app).await;
    app.log_in("alice").await;
    app.log_in("alice").await;
    let request = LogInRequest { username: "alice".into(), password: "wrong".into() };
    app.anonymous.refused("INVALID_CREDENTIALS", request).await;
    assert_eq!(alice(&app).await, before);
}
