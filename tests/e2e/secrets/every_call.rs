//! Every rpc there is, with good and with bad input.

use api::identity::authenticate_response::Outcome;
use api::{Rpc, auth, identity as port, users};
use e2e::{by_id, by_name, eventually};

use super::witness::{Somebody, Witness};

/// Calls an rpc in every way that has a secret in it.
pub(super) async fn make(rpc: Rpc, witness: &mut Witness<'_>, boss: &Somebody) {
    match rpc {
        Rpc::AuthSignUp
        | Rpc::AuthLogIn
        | Rpc::AuthLogOut
        | Rpc::AuthRefreshSession
        | Rpc::AuthGetCurrentSession
        | Rpc::AuthListSessions
        | Rpc::AuthRevokeSession
        | Rpc::AuthRevokeAllSessions
        | Rpc::AuthChangePassword => of_auth(rpc, witness).await,
        Rpc::UsersCreateUser
        | Rpc::UsersGetUser
        | Rpc::UsersGetCurrentUser
        | Rpc::UsersListUsers
        | Rpc::UsersInactivateUser
        | Rpc::UsersReactivateUser
        | Rpc::UsersGrantAdmin
        | Rpc::UsersRevokeAdmin
        | Rpc::UsersSetUserPassword
        | Rpc::UsersListUserSessions
        | Rpc::UsersRevokeUserSessions => of_users(rpc, witness, boss).await,
        Rpc::IdentityProviderAuthenticate
        | Rpc::IdentityProviderGetAccount
        | Rpc::IdentityProviderCheckCredential
        | Rpc::IdentityProviderRegisterAccount
        | Rpc::IdentityProviderSetPassword
        | Rpc::IdentityProviderEnableAccount
        | Rpc::IdentityProviderDisableAccount
        | Rpc::IdentityProviderRevokeSessions
        | Rpc::IdentityProviderListSessions
        | Rpc::IdentityProviderWatchAccounts => of_the_port(rpc, witness, boss).await,
    }
}

async fn of_auth(rpc: Rpc, witness: &mut Witness<'_>) {
    let anonymous = witness.pair.anonymous.clone();
    let Somebody { person, password } = witness.somebody().await;
    match rpc {
        Rpc::AuthSignUp => {
            let good = witness.canaries.hatch("a password");
            let short = witness.canaries.hatch_short("a password that is too short");
            let request = |password| auth::SignUpRequest {
                username: "signed.up".into(),
                password,
                request_id: String::new(),
            };
            witness.make(&anonymous, request(short)).await.expect_err("it is too short");
            witness.calls(&anonymous, request(good)).await;
        }
        Rpc::AuthLogIn => {
            let wrong = witness.canaries.hatch("a wrong password");
            let misplaced = witness.canaries.hatch("a password in the place of a name")[..20].to_owned();
            witness.canaries.add("a password in the place of a name", &misplaced);
            let request =
                |username: &str, password| auth::LogInRequest { username: username.into(), password };
            let wrong_password = request(&person.username, wrong.clone());
            witness.make(&anonymous, wrong_password).await.expect_err("it is wrong");
            for name in [misplaced.clone(), format!("{misplaced} {misplaced}")] {
                witness.make(&anonymous, request(&name, wrong.clone())).await.expect_err("nobody's name");
            }
            let opened = witness.calls(&anonymous, request(&person.username, password)).await;
            witness.canaries.add_token("a token", &opened.access_token);
            let already = request(&person.username, wrong);
            witness.make(&person, already).await.expect_err("logged in already");
        }
        Rpc::AuthLogOut => drop(witness.calls(&person, auth::LogOutRequest {}).await),
        Rpc::AuthRefreshSession => {
            let opened = witness.calls(&person, auth::RefreshSessionRequest {}).await;
            witness.canaries.add_token("a refreshed token", &opened.access_token);
        }
        Rpc::AuthGetCurrentSession => {
            let request = auth::GetCurrentSessionRequest {};
            eventually("a renewed token", async || {
                let reply = witness.make(&person, request).await.expect("a session");
                reply.renewed()
            })
            .await;
            let mut tampered = person.token.clone();
            tampered.pop();
            witness.canaries.add("a token that lacks a letter", &tampered);
            witness.make(&anonymous.bearer(&tampered), request).await.expect_err("it is no token");
            witness.calls(&person, request).await;
        }
        Rpc::AuthListSessions => drop(witness.calls(&person, auth::ListSessionsRequest::default()).await),
        Rpc::AuthRevokeSession => {
            let request = auth::RevokeSessionRequest { session_id: person.session.session_id.clone() };
            witness.calls(&person, request).await;
        }
        Rpc::AuthRevokeAllSessions => {
            witness.calls(&person, auth::RevokeAllSessionsRequest { keep_current: true }).await;
        }
        Rpc::AuthChangePassword => {
            let request = |current_password: &str, new_password: &str| auth::ChangePasswordRequest {
                current_password: current_password.into(),
                new_password: new_password.into(),
            };
            let wrong = witness.canaries.hatch("a wrong password");
            let short = witness.canaries.hatch_short("a new password that is too short");
            let new = witness.canaries.hatch("a new password");
            for bad in [request(&wrong, &new), request(&password, &short), request(&password, &password)] {
                witness.make(&person, bad).await.expect_err("not so");
            }
            let opened = witness.calls(&person, request(&password, &new)).await;
            witness.canaries.add_token("a token", &opened.access_token);
        }
        other => panic!("{other:?} is not of AuthService"),
    }
}

