//! Passwords: one's own, and those that an admin sets.

use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest};
use api::users::{SetUserPasswordRequest, UserRole};
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, by_id, by_name};

const NEW: &str = "another long secret";

fn change(current: &str, new: &str) -> ChangePasswordRequest {
    ChangePasswordRequest { current_password: current.into(), new_password: new.into() }
}

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn every_session_ends_and_one_that_is_new_in_every_respect_is_opened() {
    let app = Pair::start().await;
    let other = app.log_in("alice").await;
    app.clock.advance(TimeDelta::seconds(2));
    let opened = app.user.ok(change(PASSWORD, NEW)).await.message;
    let session = opened.session.expect("a session");
    let old = &app.user.session;
    assert!(session.current);
    assert_ne!(session.session_id, old.session_id);
    assert_ne!(session.create_time, old.create_time);
    assert_ne!(session.authenticated_time, old.authenticated_time);
    assert_ne!(session.absolute_expire_time, old.absolute_expire_time);
    for over in [&app.user, &other] {
        over.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    }
    app.anonymous.bearer(&opened.access_token).ok(GetCurrentSessionRequest {}).await;
    app.anonymous.refused("INVALID_CREDENTIALS", log_in("alice", PASSWORD)).await;
    app.anonymous.ok(log_in("alice", NEW)).await;
}

#[tokio::test]
async fn a_change_that_is_refused_ends_no_session_and_changes_no_password() {
    let app = Pair::start().await;
    app.user.refused("CURRENT_PASSWORD_MISMATCH", change("wrong", NEW)).await;
    let unchanged = app.user.refused("PASSWORD_UNCHANGED", change(PASSWORD, PASSWORD)).await;
    assert_eq!(unchanged.broken(), [("new_password", "UNCHANGED")]);
    let long = "x".repeat(257);
    for (current, new, broken) in [
        (PASSWORD, "too few chars", vec![("new_password", "TOO_SHORT")]),
        (PASSWORD, "", vec![("new_password", "REQUIRED")]),
        (
            &*long,
            "i am alice and long",
            vec![("current_password", "TOO_LONG"), ("new_password", "CONTAINS_USERNAME")],
        ),
        (PASSWORD, &*long, vec![("new_password", "TOO_LONG")]),
    ] {
        assert_eq!(app.user.refused("INVALID_FIELD", change(current, new)).await.broken(), broken);
    }
    app.user.ok(GetCurrentSessionRequest {}).await;
    app.anonymous.ok(log_in("alice", PASSWORD)).await;
}

#[tokio::test]
async fn a_password_that_an_admin_sets_ends_the_users_sessions() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let request =
        SetUserPasswordRequest { user: by_name(&bob.username.to_uppercase()), password: NEW.into() };
    app.admin.ok(request).await;
    bob.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    app.anonymous.refused("INVALID_CREDENTIALS", log_in(&bob.username, PASSWORD)).await;
    app.anonymous.ok(log_in(&bob.username, NEW)).await;
}

#[tokio::test]
async fn a_password_that_an_admin_sets_follows_the_same_rules() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let set = |password: &str| SetUserPasswordRequest { user: by_id(&bob.id), password: password.into() };
    let with_name = format!("{} is in here somewhere", bob.username.to_uppercase());
    for (password, rule) in [
        ("too few chars", "TOO_SHORT"),
        ("", "REQUIRED"),
        ("1234567890123456", "COMMON_PASSWORD"),
        (&*with_name, "CONTAINS_USERNAME"),
        ("a ride on the Tandem", "CONTAINS_PRODUCT_NAME"),
    ] {
        assert_eq!(app.admin.refused("INVALID_FIELD", set(password)).await.broken(), [("password", rule)]);
    }
    let both = SetUserPasswordRequest { user: by_id("nonsense"), password: "too few chars".into() };
    let broken = app.admin.refused("INVALID_FIELD", both).await;
    assert_eq!(broken.broken(), [("user_id", "NOT_A_UUID"), ("password", "TOO_SHORT")]);
    bob.ok(GetCurrentSessionRequest {}).await;
}
