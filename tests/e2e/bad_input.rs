//! What strangers send: each gets the documented error, nothing changes, nothing breaks inside.

use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUserSessionsRequest, ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest,
    RevokeUserSessionsRequest, SetUserPasswordRequest,
};
use api::{auth, identity as port};
use e2e::{PASSWORD, Pair, Settings, by_id, by_name, sign_up};

/// Texts that no id, name or token is.
const STRANGE: [&str; 9] = [
    "",
    "\0",
    "alice\0",
    "\u{202e}ecila",
    "' or 1=1 --",
    "\u{1f980}",
    "0198F0C2-7D1E-7CC3-98A4-2F6F3F1A2B3C",
    "0198f0c27d1e7cc398a42f6f3f1a2b3c",
    "{0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c}",
];

async fn everybody(app: &Pair) -> Vec<api::users::User> {
    let request = ListUsersRequest { page_size: 1000, order_by: "username".into(), ..Default::default() };
    app.super_admin.ok(request).await.message.users
}

#[tokio::test]
async fn a_target_that_is_no_id_and_no_name_is_an_invalid_field_of_every_method() {
    let app = Pair::start().await;
    let by = &app.super_admin;
    let before = everybody(&app).await;
    for strange in STRANGE {
        let etag = String::new();
        let mut broken = vec![
            by.refused(
                "INVALID_FIELD",
                GetUserRequest { user: by_id(strange), consistency_token: etag.clone() },
            )
            .await,
            by.refused("INVALID_FIELD", InactivateUserRequest { user: by_id(strange), etag: etag.clone() })
                .await,
            by.refused("INVALID_FIELD", ReactivateUserRequest { user: by_id(strange), etag: etag.clone() })
                .await,
            by.refused("INVALID_FIELD", GrantAdminRequest { user: by_id(strange), etag: etag.clone() }).await,
            by.refused("INVALID_FIELD", RevokeAdminRequest { user: by_id(strange), etag: etag.clone() })
                .await,
        ];
        let request = SetUserPasswordRequest { user: by_id(strange), password: PASSWORD.into() };
        broken.push(by.refused("INVALID_FIELD", request).await);
        let request = ListUserSessionsRequest { user: by_id(strange), ..Default::default() };
        broken.push(by.refused("INVALID_FIELD", request).await);
        let request = RevokeUserSessionsRequest { user: by_id(strange), session_id: etag.clone() };
        broken.push(by.refused("INVALID_FIELD", request).await);
        for failure in broken {
            assert_eq!(failure.broken(), [("user_id", "NOT_A_UUID")], "{strange:?}");
        }
        // As a name, a UUID is too long, and everything else breaks a rule as well.
        let request = InactivateUserRequest { user: by_name(strange), etag };
        let failure = by.refused("INVALID_FIELD", request).await;
        assert!(failure.broken().iter().all(|(field, _)| *field == "username"), "{strange:?}");
    }
    let nobody = InactivateUserRequest::default();
    assert_eq!(by.refused("INVALID_FIELD", nobody).await.broken(), [("user", "REQUIRED")]);
    assert_eq!(everybody(&app).await, before);
}

#[tokio::test]
async fn strange_texts_in_every_field_are_answered_as_documented() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let before = everybody(&app).await;
    for strange in STRANGE.into_iter().skip(1) {
        let request = auth::SignUpRequest {
            username: strange.into(),
            password: strange.into(),
            request_id: "garbage".into(),
        };
        app.anonymous.refused("INVALID_FIELD", request).await;
        let request = auth::LogInRequest { username: strange.into(), password: strange.into() };
        app.anonymous.refused("INVALID_FIELD", request).await;
        let request = auth::LogInRequest { username: "alice".into(), password: strange.into() };
        app.anonymous.refused("INVALID_CREDENTIALS", request).await;
        app.user.ok(auth::RevokeSessionRequest { session_id: strange.into() }).await;
        let request = auth::ListSessionsRequest { page_size: 1, page_token: strange.into() };
        app.user.refused("INVALID_PAGE_TOKEN", request).await;
        let request = ListUsersRequest { page_token: strange.into(), ..Default::default() };
        app.admin.refused("INVALID_PAGE_TOKEN", request).await;
        let request = ListUsersRequest { order_by: strange.into(), ..Default::default() };
        app.admin.refused("INVALID_FIELD", request).await;
        let request = GetCurrentUserRequest { consistency_token: strange.into(), skip_renewal: false };
        app.user.refused("INVALID_FIELD", request).await;
        let request = CreateUserRequest {
            username: strange.into(),
            password: strange.into(),
            role: i32::MAX,
            request_id: "garbage".into(),
        };
        app.admin.refused("INVALID_FIELD", request).await;
        let request = RevokeUserSessionsRequest { user: by_id(&app.user.id), session_id: strange.into() };
        assert_eq!(app.admin.ok(request).await.message.revoked_count, 0);
        let request = port::RegisterAccountRequest {
            account_id: strange.into(),
            username: strange.into(),
            password: strange.into(),
            actor_id: strange.into(),
        };
        let failure = app.full.refused("INVALID_FIELD", request).await;
        let fields: Vec<_> = failure.broken().into_iter().map(|(field, _)| field).collect();
        assert!(fields.contains(&"account_id") && fields.contains(&"username"), "{fields:?}");
        assert_eq!(app.full.watch(strange).await.expect_err("no cursor").reason, "CURSOR_UNKNOWN");
    }
    assert_eq!(everybody(&app).await, before);
}

