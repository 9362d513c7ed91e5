//! A user's own sessions: several at once, listed, ended one by one or all.

use api::auth::{
    GetCurrentSessionRequest, ListSessionsRequest, LogOutRequest, RevokeAllSessionsRequest,
    RevokeSessionRequest, Session,
};
use api::users::{ListUserSessionsRequest, RevokeUserSessionsRequest, UserRole};
use chrono::TimeDelta;
use e2e::{Caller, PASSWORD, Pair, Settings, by_id};
use futures::future::join_all;

async fn own_sessions(caller: &Caller) -> Vec<Session> {
    let mut sessions = Vec::new();
    let mut request = ListSessionsRequest { page_size: 3, page_token: String::new() };
    loop {
        let page = caller.ok(request.clone()).await.message;
        sessions.extend(page.sessions);
        if page.next_page_token.is_empty() {
            return sessions;
        }
        request.page_token = page.next_page_token;
    }
}

fn ids(sessions: &[Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.session_id.as_str()).collect()
}

#[tokio::test]
async fn several_devices_are_listed_newest_first_and_one_of_them_is_this() {
    let app = Pair::start().await;
    let mut devices = vec![app.user.clone()];
    for _ in 0..6 {
        app.clock.advance(TimeDelta::seconds(1));
        devices.push(app.log_in("alice").await);
    }
    let newest_first: Vec<_> =
        devices.iter().rev().map(|device| device.session.session_id.as_str()).collect();
    let listed = own_sessions(&devices[2]).await;
    assert_eq!(ids(&listed), newest_first);
    let current: Vec<_> = listed.iter().filter(|session| session.current).cloned().collect();
    assert_eq!(ids(&current), [devices[2].session.session_id.as_str()]);
    for session in &listed {
        assert_eq!(session.user_id, app.user.id);
        assert_eq!(session.session_id.len(), 32);
        assert_eq!(session.peer_address, "127.0.0.1");
        assert!(session.user_agent.contains("tonic"), "{}", session.user_agent);
        assert_eq!(session.create_time, session.authenticated_time);
    }
    let request =
        ListUserSessionsRequest { user: by_id(&app.user.id), page_size: 100, page_token: String::new() };
    let by_admin = app.admin.ok(request).await.message.sessions;
    assert_eq!(by_admin.iter().map(|session| session.session_id.as_str()).collect::<Vec<_>>(), newest_first);
}

#[tokio::test]
async fn a_session_that_was_logged_out_is_over_and_the_others_go_on() {
    let app = Pair::start().await;
    let other = app.log_in("alice").await;
    other.ok(LogOutRequest {}).await;
    other.refused("UNAUTHENTICATED", LogOutRequest {}).await;
    other.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    assert_eq!(ids(&own_sessions(&app.user).await), [app.user.session.session_id.as_str()]);
}

