//! Super admins: made, demoted and helped by an operator, never without one left.

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{GetCurrentUserRequest, InactivateUserRequest, ListUsersRequest, UserRole};
use e2e::{PASSWORD, Pair, by_id};
use futures::future::join_all;
use identity::{RawPassword, Username};

fn name(name: &str) -> Username {
    Username::parse(name).expect("a username")
}

fn password(text: &str) -> RawPassword {
    RawPassword::parse(text.into()).expect("a password")
}

async fn super_admins(app: &Pair) -> Vec<String> {
    let request = ListUsersRequest {
        roles: vec![UserRole::SuperAdmin.into()],
        order_by: "username".into(),
        ..Default::default()
    };
    let found = app.admin.ok(request).await.message.users;
    found.into_iter().map(|user| user.username).collect()
}

#[tokio::test]
async fn a_super_admin_is_always_a_new_account() {
    let app = Pair::start().await;
    let administration = app.administration();
    for taken in ["alice", "ALICE", "admin", "superadmin"] {
        let refusal = administration.bootstrap_super_admin(name(taken), &password(PASSWORD), true).await;
        let refusal = refusal.expect_err("the name is taken").to_string();
        assert!(refusal.contains("taken"), "{refusal}");
    }
    assert_eq!(super_admins(&app).await, ["superadmin"]);
    app.user.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
}

#[tokio::test]
async fn a_second_super_admin_has_to_be_insisted_on() {
    let app = Pair::start().await;
    let administration = app.administration();
    let refusal = administration.bootstrap_super_admin(name("second"), &password(PASSWORD), false).await;
    assert!(refusal.expect_err("there is one").to_string().contains("super admin exists"));
    app.bootstrap("second").await;
    assert_eq!(super_admins(&app).await, ["second", "superadmin"]);
    app.log_in("second").await.ok(ListUsersRequest::default()).await;
}

#[tokio::test]
async fn a_demoted_super_admin_is_a_user_without_sessions() {
    let app = Pair::start().await;
    let second = app.somebody(UserRole::SuperAdmin).await;
    app.administration().demote_super_admin(name(&second.username)).await.expect("demoted");
    second.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let again = app.log_in(&second.username).await;
    let user = again.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_eq!(user.role(), UserRole::User);
    app.admin.ok(InactivateUserRequest { user: by_id(&second.id), etag: String::new() }).await;
}

#[tokio::test]
async fn the_last_active_super_admin_stays() {
    let app = Pair::start().await;
    let refusal = app.administration().demote_super_admin(name("superadmin")).await;
    assert!(refusal.expect_err("it is the last").to_string().contains("last active super admin"));
    assert!(app.administration().demote_super_admin(name("admin")).await.is_err(), "it is none");
    app.super_admin.ok(ListUsersRequest::default()).await;
}

#[tokio::test]
async fn a_lost_password_is_replaced_by_an_operator() {
    let app = Pair::start().await;
    let new = "another long secret";
    app.administration().reset_super_admin_password(name("superadmin"), &password(new)).await.expect("reset");
    app.super_admin.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let log_in = |password: &str| LogInRequest { username: "superadmin".into(), password: password.into() };
    app.anonymous.refused("INVALID_CREDENTIALS", log_in(PASSWORD)).await;
    app.anonymous.ok(log_in(new)).await;
    assert!(app.administration().reset_super_admin_password(name("alice"), &password(new)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_super_admins_demoted_all_at_once_one_is_left() {
    let app = Pair::start().await;
    for round in 0..10 {
        let mut everybody = super_admins(&app).await;
        for number in 0..4 {
            let username = format!("round{round}-{number}");
            app.bootstrap(&username).await;
            everybody.push(username);
        }
        let outcomes =
            join_all(everybody.iter().map(|who| app.administration().demote_super_admin(name(who)))).await;
        let demoted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(demoted, everybody.len() - 1, "{outcomes:?}");
        let left = super_admins(&app).await;
        assert_eq!(left.len(), 1, "{left:?}");
        app.log_in(&left[0]).await.ok(ListUsersRequest::default()).await;
    }
}
