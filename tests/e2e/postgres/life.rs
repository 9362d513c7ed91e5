//! A user's life, in which it and its administrators make almost every call there is, and every one succeeds that should.

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, ListSessionsRequest, LogInRequest, LogOutRequest,
    RefreshSessionRequest, RevokeAllSessionsRequest, RevokeSessionRequest,
};
use api::identity::{AuthenticateRequest, CheckCredentialRequest, GetAccountRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUserSessionsRequest, ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest,
    RevokeUserSessionsRequest, SetUserPasswordRequest, UserRole, UserState,
};
use e2e::{Caller, PASSWORD, Person, by_id, by_name, sign_up};

const NEXT_PASSWORD: &str = "another long secret";

/// Who else is in it.
#[derive(Clone, Copy)]
pub(super) struct Cast<'a> {
    pub(super) anonymous: &'a Caller,
    pub(super) root: &'a Caller,
    pub(super) admin: &'a Caller,
    pub(super) full: &'a Caller,
}

/// From the sign-up on.
pub(super) async fn live(cast: &Cast<'_>, username: String) {
    let Cast { anonymous, root, admin, full } = *cast;
    let etag = String::new;
    let signed_up = anonymous.ok(sign_up(&username)).await.message;
    let id = signed_up.user_id;
    let listed = ListUsersRequest {
        username_prefix: username.clone(),
        consistency_token: signed_up.consistency_token,
        include_total: true,
        ..Default::default()
    };
    let page = admin.ok(listed).await.message;
    assert!(page.users.iter().any(|user| user.user_id == id) && page.total_size > 0);

    let person = Person::log_in(anonymous, &username).await;
    person.ok(GetCurrentSessionRequest {}).await;
    let other = Person::log_in(anonymous, &username).await;
    assert_eq!(person.ok(ListSessionsRequest::default()).await.message.sessions.len(), 2);
    person.ok(RevokeSessionRequest { session_id: other.session.session_id.clone() }).await;
    other.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    let refreshed = person.ok(RefreshSessionRequest {}).await.message.access_token;
    let person = Person::of(anonymous, &username, refreshed, Some(person.session.clone()));
    full.ok(AuthenticateRequest { access_token: person.token.clone(), skip_renewal: true }).await;
    full.ok(CheckCredentialRequest { username: username.clone(), password: NEXT_PASSWORD.into() }).await;
    full.ok(GetAccountRequest { key: by_name(&username) }).await;
    let change =
        ChangePasswordRequest { current_password: PASSWORD.into(), new_password: NEXT_PASSWORD.into() };
    let changed = person.ok(change).await.message;
    person.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    let person = Person::of(anonymous, &username, changed.access_token, changed.session);
    person.ok(RevokeAllSessionsRequest { keep_current: true }).await;
    person.ok(GetCurrentUserRequest::default()).await;

    root.ok(GrantAdminRequest { user: by_id(&id), etag: etag() }).await;
    person.ok(ListUsersRequest { page_size: 5, skip: 3, ..Default::default() }).await;
    let request = CreateUserRequest {
        username: format!("{username}.w"),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    person.ok(request.clone()).await;
    person.refused("USERNAME_TAKEN", request).await;
    root.ok(RevokeAdminRequest { user: by_id(&id), etag: etag() }).await;
    person.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;

    admin.ok(ListUserSessionsRequest { user: by_id(&id), ..Default::default() }).await;
    admin.ok(RevokeUserSessionsRequest { user: by_id(&id), session_id: String::new() }).await;
    person.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let off = admin.ok(InactivateUserRequest { user: by_id(&id), etag: etag() }).await.message;
    let log_in = LogInRequest { username: username.clone(), password: NEXT_PASSWORD.into() };
    anonymous.refused("ACCOUNT_INACTIVE", log_in).await;
    let request = GetUserRequest { user: by_id(&id), consistency_token: off.consistency_token };
    assert_eq!(admin.ok(request).await.message.user.expect("a user").state(), UserState::Inactive);
    admin.ok(ReactivateUserRequest { user: by_name(&username), etag: etag() }).await;
    admin.ok(SetUserPasswordRequest { user: by_id(&id), password: PASSWORD.into() }).await;
    Person::log_in(anonymous, &username).await.ok(LogOutRequest {}).await;
}
