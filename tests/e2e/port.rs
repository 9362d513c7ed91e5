//! The identity-provider port, as a workload uses it.

use api::auth::LogOutRequest;
use api::identity::authenticate_response::Outcome;
use api::identity::{
    AccountState, AuthenticateRequest, CheckCredentialRequest, DenialReason, DisableAccountRequest,
    EnableAccountRequest, GetAccountRequest, ListSessionsRequest, RegisterAccountRequest,
    RevokeSessionsRequest, SetPasswordRequest,
};
use e2e::{PASSWORD, Pair, by_id, by_name};

const ID: &str = "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c";

fn register(id: &str, username: &str) -> RegisterAccountRequest {
    RegisterAccountRequest {
        account_id: id.into(),
        username: username.into(),
        password: PASSWORD.into(),
        actor_id: String::new(),
    }
}

async fn outcome(app: &Pair, token: &str) -> Outcome {
    let request = AuthenticateRequest { access_token: token.into(), skip_renewal: true };
    app.verify.ok(request).await.message.outcome.expect("an outcome")
}

async fn denial(app: &Pair, token: &str) -> DenialReason {
    match outcome(app, token).await {
        Outcome::Denied(denial) => denial.reason(),
        Outcome::Principal(principal) => panic!("admitted: {principal:?}"),
    }
}

#[tokio::test]
async fn a_good_token_names_its_principal() {
    let app = Pair::start().await;
    let Outcome::Principal(principal) = outcome(&app, &app.user.token).await else { panic!("denied") };
    assert_eq!((principal.account_id, principal.username), (app.user.id.clone(), "alice".into()));
    assert_eq!(principal.session_id, app.user.session.session_id);
    assert_eq!(principal.expire_time, app.user.session.expire_time);
    assert_eq!(principal.authenticated_time, app.user.session.authenticated_time);
    let account = app.verify.ok(GetAccountRequest { key: by_id(&app.user.id) }).await.message.account;
    let account = account.expect("an account");
    assert_eq!((principal.account_version, principal.account_epoch), (account.version, account.epoch));
}

#[tokio::test]
async fn a_denial_is_an_outcome_with_its_reason_and_no_error() {
    let app = Pair::start().await;
    for malformed in ["", "nonsense", "a.b.c", &app.user.token[1..]] {
        assert_eq!(denial(&app, malformed).await, DenialReason::Malformed, "{malformed}");
    }
    let ended = app.log_in("alice").await;
    ended.ok(LogOutRequest {}).await;
    assert_eq!(denial(&app, &ended.token).await, DenialReason::Revoked);
    let request = DisableAccountRequest { account_id: app.user.id.clone(), ..Default::default() };
    app.full.ok(request).await;
    // Its sessions are gone with it, so there is nothing left to call disabled.
    assert_eq!(denial(&app, &app.user.token).await, DenialReason::Revoked);
}

#[tokio::test]
async fn an_account_is_found_by_id_and_by_name_in_any_case() {
    let app = Pair::start().await;
    let by = |key| app.verify.ok(GetAccountRequest { key });
    let account = by(by_id(&app.user.id)).await.message;
    assert_eq!(by(by_name("aLiCe")).await.message, account);
    let account = account.account.expect("an account");
    assert_eq!((account.username.as_str(), account.state()), ("alice", AccountState::Active));
    for (key, name) in [(by_id(ID), ID), (by_name("nobody"), "nobody")] {
        let refusal = app.verify.refused("ACCOUNT_NOT_FOUND", GetAccountRequest { key }).await;
        assert_eq!(refusal.resource, Some(("tandem.identity.v1.Account".into(), name.into())));
    }
    for (key, broken) in [
        (None, ("key", "REQUIRED")),
        (by_id("nonsense"), ("account_id", "NOT_A_UUID")),
        (by_id(&ID.to_uppercase()), ("account_id", "NOT_A_UUID")),
        (by_name("x"), ("username", "TOO_SHORT")),
    ] {
        assert_eq!(app.verify.refused("INVALID_FIELD", GetAccountRequest { key }).await.broken(), [broken]);
    }
}

#[tokio::test]
async fn a_registration_repeated_with_the_same_content_succeeds_and_with_other_content_does_not() {
    let app = Pair::start().await;
    let first = app.full.ok(register(ID, "worker")).await.message;
    assert_eq!(app.full.ok(register(ID, "worker")).await.message, first);
    let others = [
        register(ID, "helper"),
        register(ID, "WORKER"),
        RegisterAccountRequest { password: "another long secret".into(), ..register(ID, "worker") },
    ];
    for other in others {
        let refusal = app.full.refused("ACCOUNT_ID_TAKEN", other).await;
        assert_eq!(refusal.resource, Some(("tandem.identity.v1.Account".into(), ID.into())));
    }
    let other_id = ID.replace("0198", "0199");
    app.full.refused("USERNAME_TAKEN", register(&other_id, "Worker")).await;
    app.full.refused("ACCOUNT_NOT_FOUND", GetAccountRequest { key: by_id(&other_id) }).await;
}

