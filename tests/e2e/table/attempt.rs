//! The call of a cell: for each rpc, a request that is right but for who makes it and whom it is about.

use std::sync::atomic::{AtomicU32, Ordering};

use api::{Rpc, auth, identity as port, users};
use e2e::{ByKey, Failure, PASSWORD, by_id, by_name, sign_up};

use super::callers::{Cast, Player};

/// By what the target of a call is named: by id and, where the method takes it, by username.
pub(super) fn names(rpc: Rpc, target: &Player) -> Vec<&str> {
    let takes_both = matches!(
        rpc,
        Rpc::UsersGetUser
            | Rpc::UsersInactivateUser
            | Rpc::UsersReactivateUser
            | Rpc::UsersGrantAdmin
            | Rpc::UsersRevokeAdmin
            | Rpc::UsersSetUserPassword
            | Rpc::UsersListUserSessions
            | Rpc::UsersRevokeUserSessions
    );
    if takes_both { vec![&target.id, &target.username] } else { vec![&target.id] }
}

const OTHER_PASSWORD: &str = "another long secret";

/// Calls an rpc for somebody, about the target that is called so.
pub(super) async fn call(
    rpc: Rpc,
    cast: &Cast,
    player: &Player,
    target: &Player,
    name: &str,
) -> Result<(), Failure> {
    let caller = &player.caller;
    match rpc {
        Rpc::AuthSignUp => {
            let signed_up = caller.call(sign_up(&new_name())).await?.message;
            cast.app.visible(&signed_up.user_id, &signed_up.consistency_token).await;
            Ok(())
        }
        Rpc::AuthLogIn => {
            let username = cast.app.user.username.clone();
            caller.call(auth::LogInRequest { username, password: PASSWORD.into() }).await.map(drop)
        }
        Rpc::AuthLogOut => caller.call(auth::LogOutRequest {}).await.map(drop),
        Rpc::AuthRefreshSession => caller.call(auth::RefreshSessionRequest {}).await.map(drop),
        Rpc::AuthGetCurrentSession => caller.call(auth::GetCurrentSessionRequest {}).await.map(drop),
        Rpc::AuthListSessions => caller.call(auth::ListSessionsRequest::default()).await.map(drop),
        Rpc::AuthRevokeSession => {
            let request = auth::RevokeSessionRequest { session_id: target.session_id.clone() };
            caller.call(request).await.map(drop)
        }
        Rpc::AuthRevokeAllSessions => {
            caller.call(auth::RevokeAllSessionsRequest { keep_current: true }).await.map(drop)
        }
        Rpc::AuthChangePassword => {
            let request = auth::ChangePasswordRequest {
                current_password: PASSWORD.into(),
                new_password: OTHER_PASSWORD.into(),
            };
            caller.call(request).await.map(drop)
        }
        Rpc::UsersCreateUser => {
            let role = if target.username == super::UNKNOWN[1] { 99 } else { target.role.into() };
            let request = users::CreateUserRequest {
                username: new_name(),
                password: PASSWORD.into(),
                role,
                request_id: String::new(),
            };
            caller.call(request).await.map(drop)
        }
        Rpc::UsersGetUser => {
            let request = users::GetUserRequest { user: key(name), consistency_token: String::new() };
            caller.call(request).await.map(drop)
        }
        Rpc::UsersGetCurrentUser => caller.call(users::GetCurrentUserRequest::default()).await.map(drop),
        Rpc::UsersListUsers => caller.call(users::ListUsersRequest::default()).await.map(drop),
        Rpc::UsersInactivateUser => {
            caller.call(users::InactivateUserRequest { user: key(name), etag: String::new() }).await.map(drop)
        }
        Rpc::UsersReactivateUser => {
            caller.call(users::ReactivateUserRequest { user: key(name), etag: String::new() }).await.map(drop)
        }
        Rpc::UsersGrantAdmin => {
            caller.call(users::GrantAdminRequest { user: key(name), etag: String::new() }).await.map(drop)
        }
        Rpc::UsersRevokeAdmin => {
            caller.call(users::RevokeAdminRequest { user: key(name), etag: String::new() }).await.map(drop)
        }
        Rpc::UsersSetUserPassword => {
            let request = users::SetUserPasswordRequest { user: key(name), password: OTHER_PASSWORD.into() };
            caller.call(request).await.map(drop)
        }
        Rpc::UsersListUserSessions => {
            let request = users::ListUserSessionsRequest { user: key(name), ..Default::default() };
            caller.call(request).await.map(drop)
        }
        Rpc::UsersRevokeUserSessions => {
            let request = users::RevokeUserSessionsRequest { user: key(name), session_id: String::new() };
            caller.call(request).await.map(drop)
        }
        Rpc::IdentityProviderAuthenticate
        | Rpc::IdentityProviderGetAccount
        | Rpc::IdentityProviderCheckCredential
        | Rpc::IdentityProviderRegisterAccount
        | Rpc::IdentityProviderSetPassword
        | Rpc::IdentityProviderEnableAccount
        | Rpc::IdentityProviderDisableAccount
        | Rpc::IdentityProviderRevokeSessions
        | Rpc::IdentityProviderListSessions
        | Rpc::IdentityProviderWatchAccounts => of_the_port(rpc, cast, player).await,
    }
}