#[tokio::test]
async fn a_token_that_was_good_a_moment_ago_ends_with_its_session_and_with_its_time() {
    let app = Pair::start().await;
    let device = app.log_in("alice").await;
    let used = async |device: &Caller| {
        for _ in 0..3 {
            device.ok(GetCurrentSessionRequest {}).await;
        }
    };
    used(&device).await;
    app.user.ok(RevokeSessionRequest { session_id: device.session.session_id.clone() }).await;
    device.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;

    let device = app.log_in("alice").await;
    used(&device).await;
    app.clock.advance(TimeDelta::hours(1));
    device.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn a_user_ends_its_own_sessions_and_nobody_elses() {
    let app = Pair::start().await;
    let other = app.log_in("alice").await;
    let revoke = |id: &str| RevokeSessionRequest { session_id: id.into() };
    app.user.ok(revoke(&other.session.session_id)).await;
    other.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    for gone in [other.session.session_id.as_str(), "nonsense", &"0".repeat(32)] {
        app.user.ok(revoke(gone)).await;
    }
    let of_admin = &app.admin.session.session_id;
    let refusal = app.user.refused("SESSION_NOT_FOUND", revoke(of_admin)).await;
    assert_eq!(refusal.resource, Some(("tandem.auth.v1.Session".into(), of_admin.clone())));
    app.admin.ok(GetCurrentSessionRequest {}).await;
    assert_eq!(app.user.refused("INVALID_FIELD", revoke("")).await.broken(), [("session_id", "REQUIRED")]);
    app.user.ok(revoke(&app.user.session.session_id)).await;
    app.user.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn all_sessions_end_but_this_one_or_with_it() {
    let app = Pair::start().await;
    let (second, third) = (app.log_in("alice").await, app.log_in("alice").await);
    let revoked = second.ok(RevokeAllSessionsRequest { keep_current: true }).await.message.revoked_count;
    assert_eq!(revoked, 2);
    for over in [&app.user, &third] {
        over.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    }
    app.log_in("alice").await;
    let revoked = second.ok(RevokeAllSessionsRequest { keep_current: false }).await.message.revoked_count;
    assert_eq!(revoked, 2);
    second.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    app.admin.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn an_admin_ends_one_or_all_sessions_of_a_user() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let others = [app.log_in(&bob.username).await, app.log_in(&bob.username).await];
    let revoke = |id: &str| RevokeUserSessionsRequest { user: by_id(&bob.id), session_id: id.into() };
    assert_eq!(app.admin.ok(revoke(&bob.session.session_id)).await.message.revoked_count, 1);
    bob.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    for nothing in [bob.session.session_id.as_str(), "nonsense", &app.user.session.session_id] {
        assert_eq!(app.admin.ok(revoke(nothing)).await.message.revoked_count, 0);
    }
    assert_eq!(app.admin.ok(revoke("")).await.message.revoked_count, 2);
    for other in others {
        other.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    }
    app.user.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn the_cap_ends_the_oldest_session() {
    let app = Pair::start_with(Settings::default().auth("SESSION__MAX_PER_USER", "3")).await;
    let mut devices = vec![app.user.clone()];
    for _ in 0..4 {
        app.clock.advance(TimeDelta::seconds(1));
        devices.push(app.log_in("alice").await);
    }
    for (place, device) in devices.iter().enumerate() {
        assert_eq!(device.call(GetCurrentSessionRequest {}).await.is_ok(), place >= 2, "device {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_is_exact_under_fifty_parallel_log_ins() {
    let app = Pair::start().await;
    for round in 0..10 {
        let opened = join_all((0..50).map(|_| {
            app.anonymous.ok(api::auth::LogInRequest { username: "alice".into(), password: PASSWORD.into() })
        }))
        .await;
        let alive = join_all(opened.iter().map(async |opened| {
            app.anonymous.bearer(&opened.access_token).call(GetCurrentSessionRequest {}).await.is_ok()
        }))
        .await;
        let alive: Vec<_> =
            opened.iter().zip(alive).filter_map(|(opened, alive)| alive.then_some(opened)).collect();
        assert_eq!(alive.len(), 20, "round {round}");
        let listed = own_sessions(&app.anonymous.bearer(&alive[0].access_token)).await;
        assert_eq!(listed.len(), 20, "round {round}");
    }
}

#[tokio::test]
async fn a_user_agent_is_kept_as_its_first_printable_characters() {
    let app = Pair::start().await;
    // tonic puts its own user agent behind what a channel is told, so what is cut off is ours to see.
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", app.listeners()[0]))
        .expect("an address")
        .user_agent("x".repeat(300))
        .expect("a user agent");
    let mut client = api::auth::auth_service_client::AuthServiceClient::new(
        endpoint.connect().await.expect("a connection"),
    );
    let request = api::auth::LogInRequest { username: "alice".into(), password: PASSWORD.into() };
    let session = client.log_in(request).await.expect("logged in").into_inner().session.expect("a session");
    assert_eq!(session.user_agent, "x".repeat(256));
}
