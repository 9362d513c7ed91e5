//! Etags: they change exactly when a field of the user does, and a stale one changes nothing.

use api::auth::{ChangePasswordRequest, LogOutRequest, RevokeAllSessionsRequest};
use api::identity::DisableAccountRequest;
use api::users::{
    GetUserRequest, GrantAdminRequest, InactivateUserRequest, ReactivateUserRequest, RevokeAdminRequest,
    RevokeUserSessionsRequest, SetUserPasswordRequest, User, UserRole, UserState,
};
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, Person, by_id};

async fn user(app: &Pair, id: &str) -> User {
    let request = GetUserRequest { user: by_id(id), consistency_token: String::new() };
    app.super_admin.ok(request).await.message.user.expect("a user")
}

/// A change of bob's, made by a super admin; the clock moves, so that a change that sets a time shows.
async fn change(app: &Pair, bob: &Person, step: usize) -> User {
    app.clock.advance(TimeDelta::seconds(1));
    let (user, etag) = (by_id(&bob.id), String::new());
    let by = &app.super_admin;
    let changed = match step {
        0 => by.ok(InactivateUserRequest { user, etag }).await.message.user,
        1 => by.ok(ReactivateUserRequest { user: by_id(&bob.id), etag }).await.message.user,
        2 => by.ok(GrantAdminRequest { user: by_id(&bob.id), etag }).await.message.user,
        3 => by.ok(RevokeAdminRequest { user: by_id(&bob.id), etag }).await.message.user,
        _ => panic!("there are four"),
    };
    changed.expect("a user")
}

#[tokio::test]
async fn a_change_moves_etag_and_update_time_and_its_repeat_moves_nothing() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let mut before = user(&app, &bob.id).await;
    let mut etags = vec![before.etag.clone()];
    for step in [0, 1, 2, 3, 0, 2, 3, 1] {
        let changed = change(&app, &bob, step).await;
        assert!(!etags.contains(&changed.etag), "step {step}");
        assert!(changed.update_time.expect("a time").seconds > before.update_time.expect("a time").seconds);
        assert_eq!(change(&app, &bob, step).await, changed, "a repeat of step {step}");
        assert_eq!(user(&app, &bob.id).await, changed);
        assert_eq!(changed.create_time, before.create_time);
        etags.push(changed.etag.clone());
        before = changed;
    }
    assert_eq!((before.role(), before.state()), (UserRole::User, UserState::Active));
}

#[tokio::test]
async fn a_password_change_moves_update_time_and_so_the_etag() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let before = user(&app, &bob.id).await;
    app.clock.advance(TimeDelta::seconds(1));
    let request = SetUserPasswordRequest { user: by_id(&bob.id), password: "another long secret".into() };
    let set = app.admin.ok(request).await.message.user.expect("a user");
    assert_ne!(set.etag, before.etag);
    assert_ne!(set.update_time, before.update_time);

    let carol = app.somebody(UserRole::User).await;
    let before = user(&app, &carol.id).await;
    app.clock.advance(TimeDelta::seconds(1));
    let request = ChangePasswordRequest {
        current_password: PASSWORD.into(),
        new_password: "another long secret".into(),
    };
    let opened = carol.ok(request).await.message;
    let carol = app.anonymous.bearer(&opened.access_token);
    let after = carol.ok(api::users::GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_ne!(after.etag, before.etag);
    assert_ne!(after.update_time, before.update_time);
}

#[tokio::test]
async fn sessions_move_neither_etag_nor_update_time() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let before = user(&app, &bob.id).await;
    app.clock.advance(TimeDelta::minutes(1));
    app.log_in(&bob.username).await.ok(LogOutRequest {}).await;
    app.log_in(&bob.username).await;
    app.admin.ok(RevokeUserSessionsRequest { user: by_id(&bob.id), session_id: String::new() }).await;
    app.log_in(&bob.username).await.ok(RevokeAllSessionsRequest { keep_current: false }).await;
    app.full.ok(api::identity::GetAccountRequest { key: by_id(&bob.id) }).await;
    assert_eq!(user(&app, &bob.id).await, before);
}

#[tokio::test]
async fn a_stale_etag_is_refused_with_the_present_one_and_changes_nothing() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let stale = user(&app, &bob.id).await.etag;
    let by = &app.super_admin;
    by.ok(GrantAdminRequest { user: by_id(&bob.id), etag: stale.clone() }).await;
    let present = user(&app, &bob.id).await;
    let other = user(&app, &app.admin.id).await.etag;
    for etag in [stale, other, "garbage".to_owned(), "é\0".to_owned()] {
        let refusals = [
            by.refused("ETAG_MISMATCH", InactivateUserRequest { user: by_id(&bob.id), etag: etag.clone() })
                .await,
            by.refused("ETAG_MISMATCH", ReactivateUserRequest { user: by_id(&bob.id), etag: etag.clone() })
                .await,
            by.refused("ETAG_MISMATCH", GrantAdminRequest { user: by_id(&bob.id), etag: etag.clone() }).await,
            by.refused("ETAG_MISMATCH", RevokeAdminRequest { user: by_id(&bob.id), etag: etag.clone() })
                .await,
        ];
        for refusal in refusals {
            assert_eq!(refusal.info.get("current_etag"), Some(&present.etag), "{etag:?}");
        }
        assert_eq!(user(&app, &bob.id).await, present);
    }
    let request = InactivateUserRequest { user: by_id(&bob.id), etag: present.etag };
    assert_eq!(by.ok(request).await.message.user.expect("a user").state(), UserState::Inactive);
}

#[tokio::test]
async fn an_etag_is_compared_with_the_owners_version_not_with_a_late_projection() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    for _ in 0..20 {
        let stale = user(&app, &bob.id).await.etag;
        // Behind users-service's back: at this moment it may know of it or not.
        let account_id = bob.id.clone();
        app.full.ok(DisableAccountRequest { account_id: account_id.clone(), ..Default::default() }).await;
        let request = ReactivateUserRequest { user: by_id(&bob.id), etag: stale };
        let refusal = app.admin.refused("ETAG_MISMATCH", request).await;
        let etag = refusal.info.get("current_etag").expect("the present one").clone();
        let enabled = app.admin.ok(ReactivateUserRequest { user: by_id(&bob.id), etag }).await.message;
        assert_eq!(enabled.user.expect("a user").state(), UserState::Active);
    }
}
