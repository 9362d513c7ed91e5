//! Calls of the handlers with fakes behind them: who is admitted, in which order things are checked, what goes back.

use api::users as pb;
use api::users::users_service_server::UsersService as _;
use tonic::Code;
use tonic_types::StatusExt as _;
use users_core::domain::Role;
use users_core::testing::{Fakes, World};

use super::*;

fn handlers(world: &World) -> Handlers<Fakes> {
    Handlers(Arc::new(Users {
        commands: world.commands(),
        queries: world.queries(),
        page_tokens: PageTokens::new([7; 32]),
    }))
}

fn with_token<M>(message: M, token: &AccessToken) -> Request<M> {
    let mut request = Request::new(message);
    let value = format!("bearer {}", token.expose()).parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

async fn token_of(world: &World, username: &str, role: Role) -> AccessToken {
    world.provider.token_of(world.user(username, role).await.id)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

fn grant(user: pb::grant_admin_request::User) -> pb::GrantAdminRequest {
    pb::GrantAdminRequest { user: Some(user), etag: String::new() }
}

#[tokio::test]
async fn a_call_without_a_token_is_unauthenticated() {
    let world = World::new();
    let request = Request::new(pb::GetCurrentUserRequest::default());
    let status = handlers(&world).get_current_user(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unauthenticated, "ERROR_REASON_UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn a_role_that_is_too_low_is_refused_before_the_message_is_looked_at() {
    let world = World::new();
    let token = token_of(&world, "admin", Role::Admin).await;
    for target in ["not a uuid", "0198f0c2-7d1e-7cc3-98a4-00000000ffff"] {
        let message = grant(pb::grant_admin_request::User::UserId(target.into()));
        let status = handlers(&world).grant_admin(with_token(message, &token)).await.unwrap_err();
        assert_eq!(reason(&status), "ERROR_REASON_ROLE_TOO_LOW");
        let metadata = status.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["required_role"], "USER_ROLE_SUPER_ADMIN");
    }
}

#[tokio::test]
async fn a_user_may_ask_for_itself_by_name_in_any_case_and_for_nobody_else() {
    use pb::get_user_request::User;
    let world = World::new();
    let token = token_of(&world, "alice", Role::User).await;
    let ask = async |user| {
        let message = pb::GetUserRequest { user, consistency_token: String::new() };
        handlers(&world).get_user(with_token(message, &token)).await
    };
    let itself = ask(Some(User::Username("ALICE".into()))).await.unwrap().into_inner().user.unwrap();
    assert_eq!((itself.username.as_str(), itself.role()), ("alice", pb::UserRole::User));
    for other in [None, Some(User::UserId("x".into())), Some(User::Username("nobody".into()))] {
        assert_eq!(reason(&ask(other).await.unwrap_err()), "ERROR_REASON_ROLE_TOO_LOW");
    }
}

#[tokio::test]
async fn a_renewed_token_goes_back_with_an_answer_and_with_an_error() {
    let world = World::new();
    let alice = world.user("alice", Role::User).await;
    let token = world.provider.token_near_its_end(alice.id);
    let handlers = handlers(&world);

    let request = with_token(pb::GetCurrentUserRequest::default(), &token);
    let response = handlers.get_current_user(request).await.unwrap();
    assert_eq!(response.metadata().get("x-session-expire-time").unwrap(), "2027-01-15T09:00:00Z");
    let request = with_token(pb::ListUsersRequest::default(), &token);
    let status = handlers.list_users(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.metadata().contains_key("x-session-token"));

    let message = pb::GetCurrentUserRequest { skip_renewal: true, ..Default::default() };
    let response = handlers.get_current_user(with_token(message, &token)).await.unwrap();
    assert!(!response.metadata().contains_key("x-session-token"));
}

#[tokio::test]
async fn a_created_user_is_listed_page_by_page() {
    let world = World::new();
    let token = token_of(&world, "admin", Role::Admin).await;
    let handlers = handlers(&world);
    let message = pb::CreateUserRequest {
        username: "Bobby".into(),
        password: "correct horse battery".into(),
        role: pb::UserRole::User.into(),
        request_id: String::new(),
    };
    let created = handlers.create_user(with_token(message, &token)).await.unwrap().into_inner();
    let first = pb::ListUsersRequest {
        page_size: 1,
        order_by: "username".into(),
        include_total: true,
        consistency_token: created.consistency_token,
        ..Default::default()
    };
    let page = handlers.list_users(with_token(first.clone(), &token)).await.unwrap().into_inner();
    assert_eq!((page.users[0].username.as_str(), page.total_size), ("admin", 2));
    let second = pb::ListUsersRequest { page_token: page.next_page_token, ..first };
    let page = handlers.list_users(with_token(second.clone(), &token)).await.unwrap().into_inner();
    assert_eq!(
        (page.users[0].user_id.clone(), page.next_page_token.as_str()),
        (created.user.unwrap().user_id, "")
    );
    let foreign = pb::ListUsersRequest { order_by: "role".into(), ..second };
    let status = handlers.list_users(with_token(foreign, &token)).await.unwrap_err();
    assert_eq!(reason(&status), "ERROR_REASON_INVALID_PAGE_TOKEN");
}

#[tokio::test]
async fn an_outage_of_the_provider_is_never_unauthenticated() {
    let world = World::new();
    let token = token_of(&world, "admin", Role::Admin).await;
    world.provider.go_away();
    let request = with_token(pb::GetCurrentUserRequest::default(), &token);
    let status = handlers(&world).get_current_user(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "ERROR_REASON_IDENTITY_PROVIDER_UNAVAILABLE");
}
