//! The rules of the reference system: usernames, passwords, roles, states.

use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, SignUpRequest};
use api::identity::{CheckCredentialRequest, RegisterAccountRequest, SetPasswordRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUserSessionsRequest, ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest,
    RevokeUserSessionsRequest, SetUserPasswordRequest, User, UserRole, UserState,
};
use e2e::{PASSWORD, Pair, Person, Settings, by_id, by_name, sign_up};

async fn user_of(person: &Person) -> User {
    person.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user")
}

#[tokio::test]
async fn usernames_are_accepted_as_they_are_entered() {
    let app = Pair::start().await;
    for name in ["user1", "Bob.B", "a-b_c.d", "12345", "x.y-z_0", "ABCDEFGHIJKLMNOPQRST", "a0000", "0.0.0"] {
        let signed_up = app.signed_up(name).await;
        let user = app.visible(&signed_up.user_id, &signed_up.consistency_token).await;
        assert_eq!(user.username, name);
        assert_eq!((user.role(), user.state()), (UserRole::User, UserState::Active));
    }
}

#[tokio::test]
async fn usernames_outside_the_rules_are_refused_with_every_reason() {
    let app = Pair::start().await;
    let bad: [(&str, &[&str]); 16] = [
        ("", &["REQUIRED"]),
        ("abcd", &["TOO_SHORT"]),
        ("ABCDEFGHIJKLMNOPQRSTU", &["TOO_LONG"]),
        (".alice", &["SEPARATOR_AT_EDGE"]),
        ("alice_", &["SEPARATOR_AT_EDGE"]),
        ("al..ice", &["CONSECUTIVE_SEPARATORS"]),
        ("al.-ice", &["CONSECUTIVE_SEPARATORS"]),
        ("al_.ice", &["CONSECUTIVE_SEPARATORS"]),
        ("al ice", &["INVALID_CHARACTER"]),
        (" alice", &["INVALID_CHARACTER"]),
        ("alice\0", &["INVALID_CHARACTER"]),
        ("al\u{200b}ice", &["INVALID_CHARACTER"]),
        ("alic\u{e9}", &["INVALID_CHARACTER"]),
        ("\u{ff41}lice", &["INVALID_CHARACTER"]),
        ("al@ice", &["INVALID_CHARACTER"]),
        ("-.", &["TOO_SHORT", "SEPARATOR_AT_EDGE", "CONSECUTIVE_SEPARATORS"]),
    ];
    for (name, reasons) in bad {
        let expected: Vec<_> = reasons.iter().map(|reason| ("username", *reason)).collect();
        assert_eq!(
            app.anonymous.refused("INVALID_FIELD", sign_up(name)).await.broken(),
            expected,
            "{name:?}"
        );
        let request = CreateUserRequest {
            username: name.into(),
            password: PASSWORD.into(),
            role: UserRole::User.into(),
            request_id: String::new(),
        };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), expected, "{name:?}");
    }
}

#[tokio::test]
async fn a_username_is_taken_in_any_case_by_whichever_way_it_was_made() {
    let app = Pair::start().await;
    app.signed_up("Newcomer").await;
    for taken in ["Newcomer", "newcomer", "NEWCOMER", "ALICE", "SuperAdmin"] {
        let refusal = app.anonymous.refused("USERNAME_TAKEN", sign_up(taken)).await;
        assert_eq!(refusal.resource, Some(("tandem.users.v1.User".into(), taken.into())));
        let request = CreateUserRequest {
            username: taken.into(),
            password: PASSWORD.into(),
            role: UserRole::Admin.into(),
            request_id: String::new(),
        };
        let refusal = app.super_admin.refused("USERNAME_TAKEN", request).await;
        assert_eq!(refusal.resource, Some(("tandem.users.v1.User".into(), taken.into())));
    }
}

