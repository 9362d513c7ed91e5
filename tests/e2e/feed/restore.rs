//! A restored auth database: its feed has a new epoch, which is followed, and who is gone shows as inactive.

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{
    CreateUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest,
    ReactivateUserRequest, User, UserRole, UserState,
};
use e2e::{PASSWORD, Pair, Service, by_id, eventually};

/// A pair of which auth-service's data is put back to what it was, after more had happened. Who signed up since is
/// gone, and alice, who was inactivated since, is active again.
struct Restored {
    app: Pair,
    gone: String,
    cursor: String,
}

async fn restored() -> Restored {
    // Boxed, because it is larger than the tests.
    Box::pin(back_up_and_restore()).await
}

async fn back_up_and_restore() -> Restored {
    let mut app = Pair::start().await;
    app.stop_auth().await;
    app.data().back_up(Service::Auth).await;
    app.start_auth().await;
    eventually("the pair to be whole", async || app.admin.call(ListUsersRequest::default()).await.ok()).await;

    let gone = app.somebody(UserRole::Admin).await.id;
    app.admin.ok(InactivateUserRequest { user: by_id(&app.user.id), etag: String::new() }).await;
    let mut feed = app.full.watch("").await.expect("a feed");
    let cursor = feed.message().await.expect("a message").expect("a message").cursor;
    drop(feed);

    app.stop_auth().await;
    app.data().restore(Service::Auth).await;
    app.after_restore().await;
    app.start_auth().await;
    app.super_admin = eventually("log-ins", async || {
        let request = LogInRequest { username: "superadmin".into(), password: PASSWORD.into() };
        let opened = app.anonymous.call(request).await.ok()?.message;
        Some(e2e::Person::of(&app.anonymous, "superadmin", opened.access_token, opened.session))
    })
    .await;
    eventually("the connection", async || app.super_admin.call(ListUsersRequest::default()).await.ok()).await;
    Restored { app, gone, cursor }
}

async fn user(app: &Pair, id: &str) -> User {
    let request = ListUsersRequest { page_size: 1000, ..Default::default() };
    let users = app.super_admin.ok(request).await.message.users;
    users.into_iter().find(|user| user.user_id == id).expect("listed")
}

#[tokio::test]
async fn after_a_restore_every_session_is_over_and_cursors_are_unknown() {
    let Restored { app, cursor, .. } = restored().await;
    app.admin.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    assert_eq!(app.full.watch(&cursor).await.expect_err("of another epoch").reason, "CURSOR_UNKNOWN");
    app.log_in("alice").await.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn the_new_epoch_is_followed_and_wins_over_any_version() {
    let Restored { app, gone, .. } = restored().await;
    let retired = eventually("the new epoch", async || {
        let (alice, gone) = (user(&app, &app.user.id).await, user(&app, &gone).await);
        (alice.state() == UserState::Active && gone.state() == UserState::Inactive).then_some(gone)
    })
    .await;
    assert_eq!(retired.role(), UserRole::Admin, "the role is not auth-service's to take");
    assert_eq!(user(&app, &app.admin.id).await.role(), UserRole::Admin);
    // The projector is not stuck: what happens now shows by itself.
    let newcomer = app.signed_up("newcomer").await.user_id;
    eventually("the newcomer", async || {
        let request = ListUsersRequest { username_prefix: "newcomer".into(), ..Default::default() };
        app.super_admin
            .ok(request)
            .await
            .message
            .users
            .iter()
            .any(|user| user.user_id == newcomer)
            .then_some(())
    })
    .await;
    assert_eq!(user(&app, &gone).await, retired, "and who is gone is left alone");
}

#[tokio::test]
async fn commands_work_right_after_a_restore_and_on_those_who_are_gone_they_find_nobody() {
    let Restored { app, gone, .. } = restored().await;
    let by = &app.super_admin;
    let request = InactivateUserRequest { user: by_id(&app.user.id), etag: String::new() };
    assert_eq!(by.ok(request).await.message.user.expect("a user").state(), UserState::Inactive);
    let request = ReactivateUserRequest { user: by_id(&app.user.id), etag: String::new() };
    assert_eq!(by.ok(request).await.message.user.expect("a user").state(), UserState::Active);
    by.refused("USER_NOT_FOUND", InactivateUserRequest { user: by_id(&gone), etag: String::new() }).await;
    let granted = by.ok(GrantAdminRequest { user: by_id(&app.user.id), etag: String::new() }).await.message;
    assert_eq!(granted.user.expect("a user").role(), UserRole::Admin);
}

#[tokio::test]
async fn a_name_that_a_restore_set_free_belongs_to_whoever_takes_it_now() {
    let Restored { app, gone, .. } = restored().await;
    let request = GetUserRequest { user: by_id(&gone), consistency_token: String::new() };
    let username = app.super_admin.ok(request).await.message.user.expect("a user").username;
    let create = CreateUserRequest {
        username: username.clone(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    let successor = app.super_admin.ok(create).await.message.user.expect("a user");
    assert_ne!(successor.user_id, gone);
    assert_eq!(successor.role(), UserRole::User, "the role of the one who is gone is not inherited");
    let request = GetUserRequest { user: e2e::by_name(&username), consistency_token: String::new() };
    assert_eq!(app.super_admin.ok(request).await.message.user.expect("a user"), successor);
    let logged_in = app.log_in(&username).await;
    logged_in.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
}
