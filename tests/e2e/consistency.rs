//! Consistency tokens: reads see the writes that their callers have seen, however late the feed is.

use api::auth::SignUpResponse;
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUsersRequest, RevokeAdminRequest, SetUserPasswordRequest, User, UserRole, UserState,
};
use e2e::{PASSWORD, Pair, by_id, by_name};
use identity::ConsistencyToken;

/// The user as a list shows it that must see the write.
async fn listed(app: &Pair, username: &str, token: &str) -> User {
    let request = ListUsersRequest {
        username_prefix: username.into(),
        consistency_token: token.into(),
        ..Default::default()
    };
    let found = app.admin.ok(request).await.message.users;
    assert_eq!(found.len(), 1, "{username}");
    found[0].clone()
}

#[tokio::test]
async fn a_user_is_listed_right_after_sign_up() {
    let app = Pair::start().await;
    for number in 0..50 {
        let name = format!("newcomer{number}");
        let SignUpResponse { user_id, consistency_token, create_time } = app.signed_up(&name).await;
        let user = listed(&app, &name, &consistency_token).await;
        assert_eq!((user.role(), user.user_id), (UserRole::User, user_id));
        assert_eq!((user.create_time, user.update_time), (create_time, create_time));
    }
}

#[tokio::test]
async fn every_admin_command_is_seen_right_after_it() {
    let app = Pair::start().await;
    for number in 0..20 {
        let username = format!("worker{number}");
        let request = CreateUserRequest {
            username: username.clone(),
            password: PASSWORD.into(),
            role: UserRole::User.into(),
            request_id: String::new(),
        };
        let created = app.admin.ok(request).await.message;
        let id = created.user.clone().expect("a user").user_id;
        assert_eq!(listed(&app, &username, &created.consistency_token).await, created.user.expect("a user"));

        let granted =
            app.super_admin.ok(GrantAdminRequest { user: by_id(&id), etag: String::new() }).await.message;
        assert_eq!(listed(&app, &username, &granted.consistency_token).await.role(), UserRole::Admin);

        let request = InactivateUserRequest { user: by_id(&id), etag: String::new() };
        let inactivated = app.super_admin.ok(request).await.message;
        let user = listed(&app, &username, &inactivated.consistency_token).await;
        assert_eq!((user.role(), user.state()), (UserRole::Admin, UserState::Inactive));

        let revoked =
            app.super_admin.ok(RevokeAdminRequest { user: by_id(&id), etag: String::new() }).await.message;
        assert_eq!(listed(&app, &username, &revoked.consistency_token).await, revoked.user.expect("a user"));

        let request = SetUserPasswordRequest { user: by_id(&id), password: "another long secret".into() };
        let set = app.admin.ok(request).await.message;
        assert_eq!(listed(&app, &username, &set.consistency_token).await, set.user.expect("a user"));
    }
}

#[tokio::test]
async fn whoever_has_just_signed_up_is_known_without_any_token() {
    let app = Pair::start().await;
    for number in 0..20 {
        let name = format!("newcomer{number}");
        app.signed_up(&name).await;
        let newcomer = app.log_in(&name).await;
        assert_eq!(
            newcomer.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user").username,
            name
        );
        let other = format!("latecomer{number}");
        app.signed_up(&other).await;
        let request = GetUserRequest { user: by_name(&other), consistency_token: String::new() };
        assert_eq!(app.admin.ok(request).await.message.user.expect("a user").username, other);
    }
}

#[tokio::test]
async fn garbage_and_writes_that_never_were_are_refused_at_once() {
    let app = Pair::start().await;
    let signed_up = app.signed_up("newcomer").await;
    let token = ConsistencyToken::parse(&signed_up.consistency_token).expect("a token");
    let ConsistencyToken::Account { user_id, version } = token else { panic!("it is of an account") };
    let mut ahead = version.clone();
    ahead.number += 1_000;
    let too_new = ConsistencyToken::Account { user_id, version: ahead }.encode();
    let no_such_role = ConsistencyToken::Role { user_id, version: 99 }.encode();
    let of_nobody = {
        let nobody = identity::UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").expect("an id");
        ConsistencyToken::Account { user_id: nobody, version }.encode()
    };
    let long = "A".repeat(10_000);
    for bad in ["garbage", "A", &long, &too_new, &no_such_role, &of_nobody] {
        let consistency_token = bad.to_owned();
        let broken = [("consistency_token", "NOT_A_CONSISTENCY_TOKEN")];
        let request = ListUsersRequest { consistency_token: consistency_token.clone(), ..Default::default() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), broken, "{bad}");
        let request =
            GetUserRequest { user: by_id(&app.user.id), consistency_token: consistency_token.clone() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), broken, "{bad}");
        let request = GetCurrentUserRequest { consistency_token, skip_renewal: false };
        assert_eq!(app.user.refused("INVALID_FIELD", request).await.broken(), broken, "{bad}");
    }
}
