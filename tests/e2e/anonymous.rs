//! Sign-up and log-in are for those who are not logged in, and ignore a token that is no good.

use api::auth::{LogInRequest, LogOutRequest, SignUpRequest};
use e2e::{PASSWORD, Pair, sign_up};

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn whoever_is_logged_in_is_told_so_before_anything_else_is_looked_at() {
    let app = Pair::start().await;
    let nonsense = SignUpRequest { username: "x".into(), password: String::new(), request_id: "y".into() };
    app.user.refused("ALREADY_AUTHENTICATED", nonsense).await;
    app.user.refused("ALREADY_AUTHENTICATED", log_in("x", "")).await;
    app.user.refused("ALREADY_AUTHENTICATED", sign_up("newcomer")).await;
    app.anonymous.ok(sign_up("newcomer")).await;
}

#[tokio::test]
async fn being_told_so_does_not_renew_the_session() {
    let app = Pair::start().await;
    app.clock.advance(chrono::TimeDelta::minutes(29));
    let told = app.user.refused("ALREADY_AUTHENTICATED", log_in("alice", PASSWORD)).await;
    assert_eq!(told.renewed(), None);
    app.clock.advance(chrono::TimeDelta::minutes(2));
    app.user.ok(log_in("alice", PASSWORD)).await;
}

#[tokio::test]
async fn a_token_that_is_no_good_is_ignored() {
    let app = Pair::start().await;
    let ended = app.log_in("alice").await;
    ended.ok(LogOutRequest {}).await;
    let anonymous = &app.anonymous;
    let useless = [
        anonymous.bearer("nonsense"),
        anonymous.with("authorization", "Bearer"),
        anonymous.with("authorization", &format!("Basic {}", app.user.token)),
        app.user.with("authorization", &format!("Bearer {}", app.user.token)),
        (*ended).clone(),
    ];
    for (number, caller) in useless.iter().enumerate() {
        caller.ok(sign_up(&format!("newcomer{number}"))).await;
        caller.ok(log_in("alice", PASSWORD)).await;
    }
}