#[tokio::test]
async fn a_change_goes_by_the_version_that_is_expected() {
    let app = Pair::start().await;
    let registered = app.full.ok(register(ID, "worker")).await.message.account.expect("an account");
    let disable = |expected_version| DisableAccountRequest {
        account_id: ID.into(),
        expected_version,
        actor_id: app.admin.id.clone(),
    };
    let enable = |expected_version| EnableAccountRequest {
        account_id: ID.into(),
        expected_version,
        actor_id: String::new(),
    };
    let set = |expected_version| SetPasswordRequest {
        account_id: ID.into(),
        password: "another long secret".into(),
        expected_version,
        actor_id: String::new(),
    };
    let disabled = app.full.ok(disable(registered.version)).await.message.account.expect("an account");
    assert_eq!(disabled.state(), AccountState::Disabled);
    assert!(disabled.version > registered.version);
    for stale in [registered.version, disabled.version + 1, i64::MAX] {
        app.full.refused("VERSION_MISMATCH", disable(stale)).await;
        app.full.refused("VERSION_MISMATCH", enable(stale)).await;
        app.full.refused("VERSION_MISMATCH", set(stale)).await;
    }
    let broken = [("expected_version", "NEGATIVE")];
    assert_eq!(app.full.refused("INVALID_FIELD", disable(-1)).await.broken(), broken);
    assert_eq!(app.full.refused("INVALID_FIELD", enable(-1)).await.broken(), broken);
    assert_eq!(app.full.refused("INVALID_FIELD", set(-1)).await.broken(), broken);
    let repeated = app.full.ok(disable(0)).await.message.account.expect("an account");
    assert_eq!(repeated, disabled, "a repeat changes nothing");
    let set = app.full.ok(set(disabled.version)).await.message.account.expect("an account");
    assert!(set.version > disabled.version);
    assert_eq!(set.state(), AccountState::Disabled);
    let enabled = app.full.ok(enable(set.version)).await.message.account.expect("an account");
    assert_eq!(enabled.state(), AccountState::Active);
}

#[tokio::test]
async fn whoever_is_not_there_is_not_found_by_any_method() {
    let app = Pair::start().await;
    let account_id = ID.to_owned();
    let full = &app.full;
    let not_found = "ACCOUNT_NOT_FOUND";
    full.refused(not_found, DisableAccountRequest { account_id: account_id.clone(), ..Default::default() })
        .await;
    full.refused(not_found, EnableAccountRequest { account_id: account_id.clone(), ..Default::default() })
        .await;
    full.refused(not_found, RevokeSessionsRequest { account_id: account_id.clone(), ..Default::default() })
        .await;
    full.refused(not_found, ListSessionsRequest { account_id: account_id.clone(), ..Default::default() })
        .await;
    let password = "another long secret".into();
    full.refused(not_found, SetPasswordRequest { account_id, password, ..Default::default() }).await;
}

#[tokio::test]
async fn a_workload_ends_and_lists_sessions() {
    let app = Pair::start().await;
    let second = app.log_in("alice").await;
    let account_id = app.user.id.clone();
    let list = ListSessionsRequest { account_id: account_id.clone(), ..Default::default() };
    assert_eq!(app.full.ok(list.clone()).await.message.sessions.len(), 2);
    let one = RevokeSessionsRequest {
        session_id: second.session.session_id.clone(),
        account_id,
        ..Default::default()
    };
    assert_eq!(app.full.ok(one.clone()).await.message.revoked_count, 1);
    assert_eq!(app.full.ok(one.clone()).await.message.revoked_count, 0);
    let of_another =
        RevokeSessionsRequest { session_id: app.admin.session.session_id.clone(), ..one.clone() };
    assert_eq!(app.full.ok(of_another).await.message.revoked_count, 0);
    let all = RevokeSessionsRequest { session_id: String::new(), ..one };
    assert_eq!(app.full.ok(all).await.message.revoked_count, 1);
    assert!(app.full.ok(list).await.message.sessions.is_empty());
    app.admin.ok(api::auth::GetCurrentSessionRequest {}).await;
}

#[tokio::test]
async fn a_credential_is_held_against_the_whole_policy_without_being_stored() {
    let app = Pair::start().await;
    let check = async |username: &str, password: &str| {
        let request = CheckCredentialRequest { username: username.into(), password: password.into() };
        let found = app.full.ok(request).await.message.violations;
        found.into_iter().map(|violation| (violation.field, violation.reason)).collect::<Vec<_>>()
    };
    assert_eq!(check("newcomer", PASSWORD).await, []);
    assert_eq!(check("", PASSWORD).await, []);
    assert_eq!(check("alice", PASSWORD).await, [], "whether a name is taken is not asked");
    let mut found = check("a", "my tandem").await;
    found.sort();
    let expected =
        [("password", "CONTAINS_PRODUCT_NAME"), ("password", "TOO_SHORT"), ("username", "TOO_SHORT")];
    assert_eq!(found, expected.map(|(field, rule)| (field.to_owned(), rule.to_owned())));
    let expected = [("password".to_owned(), "CONTAINS_USERNAME".to_owned())];
    assert_eq!(check("newcomer", "the NewComer's secret").await, expected);
}

#[tokio::test]
async fn a_repeated_or_malformed_credential_is_nobodys() {
    let app = Pair::start().await;
    let request = GetAccountRequest { key: by_id(&app.user.id) };
    let callers = [
        app.full.with("authorization", "Bearer second"),
        app.anonymous.with("authorization", "Basic eDp5"),
        app.anonymous.with("authorization", "Bearer"),
        app.anonymous.bearer(&"x".repeat(44)),
    ];
    for caller in callers {
        caller.refused("WORKLOAD_UNAUTHENTICATED", request.clone()).await;
    }
}
