//! Request ids of `SignUp` and `CreateUser`: a lost reply and a repeat have the effect of one call.

use api::auth::{ChangePasswordRequest, SignUpRequest};
use api::users::{
    CreateUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest, UserRole, UserState,
};
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, by_id};
use futures::future::join_all;

const ID: &str = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c";
const REUSED: [(&str, &str); 1] = [("request_id", "REQUEST_ID_REUSED")];

fn sign_up(username: &str) -> SignUpRequest {
    SignUpRequest { username: username.into(), password: PASSWORD.into(), request_id: ID.into() }
}

fn create(username: &str, role: UserRole) -> CreateUserRequest {
    CreateUserRequest {
        username: username.into(),
        password: PASSWORD.into(),
        role: role.into(),
        request_id: ID.into(),
    }
}

async fn count(app: &Pair) -> i64 {
    let request = ListUsersRequest { include_total: true, ..Default::default() };
    app.super_admin.ok(request).await.message.total_size
}

#[tokio::test]
async fn a_repeated_sign_up_answers_what_the_first_one_did() {
    let app = Pair::start().await;
    let first = app.anonymous.ok(sign_up("newcomer")).await.message;
    assert_eq!(app.anonymous.ok(sign_up("newcomer")).await.message, first);
    let upper = SignUpRequest { request_id: ID.to_uppercase(), ..sign_up("newcomer") };
    assert_eq!(app.anonymous.ok(upper).await.message.user_id, first.user_id);
    let without = SignUpRequest { request_id: String::new(), ..sign_up("newcomer") };
    app.anonymous.refused("USERNAME_TAKEN", without).await;
}

#[tokio::test]
async fn a_request_id_of_a_sign_up_is_good_for_one_content_and_one_day() {
    let app = Pair::start().await;
    let first = app.anonymous.ok(sign_up("newcomer")).await.message;
    let others = [
        sign_up("latecomer"),
        sign_up("NEWCOMER"),
        SignUpRequest { password: "another long secret".into(), ..sign_up("newcomer") },
    ];
    for other in others {
        assert_eq!(app.anonymous.refused("REQUEST_ID_REUSED", other).await.broken(), REUSED);
    }
    app.clock.advance(TimeDelta::hours(23));
    assert_eq!(app.anonymous.ok(sign_up("newcomer")).await.message.user_id, first.user_id);
    app.clock.advance(TimeDelta::minutes(61));
    app.anonymous.refused("USERNAME_TAKEN", sign_up("newcomer")).await;
    app.anonymous.ok(sign_up("latecomer")).await;
}

#[tokio::test]
async fn only_success_is_remembered_of_a_sign_up() {
    let app = Pair::start().await;
    app.anonymous.refused("USERNAME_TAKEN", sign_up("alice")).await;
    app.anonymous.refused("INVALID_FIELD", sign_up("x")).await;
    app.anonymous.ok(sign_up("newcomer")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_repeats_of_a_sign_up_make_one_user() {
    let app = Pair::start().await;
    for round in 0..10 {
        let request = SignUpRequest {
            request_id: format!("0198f0c2-7d1e-4cc3-98a4-{round:012}"),
            ..sign_up(&format!("newcomer{round}"))
        };
        let repeats = join_all((0..16).map(|_| app.anonymous.ok(request.clone()))).await;
        assert!(repeats.iter().all(|reply| reply.user_id == repeats[0].user_id), "{repeats:?}");
    }
}

#[tokio::test]
async fn a_repeated_creation_answers_the_user_as_it_is_now() {
    let app = Pair::start().await;
    let first = app.super_admin.ok(create("worker", UserRole::User)).await.message.user.expect("a user");
    let before = count(&app).await;
    let again = app.super_admin.ok(create("worker", UserRole::User)).await.message;
    assert_eq!(again.user, Some(first.clone()));
    app.super_admin.ok(GrantAdminRequest { user: by_id(&first.user_id), etag: String::new() }).await;
    app.super_admin.ok(InactivateUserRequest { user: by_id(&first.user_id), etag: String::new() }).await;
    let now = app.super_admin.ok(create("worker", UserRole::User)).await.message.user.expect("a user");
    assert_eq!(
        (now.user_id.clone(), now.role(), now.state()),
        (first.user_id, UserRole::Admin, UserState::Inactive)
    );
    assert_eq!(count(&app).await, before);
}

#[tokio::test]
async fn a_request_id_of_a_creation_is_its_callers_own() {
    let app = Pair::start().await;
    let other_admin = app.somebody(UserRole::Admin).await;
    let mine = app.admin.ok(create("worker", UserRole::User)).await.message.user.expect("a user");
    let theirs = other_admin.ok(create("helper", UserRole::User)).await.message.user.expect("a user");
    assert_ne!(mine.user_id, theirs.user_id);
    other_admin.refused("REQUEST_ID_REUSED", create("worker", UserRole::User)).await;
}

#[tokio::test]
async fn a_request_id_of_a_creation_is_good_for_one_content_and_one_day() {
    let app = Pair::start().await;
    let by = &app.super_admin;
    by.ok(create("worker", UserRole::User)).await;
    let others = [
        create("helper", UserRole::User),
        create("worker", UserRole::Admin),
        create("WORKER", UserRole::User),
        CreateUserRequest { password: "another long secret".into(), ..create("worker", UserRole::User) },
    ];
    for other in others {
        assert_eq!(by.refused("REQUEST_ID_REUSED", other).await.broken(), REUSED);
    }
    app.clock.advance(TimeDelta::minutes(24 * 60 + 1));
    let by = app.log_in("superadmin").await;
    by.refused("USERNAME_TAKEN", create("worker", UserRole::User)).await;
    by.ok(create("helper", UserRole::User)).await;
}

#[tokio::test]
async fn a_creation_that_was_refused_can_be_tried_again_with_the_same_request_id() {
    let app = Pair::start().await;
    let by = &app.super_admin;
    by.refused("USERNAME_TAKEN", create("alice", UserRole::User)).await;
    by.refused("INVALID_FIELD", create("x", UserRole::User)).await;
    let created = by.ok(create("worker", UserRole::Admin)).await.message.user.expect("a user");
    assert_eq!(created.role(), UserRole::Admin);
}

#[tokio::test]
async fn a_repeat_after_the_users_password_changed_is_another_content() {
    let app = Pair::start().await;
    app.admin.ok(create("worker", UserRole::User)).await;
    let worker = app.log_in("worker").await;
    let change = ChangePasswordRequest {
        current_password: PASSWORD.into(),
        new_password: "another long secret".into(),
    };
    worker.ok(change).await;
    app.admin.refused("REQUEST_ID_REUSED", create("worker", UserRole::User)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_repeats_of_a_creation_make_one_user_with_the_role_asked_for() {
    let app = Pair::start().await;
    let before = count(&app).await;
    for round in 0..10 {
        let request = CreateUserRequest {
            request_id: format!("0198f0c2-7d1e-4cc3-98a4-{round:012}"),
            ..create(&format!("worker{round}"), UserRole::Admin)
        };
        let repeats = join_all((0..16).map(|_| app.super_admin.ok(request.clone()))).await;
        let users: Vec<_> = repeats.iter().map(|reply| reply.user.clone().expect("a user")).collect();
        assert!(users.iter().all(|user| user.user_id == users[0].user_id && user.role() == UserRole::Admin));
    }
    assert_eq!(count(&app).await, before + 10);
}
