//! Request ids, and the renewed token that comes in the metadata.

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, ListSessionsRequest, LogOutRequest,
    RefreshSessionRequest, RevokeAllSessionsRequest, RevokeSessionRequest,
};
use api::identity::{AuthenticateRequest, authenticate_response::Outcome};
use api::users::{GetCurrentUserRequest, ListUsersRequest};
use chrono::{DateTime, TimeDelta};
use e2e::{Caller, PASSWORD, Pair};

async fn request_id_of(caller: &Caller) -> String {
    let reply = caller.ok(GetCurrentUserRequest::default()).await;
    reply.metadata.get("x-request-id").expect("a request id").to_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_request_id_is_echoed_on_success_and_on_errors() {
    let app = Pair::start().await;
    let longest = "~".repeat(64);
    for id in ["r", "order-66/attempt=2", &longest] {
        let user = app.user.with("x-request-id", id);
        assert_eq!(request_id_of(&user).await, id);
        let refused = user.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
        assert_eq!(refused.request_id, id);
        let refused =
            app.anonymous.with("x-request-id", id).refused("UNAUTHENTICATED", LogOutRequest {}).await;
        assert_eq!(refused.request_id, id);
    }
}

#[tokio::test]
async fn a_request_id_that_is_none_is_replaced() {
    let app = Pair::start().await;
    let long = "x".repeat(65);
    let twice = app.user.with("x-request-id", "one").with("x-request-id", "two");
    let bad = ["", "with space", &long].map(|id| app.user.with("x-request-id", id));
    let mut made = Vec::new();
    for caller in bad.iter().chain([&twice, &*app.user]) {
        let id = request_id_of(caller).await;
        assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        assert!(!["one", "two"].contains(&id.as_str()) && !made.contains(&id), "{id}");
        made.push(id);
    }
}

/// A pair whose user's token is in the last fifth of its life.
async fn near_the_end() -> Pair {
    let app = Pair::start().await;
    app.clock.advance(TimeDelta::minutes(29));
    app
}

#[tokio::test]
async fn a_call_near_the_end_of_a_token_brings_a_new_one_that_works() {
    let app = near_the_end().await;
    let by_auth = app.user.ok(GetCurrentSessionRequest {}).await;
    let by_users = app.user.ok(GetCurrentUserRequest::default()).await;
    for (token, expire_time) in [by_auth.renewed(), by_users.renewed()].map(|new| new.expect("a new token")) {
        let renewed = app.anonymous.bearer(&token);
        let seen = renewed.ok(GetCurrentSessionRequest {}).await.message.session.expect("a session");
        assert_eq!(seen.session_id, app.user.session.session_id);
        let told = DateTime::parse_from_rfc3339(&expire_time).expect("RFC 3339").timestamp();
        assert_eq!(seen.expire_time.expect("a time").seconds, told);
        assert!(told > app.user.session.expire_time.expect("a time").seconds);
        assert_eq!(renewed.ok(GetCurrentUserRequest::default()).await.renewed(), None, "it is fresh");
    }
}

#[tokio::test]
async fn a_renewed_token_comes_with_errors_too() {
    let app = near_the_end().await;
    let refused = app.user.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
    let (token, _) = refused.renewed().expect("a new token");
    app.anonymous.bearer(&token).ok(GetCurrentUserRequest::default()).await;
    let bad_page = ListSessionsRequest { page_size: -1, page_token: String::new() };
    let refused = app.user.refused("INVALID_FIELD", bad_page).await;
    let (token, _) = refused.renewed().expect("a new token");
    app.anonymous.bearer(&token).ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test]
async fn a_fresh_token_is_not_renewed() {
    let app = Pair::start().await;
    assert_eq!(app.user.ok(GetCurrentSessionRequest {}).await.renewed(), None);
    app.clock.advance(TimeDelta::minutes(23));
    assert_eq!(app.user.ok(GetCurrentUserRequest::default()).await.renewed(), None);
}

#[tokio::test]
async fn whoever_checks_somebody_elses_token_can_leave_it_as_it_is() {
    let app = near_the_end().await;
    let check = GetCurrentUserRequest { skip_renewal: true, ..Default::default() };
    assert_eq!(app.user.ok(check).await.renewed(), None);
    let mut check = AuthenticateRequest { access_token: app.user.token.clone(), skip_renewal: true };
    assert_eq!(app.verify.ok(check.clone()).await.message.renewed_token, None);
    check.skip_renewal = false;
    let answer = app.verify.ok(check).await.message;
    assert!(matches!(answer.outcome, Some(Outcome::Principal(_))));
    let renewed = answer.renewed_token.expect("a new token");
    app.anonymous.bearer(&renewed.access_token).ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test]
async fn a_call_that_ends_the_session_or_gives_a_token_itself_renews_none() {
    let app = near_the_end().await;
    let other = app.log_in("alice").await;
    assert_eq!(app.user.ok(RefreshSessionRequest {}).await.renewed(), None);
    let other_session = RevokeSessionRequest { session_id: other.session.session_id.clone() };
    assert!(app.user.ok(other_session).await.renewed().is_some(), "the session goes on");
    let own = RevokeSessionRequest { session_id: app.user.session.session_id.clone() };
    assert_eq!(app.user.ok(own).await.renewed(), None);
    let keep = RevokeAllSessionsRequest { keep_current: true };
    assert!(app.admin.ok(keep).await.renewed().is_some(), "the session goes on");
    assert_eq!(app.admin.ok(RevokeAllSessionsRequest { keep_current: false }).await.renewed(), None);
    let change = ChangePasswordRequest {
        current_password: "wrong".into(),
        new_password: "another long secret".into(),
    };
    assert_eq!(app.super_admin.refused("CURRENT_PASSWORD_MISMATCH", change.clone()).await.renewed(), None);
    let change = ChangePasswordRequest { current_password: PASSWORD.into(), ..change };
    let opened = app.super_admin.ok(change).await;
    assert_eq!(opened.renewed(), None);
    let last = app.anonymous.bearer(&opened.access_token);
    app.clock.advance(TimeDelta::minutes(29));
    assert_eq!(last.ok(LogOutRequest {}).await.renewed(), None);
}

#[tokio::test]
async fn an_unauthenticated_call_is_never_told_why() {
    let app = Pair::start().await;
    let ended = app.log_in("alice").await;
    ended.ok(LogOutRequest {}).await;
    let anonymous = &app.anonymous;
    let mut tampered = app.user.token.clone();
    tampered.pop();
    let callers = [
        anonymous.clone(),
        anonymous.bearer("nonsense"),
        anonymous.bearer(&tampered),
        anonymous.with("authorization", &app.user.token),
        app.user.with("authorization", &format!("Bearer {}", app.user.token)),
        (*ended).clone(),
    ];
    let mut by_auth = Vec::new();
    let mut by_users = Vec::new();
    for caller in &callers {
        let failure = caller.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
        by_auth.push((failure.message, failure.details));
        let failure = caller.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
        by_users.push((failure.message, failure.details));
    }
    for answers in [by_auth, by_users] {
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
    }
}

#[tokio::test]
async fn the_scheme_of_a_token_is_read_in_any_case() {
    let app = Pair::start().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let caller = app.anonymous.with("authorization", &format!("{scheme} {}", app.user.token));
        caller.ok(GetCurrentUserRequest::default()).await;
        caller.ok(GetCurrentSessionRequest {}).await;
    }
}
