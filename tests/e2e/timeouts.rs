//! How sessions age: by idleness, sliding with use, and absolutely. The clock is moved, nothing is waited for.

use api::auth::{
    GetCurrentSessionRequest, ListSessionsRequest, RefreshSessionRequest, RevokeAllSessionsRequest, Session,
};
use api::identity::{AuthenticateRequest, DenialReason, authenticate_response::Outcome};
use api::users::GetCurrentUserRequest;
use chrono::TimeDelta;
use e2e::{Caller, Pair, Person, Settings};

async fn current(caller: &Caller) -> Session {
    caller.ok(GetCurrentSessionRequest {}).await.message.session.expect("a session")
}

fn seconds(time: Option<prost_types::Timestamp>) -> i64 {
    time.expect("a time").seconds
}

async fn denial(app: &Pair, person: &Person) -> Option<DenialReason> {
    let request = AuthenticateRequest { access_token: person.token.clone(), skip_renewal: false };
    match app.verify.ok(request).await.message.outcome.expect("an outcome") {
        Outcome::Principal(_) => None,
        Outcome::Denied(denial) => Some(denial.reason()),
    }
}

#[tokio::test]
async fn a_session_ends_after_thirty_idle_minutes() {
    let app = Pair::start().await;
    let session = &app.user.session;
    assert!((1799..=1800).contains(&(seconds(session.expire_time) - seconds(session.create_time))));
    app.clock.advance(TimeDelta::seconds(1798));
    app.user.with("x", "y").ok(GetCurrentUserRequest { skip_renewal: true, ..Default::default() }).await;
    app.clock.advance(TimeDelta::seconds(2));
    app.user.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    app.user.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    assert_eq!(denial(&app, &app.user).await, Some(DenialReason::Expired));
    let again = app.log_in("alice").await;
    let listed = again.ok(ListSessionsRequest::default()).await.message.sessions;
    assert_eq!(listed.len(), 1, "an expired session is not listed");
    assert_eq!(again.ok(RevokeAllSessionsRequest { keep_current: true }).await.message.revoked_count, 0);
}

#[tokio::test]
async fn a_session_that_is_used_goes_on_and_an_older_token_stays_good_until_its_own_end() {
    let app = Pair::start().await;
    app.clock.advance(TimeDelta::minutes(25));
    let (token, _) = app.user.ok(GetCurrentSessionRequest {}).await.renewed().expect("a new token");
    app.clock.advance(TimeDelta::minutes(4));
    app.user.ok(GetCurrentSessionRequest {}).await;
    app.clock.advance(TimeDelta::minutes(2));
    app.user.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let renewed = app.anonymous.bearer(&token);
    assert_eq!(current(&renewed).await.session_id, app.user.session.session_id);
}

#[tokio::test]
async fn no_use_carries_a_session_beyond_its_absolute_end() {
    let settings =
        Settings::default().auth("SESSION__ABSOLUTE_TIMEOUT", "1h").auth("SESSION__IDLE_TIMEOUT", "20m");
    let app = Pair::start_with(settings).await;
    let mut caller = (*app.user).clone();
    let end = seconds(app.user.session.absolute_expire_time);
    assert_eq!(end - seconds(app.user.session.create_time), 3600);
    for _ in 0..5 {
        app.clock.advance(TimeDelta::minutes(11));
        let refreshed = caller.ok(RefreshSessionRequest {}).await.message;
        let session = refreshed.session.expect("a session");
        assert!(seconds(session.expire_time) <= end);
        caller = app.anonymous.bearer(&refreshed.access_token);
    }
    assert_eq!(seconds(current(&caller).await.expire_time), end);
    app.clock.advance(TimeDelta::seconds(295));
    let last = caller.ok(GetCurrentSessionRequest {}).await;
    assert_eq!(last.renewed(), None, "a new token would not live longer");
    app.clock.advance(TimeDelta::seconds(10));
    caller.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn a_refresh_extends_the_session_whenever_it_is_asked_for() {
    let app = Pair::start().await;
    app.clock.advance(TimeDelta::minutes(1));
    let refreshed = app.user.ok(RefreshSessionRequest {}).await.message;
    let session = refreshed.session.expect("a session");
    assert_eq!(session.session_id, app.user.session.session_id);
    assert_eq!(session.authenticated_time, app.user.session.authenticated_time);
    assert!((59..=61).contains(&(seconds(session.expire_time) - seconds(app.user.session.expire_time))));
    let caller = app.anonymous.bearer(&refreshed.access_token);
    assert_eq!(current(&caller).await.expire_time, session.expire_time);
    app.user.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn the_time_of_last_use_is_exact_to_a_minute() {
    let app = Pair::start().await;
    app.clock.advance(TimeDelta::seconds(30));
    current(&app.user).await;
    assert_eq!(current(&app.user).await.last_used_time, app.user.session.last_used_time);
    app.clock.advance(TimeDelta::seconds(31));
    current(&app.user).await;
    let used = seconds(current(&app.user).await.last_used_time);
    assert!((60..=63).contains(&(used - seconds(app.user.session.last_used_time))));
}

#[tokio::test]
async fn lifetimes_of_a_few_seconds_are_kept() {
    let settings = Settings::default().auth("SESSION__IDLE_TIMEOUT", "9s");
    let app = Pair::start_with(settings).await;
    app.clock.advance(TimeDelta::seconds(10));
    app.user.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    app.log_in("alice").await;
}
