//! auth-service away: nobody is let in, nobody is told that it is the token, and everything goes on by itself after.

mod cut_off;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use api::auth::GetCurrentSessionRequest;
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest,
    ListUserSessionsRequest, ListUsersRequest, ReactivateUserRequest, RevokeAdminRequest,
    RevokeUserSessionsRequest, SetUserPasswordRequest, UserRole,
};
use e2e::{Caller, PASSWORD, Pair, Service, Settings, by_id, eventually, get};

const AWAY: &str = "IDENTITY_PROVIDER_UNAVAILABLE";

/// Every rpc is refused for the outage, whatever the token.
async fn everything_is_away(caller: &Caller, id: &str) {
    let etag = String::new();
    caller.refused(AWAY, GetCurrentUserRequest::default()).await;
    caller.refused(AWAY, GetUserRequest { user: by_id(id), consistency_token: String::new() }).await;
    caller.refused(AWAY, ListUsersRequest::default()).await;
    caller.refused(AWAY, InactivateUserRequest { user: by_id(id), etag: etag.clone() }).await;
    caller.refused(AWAY, ReactivateUserRequest { user: by_id(id), etag: etag.clone() }).await;
    caller.refused(AWAY, GrantAdminRequest { user: by_id(id), etag: etag.clone() }).await;
    caller.refused(AWAY, RevokeAdminRequest { user: by_id(id), etag }).await;
    caller.refused(AWAY, SetUserPasswordRequest { user: by_id(id), password: PASSWORD.into() }).await;
    caller.refused(AWAY, ListUserSessionsRequest { user: by_id(id), ..Default::default() }).await;
    caller.refused(AWAY, RevokeUserSessionsRequest { user: by_id(id), session_id: String::new() }).await;
    let request = CreateUserRequest {
        username: "newcomer".into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    caller.refused(AWAY, request).await;
}

#[tokio::test]
async fn an_outage_of_auth_service_is_called_one_and_is_over_when_it_is_back() {
    let mut app = Pair::start().await;
    app.stop_auth().await;
    everything_is_away(&app.super_admin, &app.user.id).await;
    everything_is_away(&app.user, &app.user.id).await;
    everything_is_away(&app.anonymous.bearer("nonsense"), &app.user.id).await;
    app.anonymous.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    assert_eq!(get(app.users_ops(), "/readyz").await.0, 200, "it answers, so it is ready");

    app.start_auth().await;
    eventually("the connection to be made again", async || {
        app.user.call(GetCurrentUserRequest::default()).await.ok()
    })
    .await;
    let request = GetUserRequest { user: by_id(&app.user.id), consistency_token: String::new() };
    app.super_admin.ok(request).await;
    app.super_admin.ok(InactivateUserRequest { user: by_id(&app.user.id), etag: String::new() }).await;
}

#[tokio::test]
async fn auth_service_is_found_by_its_name_and_found_again() {
    let mut app = Pair::start_with(Settings::default().behind("localhost")).await;
    app.user.ok(GetCurrentUserRequest::default()).await;
    app.stop_auth().await;
    everything_is_away(&app.super_admin, &app.user.id).await;
    app.start_auth().await;
    eventually("the connection to be made again", async || {
        app.user.call(GetCurrentUserRequest::default()).await.ok()
    })
    .await;
}

#[tokio::test]
async fn a_session_is_still_good_after_both_services_were_restarted() {
    let mut app = Pair::start().await;
    app.stop_auth().await;
    app.stop_users().await;
    app.start_auth().await;
    app.start_users().await;
    app.user.ok(GetCurrentSessionRequest {}).await;
    let user = app.admin.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_eq!((user.user_id.as_str(), user.role()), (app.admin.id.as_str(), UserRole::Admin));
}

#[tokio::test]
async fn auth_service_does_its_work_without_users_service() {
    let mut app = Pair::start().await;
    app.stop_users().await;
    app.signed_up("newcomer").await;
    let newcomer = app.log_in("newcomer").await;
    newcomer.ok(GetCurrentSessionRequest {}).await;
    app.start_users().await;
    let user = newcomer.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_eq!((user.username.as_str(), user.role()), ("newcomer", UserRole::User));
}

#[tokio::test]
async fn a_workload_token_that_is_wrong_is_an_outage_to_the_callers() {
    // A file for each side: in one of both, auth-service would come to know whatever is written to it.
    let folder = tempfile::tempdir().expect("a folder");
    let [known, shown] = ["known", "shown"].map(|name| folder.path().join(name));
    let [right, wrong] = ["r", "w"].map(|letter| letter.repeat(44));
    let write = |file: &Path, token: &str| {
        fs::write(file, token).expect("written");
        fs::set_permissions(file, Permissions::from_mode(0o600)).expect("closed to others");
    };
    write(&known, &right);
    write(&shown, &right);
    let settings = Settings::default()
        .auth("WORKLOAD__CLIENTS__2__NAME", "another")
        .auth("WORKLOAD__CLIENTS__2__ALLOW", "full")
        .auth("WORKLOAD__CLIENTS__2__TOKEN_FILE", known.to_str().expect("text"))
        .users("IDENTITY_PROVIDER__TOKEN_FILE", shown.to_str().expect("text"));
    let mut app = Pair::start_with(settings).await;
    app.stop_users().await;
    write(&shown, &wrong);
    app.start_users().await;
    everything_is_away(&app.super_admin, &app.user.id).await;
    app.stop_users().await;
    write(&shown, &right);
    app.start_users().await;
    app.super_admin.ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_is_called_unavailable_and_what_only_reads_goes_on() {
    let app = Pair::start().await;
    let before = app.user.ok(GetCurrentUserRequest::default()).await.message;
    let (auth, users) = (app.data().occupy(Service::Auth).await, app.data().occupy(Service::Users).await);
    let patient = |caller: &Caller| caller.with("grpc-timeout", "25S");
    let (anonymous, super_admin) = (patient(&app.anonymous), patient(&app.super_admin));
    tokio::join!(
        anonymous.refused("STORAGE_UNAVAILABLE", e2e::sign_up("newcomer")),
        super_admin.refused(
            "STORAGE_UNAVAILABLE",
            GrantAdminRequest { user: by_id(&app.user.id), etag: String::new() }
        ),
        async {
            app.user.ok(GetCurrentSessionRequest {}).await;
            app.admin.ok(ListUsersRequest::default()).await;
        },
    );
    drop((auth, users));
    assert_eq!(app.user.ok(GetCurrentUserRequest::default()).await.message, before, "nothing was changed");
    app.signed_up("newcomer").await;
    app.super_admin.ok(GrantAdminRequest { user: by_id(&app.user.id), etag: String::new() }).await;
}