#[tokio::test]
async fn passwords_are_counted_in_code_points_and_used_as_received() {
    let app = Pair::start().await;
    let cases: [(&str, Option<&str>); 12] = [
        ("  spaces kept  ", None),
        (
            "\u{e9}\u{e0}\u{fc}\u{f8}\u{df}\u{f1}\u{e7}\u{e5}\u{e6}\u{153}\u{fe}\u{f0}\u{142}\u{17e}\u{151}",
            None,
        ),
        ("nul \0 is fine here", None),
        ("\u{1f980}\u{1f41f}\u{1f30a}\u{1f40c}\u{1f427}\u{1f333}\u{1f319}\u{1f98a}", Some("TOO_SHORT")),
        ("fourteen chars", Some("TOO_SHORT")),
        ("", Some("REQUIRED")),
        ("1234567890123456", Some("COMMON_PASSWORD")),
        ("xyzxyzxyzxyzxyz", Some("REPETITIVE")),
        ("987654321098765", Some("PREDICTABLE")),
        ("my name is NEWCOMER6 yes", Some("CONTAINS_USERNAME")),
        ("tandem bicycle ride", Some("CONTAINS_PRODUCT_NAME")),
        (&"x".repeat(257), Some("TOO_LONG")),
    ];
    for (number, (password, broken)) in cases.into_iter().enumerate() {
        let username = if broken == Some("CONTAINS_USERNAME") {
            "newcomer6".into()
        } else {
            format!("somebody{number}")
        };
        let request = SignUpRequest {
            username: username.clone(),
            password: password.into(),
            request_id: String::new(),
        };
        let Some(rule) = broken else {
            app.anonymous.ok(request).await;
            let log_in = |password: &str| api::auth::LogInRequest {
                username: username.clone(),
                password: password.into(),
            };
            app.anonymous.ok(log_in(password)).await;
            for altered in [password.trim(), &password.replace('\0', ""), &password.to_uppercase()] {
                if altered != password {
                    app.anonymous.refused("INVALID_CREDENTIALS", log_in(altered)).await;
                }
            }
            continue;
        };
        assert_eq!(app.anonymous.refused("INVALID_FIELD", request).await.broken(), [("password", rule)]);
    }
    // No two of them are alike, and no two neighbours are side by side.
    let longest = (0..256).filter_map(|number| char::from_u32(0x1f300 + number * 37 % 256)).collect();
    app.anonymous
        .ok(SignUpRequest { username: "longest".into(), password: longest, request_id: String::new() })
        .await;
}

#[tokio::test]
async fn a_password_that_is_easily_guessed_is_refused_by_every_setter() {
    let app = Pair::start().await;
    refused_by_every_setter(
        &app,
        &[
            ("1q2w3e4r5t6y7u8i", "COMMON_PASSWORD"),
            ("password1password1", "REPETITIVE"),
            ("ABCDEFGH12345678", "PREDICTABLE"),
        ],
    )
    .await;
}

/// Where the list matters most.
#[tokio::test]
async fn short_passwords_that_are_common_are_refused_by_every_setter() {
    let app = Pair::start_with(Settings::default().unlimited().auth("PASSWORD__MIN_LENGTH", "8")).await;
    refused_by_every_setter(
        &app,
        &[("password1", "COMMON_PASSWORD"), ("Iloveyou", "COMMON_PASSWORD"), ("87654321", "COMMON_PASSWORD")],
    )
    .await;
    let request = SignUpRequest { password: "xk4!fq9z".into(), ..sign_up("laconic") };
    app.anonymous.ok(request).await;
}

async fn refused_by_every_setter(app: &Pair, passwords: &[(&str, &str)]) {
    for &(password, rule) in passwords {
        let (password, refusal) = (password.to_owned(), [("password", rule)]);
        let request = SignUpRequest { password: password.clone(), ..sign_up("newcomer") };
        assert_eq!(app.anonymous.refused("INVALID_FIELD", request).await.broken(), refusal);
        let request =
            ChangePasswordRequest { current_password: PASSWORD.into(), new_password: password.clone() };
        let broken = app.user.refused("INVALID_FIELD", request).await;
        assert_eq!(broken.broken(), [("new_password", rule)]);
        let request = CreateUserRequest {
            username: "newcomer".into(),
            password: password.clone(),
            role: UserRole::User.into(),
            request_id: String::new(),
        };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), refusal);
        let request = SetUserPasswordRequest { user: by_id(&app.user.id), password: password.clone() };
        assert_eq!(app.admin.refused("INVALID_FIELD", request).await.broken(), refusal);
        let request = RegisterAccountRequest {
            account_id: "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c".into(),
            username: "newcomer".into(),
            password: password.clone(),
            actor_id: String::new(),
        };
        assert_eq!(app.full.refused("INVALID_FIELD", request).await.broken(), refusal);
        let request = SetPasswordRequest {
            account_id: app.user.id.clone(),
            password: password.clone(),
            ..Default::default()
        };
        assert_eq!(app.full.refused("INVALID_FIELD", request).await.broken(), refusal);
        for username in ["", "newcomer"] {
            let request = CheckCredentialRequest { username: username.into(), password: password.clone() };
            let found = app.full.ok(request).await.message.violations;
            let found: Vec<_> = found.iter().map(|one| (one.field.as_str(), one.reason.as_str())).collect();
            assert_eq!(found, refusal, "{username:?}");
        }
    }
    app.user.ok(GetCurrentSessionRequest {}).await;
    app.signed_up("newcomer").await;
}

#[tokio::test]
async fn every_bad_field_of_a_sign_up_and_of_a_creation_is_named_at_once() {
    let app = Pair::start().await;
    let request =
        SignUpRequest { username: "a.".into(), password: "my tandem".into(), request_id: "nonsense".into() };
    let fields = [
        ("username", "TOO_SHORT"),
        ("username", "SEPARATOR_AT_EDGE"),
        ("password", "TOO_SHORT"),
        ("password", "CONTAINS_PRODUCT_NAME"),
    ];
    let mut expected = fields.to_vec();
    expected.push(("request_id", "NOT_A_UUID"));
    let mut found = app.anonymous.refused("INVALID_FIELD", request).await;
    found.violations.sort();
    expected.sort_unstable();
    assert_eq!(found.broken(), expected);
    for (role, rule) in [(0, "UNSPECIFIED"), (3, "NOT_ALLOWED"), (99, "UNKNOWN_VALUE"), (-1, "UNKNOWN_VALUE")]
    {
        let request = CreateUserRequest {
            username: "a.".into(),
            password: "my tandem".into(),
            role,
            request_id: "{0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c}".into(),
        };
        let mut expected = fields.to_vec();
        expected.extend([("request_id", "NOT_A_UUID"), ("role", rule)]);
        expected.sort_unstable();
        let mut found = app.super_admin.refused("INVALID_FIELD", request).await;
        found.violations.sort();
        assert_eq!(found.broken(), expected);
    }
}