async fn of_users(rpc: Rpc, witness: &mut Witness<'_>, boss: &Somebody) {
    let boss = boss.person.clone();
    let Somebody { person, .. } = witness.somebody().await;
    let id = &person.id;
    match rpc {
        Rpc::UsersCreateUser => {
            let request = |username: &str, password| users::CreateUserRequest {
                username: username.into(),
                password,
                role: users::UserRole::Admin.into(),
                request_id: String::new(),
            };
            let short = witness.canaries.hatch_short("a password that is too short");
            let good = witness.canaries.hatch("a password");
            witness.make(&boss, request("created.1", short)).await.expect_err("it is too short");
            witness.make(&boss, request(&person.username, good.clone())).await.expect_err("it is taken");
            witness.make(&person, request("created.1", good.clone())).await.expect_err("it is for admins");
            witness.calls(&boss, request("created.1", good)).await;
        }
        Rpc::UsersGetUser => {
            let request = users::GetUserRequest { user: by_name(&person.username), ..Default::default() };
            witness.calls(&boss, request).await;
        }
        Rpc::UsersGetCurrentUser => {
            let request = users::GetCurrentUserRequest::default();
            eventually("a renewed token", async || {
                let reply = witness.make(&person, request.clone()).await.expect("a user");
                reply.renewed()
            })
            .await;
            witness.calls(&person, request).await;
        }
        Rpc::UsersListUsers => {
            let request = users::ListUsersRequest { page_size: 1, ..Default::default() };
            let next = witness.calls(&boss, request.clone()).await.next_page_token.clone();
            witness.calls(&boss, users::ListUsersRequest { page_token: next, ..request }).await;
        }
        Rpc::UsersInactivateUser => {
            witness
                .calls(&boss, users::InactivateUserRequest { user: by_id(id), ..Default::default() })
                .await;
            witness.make(&person, users::GetCurrentUserRequest::default()).await.expect_err("inactive");
        }
        Rpc::UsersReactivateUser => {
            witness
                .calls(&boss, users::ReactivateUserRequest { user: by_id(id), ..Default::default() })
                .await;
        }
        Rpc::UsersGrantAdmin => {
            witness.calls(&boss, users::GrantAdminRequest { user: by_id(id), ..Default::default() }).await;
        }
        Rpc::UsersRevokeAdmin => {
            witness.calls(&boss, users::RevokeAdminRequest { user: by_id(id), ..Default::default() }).await;
        }
        Rpc::UsersSetUserPassword => {
            let request = |password| users::SetUserPasswordRequest { user: by_id(id), password };
            let short = witness.canaries.hatch_short("a password that is too short");
            let good = witness.canaries.hatch("a password that an admin sets");
            witness.make(&boss, request(short)).await.expect_err("it is too short");
            witness.calls(&boss, request(good)).await;
        }
        Rpc::UsersListUserSessions => {
            witness
                .calls(&boss, users::ListUserSessionsRequest { user: by_id(id), ..Default::default() })
                .await;
        }
        Rpc::UsersRevokeUserSessions => {
            let request = users::RevokeUserSessionsRequest { user: by_id(id), ..Default::default() };
            witness.calls(&boss, request).await;
        }
        other => panic!("{other:?} is not of UsersService"),
    }
}

