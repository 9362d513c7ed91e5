//! `tandem.auth.v1.AuthService`.

use api::auth::auth_service_server::AuthService;
use api::auth::{
    ChangePasswordRequest, ChangePasswordResponse, GetCurrentSessionRequest, GetCurrentSessionResponse,
    ListSessionsRequest, ListSessionsResponse, LogInRequest, LogInResponse, LogOutRequest, LogOutResponse,
    RefreshSessionRequest, RefreshSessionResponse, RevokeAllSessionsRequest, RevokeAllSessionsResponse,
    RevokeSessionRequest, RevokeSessionResponse, SignUpRequest, SignUpResponse,
};
use auth_core::Error;
use auth_core::commands::{
    ChangePassword, LogOut, Opened, Principal, RefreshSession, RevokeAllSessions, SignUp,
};
use auth_core::domain::Account;
use auth_core::ports::Ports;
use fail_point::mutant;
use grpc_kit::call;
use tonic::{Request, Response, Status};

use super::caller::Renewal;
use super::wire::BadPage;
use super::{UseCases, status, wire};
use crate::measurements::{LOG_INS, PASSWORD_CHANGES, SIGN_UPS};
use crate::security;

/// The service over its use cases.
pub(super) struct AuthGrpc<P: Ports>(UseCases<P>);

impl<P: Ports> AuthGrpc<P> {
    pub(super) const fn new(use_cases: UseCases<P>) -> Self {
        Self(use_cases)
    }

    async fn page_of_sessions(
        &self,
        principal: &Principal,
        message: &ListSessionsRequest,
    ) -> Result<ListSessionsResponse, Status> {
        let (user_id, tokens) = (principal.account.id, &self.0.page_tokens);
        let query = match wire::own_session_page(tokens, user_id, message) {
            Ok(query) => query,
            Err(BadPage::Fields(broken)) => return Err(status::auth(Error::InvalidFields(broken))),
            Err(BadPage::Token) => return Err(status::auth_page_token()),
        };
        let page = query.execute(&self.0.queries).await.map_err(status::auth)?;
        let next = wire::next_session_page(tokens, user_id, &page);
        Ok(wire::own_sessions(page, &principal.session.id, next))
    }
}

#[tonic::async_trait]
impl<P: Ports> AuthService for AuthGrpc<P> {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let (client, message) = self.0.anonymous(request, "sign_up").await?;
        let policy = &self.0.commands.passwords;
        let SignUpRequest { username, password, request_id } = message;
        let command = SignUp::parse(policy, &username, password, &request_id, &client);
        let command = command.map_err(Error::InvalidFields);
        let tell = move |outcome: &Result<Account, Error>| {
            SIGN_UPS.count(outcome);
            if let Ok(account) = outcome {
                call::is_of(account.id.as_uuid());
            }
            security::record_anonymous("sign_up", client.peer_address, outcome, |account| account.id);
        };
        let outcome = self.0.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        outcome.map(wire::signed_up).map(Response::new).map_err(status::auth)
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInResponse>, Status> {
        let (client, message) = self.0.anonymous(request, "log_in").await?;
        let from = client.peer_address;
        // A defect: a secret is logged.
        if mutant("log_in.logs_the_password") {
            tracing::info!(password = message.password, "somebody logs in");
        }
        // A defect: a secret is in an error.
        if mutant("log_in.tells_the_password") {
            return Err(Status::unavailable(message.password));
        }
        let command = wire::log_in(message, client).map_err(Error::InvalidFields);
        let tell = move |outcome: &Result<Opened, Error>| {
            LOG_INS.count(outcome);
            if let Ok(opened) = outcome {
                call::is_of(opened.session.user_id.as_uuid());
            }
            security::record_anonymous("log_in", from, outcome, |opened| opened.session.user_id);
        };
        let outcome = self.0.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        outcome.map(wire::logged_in).map(Response::new).map_err(status::auth)
    }

    async fn log_out(&self, request: Request<LogOutRequest>) -> Result<Response<LogOutResponse>, Status> {
        let (caller, _) = self.0.authenticated(request, Renewal::Skipped).await?;
        let user_id = caller.principal.account.id;
        let command = LogOut { user_id, session_id: caller.principal.session.id.clone() };
        let tell = move |outcome: &_| security::record_own("log_out", user_id, outcome);
        let outcome = self.0.audited(Ok(command), async |command, cx| command.execute(&cx).await, tell).await;
        caller.answer(outcome.map(|()| LogOutResponse {}).map_err(status::auth))
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        let (caller, _) = self.0.authenticated(request, Renewal::Skipped).await?;
        let command = RefreshSession { session: caller.principal.session.clone() };
        let outcome = self.0.run(async move |cx| command.execute(&cx).await).await;
        caller.answer(outcome.map(wire::refreshed).map_err(status::auth))
    }

    async fn get_current_session(
        &self,
        request: Request<GetCurrentSessionRequest>,
    ) -> Result<Response<GetCurrentSessionResponse>, Status> {
        let (caller, _) = self.0.authenticated(request, Renewal::Allowed).await?;
        let answer = wire::current_session(&caller.principal);
        caller.answer(Ok(answer))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let (caller, message) = self.0.authenticated(request, Renewal::Allowed).await?;
        let answer = self.page_of_sessions(&caller.principal, &message).await;
        caller.answer(answer)
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let (mut caller, message) = self.0.authenticated(request, Renewal::Allowed).await?;
        let user_id = caller.principal.account.id;
        let own = message.session_id == caller.principal.session.id.as_str();
        let command = wire::revoke_session(user_id, message).map_err(Error::InvalidFields);
        let tell = move |outcome: &_| security::record_own("revoke_session", user_id, outcome);
        let outcome = self.0.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        if own && outcome.is_ok() {
            caller.session_ended();
        }
        caller.answer(outcome.map(|()| RevokeSessionResponse {}).map_err(status::auth))
    }

    async fn revoke_all_sessions(
        &self,
        request: Request<RevokeAllSessionsRequest>,
    ) -> Result<Response<RevokeAllSessionsResponse>, Status> {
        let (mut caller, message) = self.0.authenticated(request, Renewal::Allowed).await?;
        let user_id = caller.principal.account.id;
        let keep = message.keep_current.then(|| caller.principal.session.id.clone());
        let command = RevokeAllSessions { user_id, keep };
        let tell = move |outcome: &_| security::record_own("revoke_all_sessions", user_id, outcome);
        let outcome = self.0.audited(Ok(command), async |command, cx| command.execute(&cx).await, tell).await;
        if !message.keep_current && outcome.is_ok() {
            caller.session_ended();
        }
        caller.answer(outcome.map(wire::revoked_all).map_err(status::auth))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let (caller, message) = self.0.authenticated(request, Renewal::Skipped).await?;
        let (principal, client) = (caller.principal.clone(), self.0.client_of(&caller));
        let user_id = principal.account.id;
        let policy = &self.0.commands.passwords;
        let command =
            ChangePassword::parse(policy, principal, message.current_password, message.new_password, client);
        let tell = move |outcome: &_| {
            PASSWORD_CHANGES.count(outcome);
            security::record_own("change_password", user_id, outcome);
        };
        let outcome = self.0.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        caller.answer(outcome.map(wire::password_changed).map_err(status::auth))
    }
}