async fn of_the_port(rpc: Rpc, cast: &Cast, player: &Player) -> Result<(), Failure> {
    let caller = &player.caller;
    let account_id = cast.app.user.id.clone();
    let actor_id = cast.app.admin.id.clone();
    match rpc {
        Rpc::IdentityProviderAuthenticate => {
            let access_token = cast.app.user.token.clone();
            caller.call(port::AuthenticateRequest { access_token, skip_renewal: false }).await.map(drop)
        }
        Rpc::IdentityProviderGetAccount => {
            caller.call(port::GetAccountRequest { key: by_id(&account_id) }).await.map(drop)
        }
        Rpc::IdentityProviderCheckCredential => {
            let request = port::CheckCredentialRequest { username: new_name(), password: PASSWORD.into() };
            caller.call(request).await.map(drop)
        }
        Rpc::IdentityProviderRegisterAccount => {
            let request = port::RegisterAccountRequest {
                account_id: new_id(),
                username: new_name(),
                password: PASSWORD.into(),
                actor_id,
            };
            changed(cast, caller.call(request).await?.message.account).await
        }
        Rpc::IdentityProviderSetPassword => {
            let password = OTHER_PASSWORD.into();
            let request = port::SetPasswordRequest { account_id, password, expected_version: 0, actor_id };
            changed(cast, caller.call(request).await?.message.account).await
        }
        Rpc::IdentityProviderEnableAccount => {
            let request = port::EnableAccountRequest { account_id, expected_version: 0, actor_id };
            changed(cast, caller.call(request).await?.message.account).await
        }
        Rpc::IdentityProviderDisableAccount => {
            let request = port::DisableAccountRequest { account_id, expected_version: 0, actor_id };
            changed(cast, caller.call(request).await?.message.account).await
        }
        Rpc::IdentityProviderRevokeSessions => {
            let request = port::RevokeSessionsRequest { account_id, session_id: String::new(), actor_id };
            caller.call(request).await.map(drop)
        }
        Rpc::IdentityProviderListSessions => {
            caller.call(port::ListSessionsRequest { account_id, ..Default::default() }).await.map(drop)
        }
        Rpc::IdentityProviderWatchAccounts => caller.watch("").await.map(drop),
        other => panic!("{other:?} is not of the port"),
    }
}

/// Waits until users-service shows what was done behind its back.
async fn changed(cast: &Cast, account: Option<port::Account>) -> Result<(), Failure> {
    cast.app.shows(&account.expect("an account")).await;
    Ok(())
}

/// Names a user by what it is called, whichever it is.
fn key<K: ByKey>(name: &str) -> Option<K> {
    if uuid::Uuid::try_parse(name).is_ok() { by_id(name) } else { by_name(name) }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn new_name() -> String {
    format!("newcomer{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn new_id() -> String {
    uuid::Uuid::from_u128(
        0x0198_f0c2_7d1e_7000_8000_0000_0000_0000 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed)),
    )
    .to_string()
}