#[tokio::test]
async fn page_sizes_at_and_beyond_their_ends_are_taken_or_refused_as_documented() {
    let app = Pair::start().await;
    for page_size in [0, 1, 1000, 1001, i32::MAX] {
        app.admin.ok(ListUsersRequest { page_size, ..Default::default() }).await;
        app.user.ok(auth::ListSessionsRequest { page_size, page_token: String::new() }).await;
        let account_id = app.user.id.clone();
        app.full.ok(port::ListSessionsRequest { account_id, page_size, page_token: String::new() }).await;
    }
    let broken = [("page_size", "NEGATIVE")];
    for page_size in [-1, i32::MIN] {
        let request = ListUsersRequest { page_size, ..Default::default() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), broken);
        let request = auth::ListSessionsRequest { page_size, page_token: String::new() };
        assert_eq!(app.user.refused("INVALID_FIELD", request).await.broken(), broken);
        let request =
            ListUserSessionsRequest { user: by_id(&app.user.id), page_size, page_token: String::new() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), broken);
    }
    for skip in [-1, 10_001, i32::MIN, i32::MAX] {
        let request = ListUsersRequest { skip, ..Default::default() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), [("skip", "OUT_OF_RANGE")]);
    }
}

#[tokio::test]
async fn malformed_metadata_is_passed_over_or_refused_and_breaks_nothing() {
    let app = Pair::start().await;
    for (key, value) in [
        ("grpc-timeout", "soon"),
        ("grpc-timeout", "99999999999S"),
        ("grpc-timeout", ""),
        ("traceparent", "garbage"),
        ("traceparent", "00-00000000000000000000000000000000-0000000000000000-00"),
        ("tracestate", "=,=,="),
        ("x-request-id", "two words"),
        ("x-forwarded-for", "not an address"),
        ("x-unknown", "whatever"),
    ] {
        app.user.with(key, value).ok(GetCurrentUserRequest::default()).await;
    }
}

#[tokio::test]
async fn metadata_that_is_too_large_is_refused_by_http2_itself_and_the_service_lives_on() {
    let app = Pair::start().await;
    for size in [17 * 1024, 256 * 1024] {
        let large = "x".repeat(size);
        let auth = app.user.with("x-large", &large).raw(auth::GetCurrentSessionRequest {}).await;
        assert!(auth.is_err());
        let users = app.user.with("x-large", &large).raw(GetCurrentUserRequest::default()).await;
        assert!(users.is_err());
    }
    let many = (0..500).fold((*app.user).clone(), |caller, n| caller.with("x-many", &format!("{n:060}")));
    assert!(many.raw(GetCurrentUserRequest::default()).await.is_err());
    app.user.ok(GetCurrentUserRequest::default()).await;
    app.user.ok(auth::GetCurrentSessionRequest {}).await;
    app.user.with("x-large", &"x".repeat(8 * 1024)).ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test]
async fn tokens_that_were_tampered_with_admit_nobody() {
    let app = Pair::start().await;
    let parts: Vec<&str> = app.super_admin.token.split('.').collect();
    let users: Vec<&str> = app.user.token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0";
    for token in [
        format!("{}.{}.{}", parts[0], users[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}=", app.super_admin.token),
        "x".repeat(8_000),
    ] {
        let caller = app.anonymous.bearer(&token);
        caller.refused("UNAUTHENTICATED", ListUsersRequest::default()).await;
        caller.refused("UNAUTHENTICATED", auth::GetCurrentSessionRequest {}).await;
    }
    app.super_admin.ok(ListUsersRequest::default()).await;
    app.anonymous.ok(sign_up("newcomer")).await;
}
