//! Log-in, and what it tells those who should not be told.

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{InactivateUserRequest, ReactivateUserRequest, UserRole};
use e2e::{PASSWORD, Pair, by_id};
use tonic::metadata::KeyAndValueRef;

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn a_user_logs_in_by_its_name_in_any_case() {
    let app = Pair::start().await;
    let opened = app.anonymous.ok(log_in("ALICE", PASSWORD)).await.message;
    let session = opened.session.expect("a session");
    assert_eq!(session.user_id, app.user.id);
    assert!(session.current);
    let seen = app.anonymous.bearer(&opened.access_token).ok(GetCurrentSessionRequest {}).await.message;
    assert_eq!((seen.username.as_str(), seen.session.expect("a session")), ("alice", session));
}

#[tokio::test]
async fn nobody_learns_whether_a_username_exists() {
    let app = Pair::start().await;
    let inactive = app.somebody(UserRole::User).await;
    app.admin.ok(InactivateUserRequest { user: by_id(&inactive.id), etag: String::new() }).await;
    let attempts = [
        log_in("nobody.at.all", "wrong"),
        log_in("alice", "wrong"),
        log_in("alice", ""),
        log_in(&inactive.username, "wrong"),
    ];
    let mut answers = Vec::new();
    for attempt in attempts {
        let failure = app.anonymous.refused("INVALID_CREDENTIALS", attempt).await;
        let keys: Vec<_> = failure
            .metadata
            .iter()
            .map(|pair| match pair {
                KeyAndValueRef::Ascii(key, _) => key.to_string(),
                KeyAndValueRef::Binary(key, _) => key.to_string(),
            })
            .collect();
        answers.push((failure.message, failure.details, keys));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
}

#[tokio::test]
async fn an_inactive_user_cannot_log_in_and_is_told_so_for_the_right_password_only() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    app.admin.ok(InactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    app.anonymous.refused("ACCOUNT_INACTIVE", log_in(&bob.username, PASSWORD)).await;
    app.anonymous.refused("INVALID_CREDENTIALS", log_in(&bob.username, "wrong")).await;
    app.admin.ok(ReactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    app.log_in(&bob.username).await;
}

#[tokio::test]
async fn only_what_could_never_be_a_credential_is_called_invalid() {
    let app = Pair::start().await;
    let long = "x".repeat(257);
    let failure = app.anonymous.refused("INVALID_FIELD", log_in("a", &long)).await;
    assert_eq!(failure.broken(), [("username", "TOO_SHORT"), ("password", "TOO_LONG")]);
    app.anonymous.refused("INVALID_CREDENTIALS", log_in("alice", &"é".repeat(256))).await;
    app.anonymous.refused("INVALID_CREDENTIALS", log_in("alice", "short")).await;
}