#[tokio::test]
async fn a_role_acts_on_the_very_next_call_and_sessions_are_kept() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    bob.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
    app.super_admin.ok(GrantAdminRequest { user: by_id(&bob.id), etag: String::new() }).await;
    bob.ok(ListUsersRequest::default()).await;
    assert_eq!(user_of(&bob).await.role(), UserRole::Admin);
    app.super_admin.ok(RevokeAdminRequest { user: by_id(&bob.id), etag: String::new() }).await;
    bob.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
    bob.ok(GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn the_admin_role_is_granted_to_and_revoked_from_inactive_users_too() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let by = &app.super_admin;
    by.ok(InactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    let granted = by.ok(GrantAdminRequest { user: by_id(&bob.id), etag: String::new() }).await.message.user;
    let granted = granted.expect("a user");
    assert_eq!((granted.role(), granted.state()), (UserRole::Admin, UserState::Inactive));
    by.ok(ReactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    app.log_in(&bob.username).await.ok(ListUsersRequest::default()).await;
    by.ok(InactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    let revoked = by.ok(RevokeAdminRequest { user: by_id(&bob.id), etag: String::new() }).await.message.user;
    let revoked = revoked.expect("a user");
    assert_eq!((revoked.role(), revoked.state()), (UserRole::User, UserState::Inactive));
}

#[tokio::test]
async fn inactivation_ends_every_session_also_of_a_user_who_is_inactive_already() {
    let app = Pair::start().await;
    let bob = app.somebody(UserRole::User).await;
    let second = app.log_in(&bob.username).await;
    app.admin.ok(InactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    for over in [&bob, &second] {
        over.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
        over.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    }
    app.admin.ok(InactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    app.admin.ok(ReactivateUserRequest { user: by_id(&bob.id), etag: String::new() }).await;
    bob.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    app.log_in(&bob.username).await;
}

#[tokio::test]
async fn a_super_admin_cannot_be_touched_through_the_api() {
    let app = Pair::start().await;
    let other = app.somebody(UserRole::SuperAdmin).await;
    let before = user_of(&other).await;
    for by in [&app.admin, &app.super_admin] {
        for user in [by_id(&other.id), by_name(&other.username.to_uppercase())] {
            by.refused("ROLE_TOO_LOW", InactivateUserRequest { user, etag: String::new() }).await;
        }
        by.refused("ROLE_TOO_LOW", ReactivateUserRequest { user: by_id(&other.id), etag: String::new() })
            .await;
        by.refused("ROLE_TOO_LOW", GrantAdminRequest { user: by_id(&other.id), etag: String::new() }).await;
        by.refused("ROLE_TOO_LOW", RevokeAdminRequest { user: by_id(&other.id), etag: String::new() }).await;
        let request =
            SetUserPasswordRequest { user: by_id(&other.id), password: "another long secret".into() };
        by.refused("ROLE_TOO_LOW", request).await;
        let request = ListUserSessionsRequest { user: by_id(&other.id), ..Default::default() };
        by.refused("ROLE_TOO_LOW", request).await;
        let request = RevokeUserSessionsRequest { user: by_id(&other.id), session_id: String::new() };
        by.refused("ROLE_TOO_LOW", request).await;
    }
    assert_eq!(user_of(&other).await, before);
    let listed = app
        .admin
        .ok(ListUsersRequest { roles: vec![UserRole::SuperAdmin.into()], ..Default::default() })
        .await;
    assert_eq!(listed.users.len(), 2, "they are listed all the same");
}

#[tokio::test]
async fn a_user_sees_itself_by_id_and_by_name_in_any_case() {
    let app = Pair::start().await;
    let own = user_of(&app.user).await;
    assert_eq!(
        (own.username.as_str(), own.role(), own.state()),
        ("alice", UserRole::User, UserState::Active)
    );
    for user in [by_id(&app.user.id), by_name("alice"), by_name("ALICE")] {
        let request = GetUserRequest { user, consistency_token: String::new() };
        assert_eq!(app.user.ok(request).await.message.user.expect("a user"), own);
    }
    for user in [None, by_name("x"), by_id("nonsense"), by_name(&app.user.id)] {
        let request = GetUserRequest { user, consistency_token: "garbage".into() };
        app.user.refused("ROLE_TOO_LOW", request).await;
    }
}