async fn of_the_port(rpc: Rpc, witness: &mut Witness<'_>, boss: &Somebody) {
    let (full, verify) = (witness.pair.full(), witness.pair.verify());
    let Somebody { person, .. } = witness.somebody().await;
    let (account_id, actor_id) = (person.id.clone(), boss.person.id.clone());
    match rpc {
        Rpc::IdentityProviderAuthenticate => {
            let garbage = witness.canaries.hatch("a token to be checked that is none");
            for access_token in [garbage, person.token[1..].to_owned()] {
                let request = port::AuthenticateRequest { access_token, skip_renewal: false };
                let denied = witness.make(&verify, request).await.expect("an outcome").message.outcome;
                assert!(matches!(denied, Some(Outcome::Denied(_))), "{denied:?}");
            }
            let request =
                port::AuthenticateRequest { access_token: person.token.clone(), skip_renewal: false };
            eventually("a renewed token", async || {
                let reply = witness.make(&verify, request.clone()).await.expect("an outcome");
                let token = reply.message.renewed_token?.access_token;
                witness.canaries.add_token("a renewed token", &token);
                Some(())
            })
            .await;
            let answer = witness.calls(&verify, request).await;
            if let Some(renewed) = &answer.renewed_token {
                witness.canaries.add_token("a renewed token", &renewed.access_token);
            }
        }
        Rpc::IdentityProviderGetAccount => {
            witness.calls(&verify, port::GetAccountRequest { key: by_id(&account_id) }).await;
        }
        Rpc::IdentityProviderCheckCredential => {
            for password in
                [witness.canaries.hatch("a password"), witness.canaries.hatch_short("a short one")]
            {
                let request = port::CheckCredentialRequest { username: "checked".into(), password };
                witness.calls(&full, request).await;
            }
        }
        Rpc::IdentityProviderRegisterAccount => {
            let request = |password| port::RegisterAccountRequest {
                account_id: "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c".into(),
                username: "registered".into(),
                password,
                actor_id: actor_id.clone(),
            };
            let short = witness.canaries.hatch_short("a password that is too short");
            let good = witness.canaries.hatch("a password");
            witness.make(&full, request(short)).await.expect_err("it is too short");
            witness.make(&verify, request(good.clone())).await.expect_err("it may not");
            witness.calls(&full, request(good)).await;
        }
        Rpc::IdentityProviderSetPassword => {
            let request = |password| port::SetPasswordRequest {
                account_id: account_id.clone(),
                password,
                expected_version: 0,
                actor_id: actor_id.clone(),
            };
            let short = witness.canaries.hatch_short("a password that is too short");
            let good = witness.canaries.hatch("a password");
            witness.make(&full, request(short)).await.expect_err("it is too short");
            witness.calls(&full, request(good)).await;
        }
        Rpc::IdentityProviderEnableAccount => {
            let request = port::EnableAccountRequest { account_id, expected_version: 0, actor_id };
            witness.calls(&full, request).await;
        }
        Rpc::IdentityProviderDisableAccount => {
            let request = port::DisableAccountRequest { account_id, expected_version: 0, actor_id };
            witness.calls(&full, request).await;
        }
        Rpc::IdentityProviderRevokeSessions => {
            let request = port::RevokeSessionsRequest { account_id, session_id: String::new(), actor_id };
            witness.calls(&full, request).await;
        }
        Rpc::IdentityProviderListSessions => {
            witness.calls(&full, port::ListSessionsRequest { account_id, ..Default::default() }).await;
        }
        Rpc::IdentityProviderWatchAccounts => {
            let mut stream = full.watch("").await.expect("the feed");
            stream.message().await.expect("the feed").expect("an account");
            let garbage = witness.canaries.hatch("a credential of nobody's");
            witness.pair.anonymous.bearer(&garbage).watch("").await.expect_err("nobody may");
        }
        other => panic!("{other:?} is not of the port"),
    }
}
