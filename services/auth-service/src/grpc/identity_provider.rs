//! `tandem.identity.v1.IdentityProviderService`. Every method begins with the calling workload and its allowance.

use std::pin::Pin;
use std::sync::Arc;

use api::identity::identity_provider_service_server::IdentityProviderService;
use api::identity::{
    AuthenticateRequest, AuthenticateResponse, CheckCredentialRequest, CheckCredentialResponse,
    DisableAccountRequest, DisableAccountResponse, EnableAccountRequest, EnableAccountResponse,
    GetAccountRequest, GetAccountResponse, ListSessionsRequest, ListSessionsResponse, RegisterAccountRequest,
    RegisterAccountResponse, RevokeSessionsRequest, RevokeSessionsResponse, SetPasswordRequest,
    SetPasswordResponse, WatchAccountsRequest, WatchAccountsResponse,
};
use auth_core::Error;
use auth_core::commands::{
    Authenticate, Authenticated, Denial, DisableAccount, EnableAccount, RegisterAccount, RevokeSessions,
    SetPassword,
};
use auth_core::ports::Ports;
use auth_core::queries::{GetAccount, WatchAccounts, check_credential};
use credentials::PeerNames;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tonic::{Request, Response, Status};

use super::wire::BadPage;
use super::{UseCases, status, wire};
use crate::security;
use crate::workload::{Allowance, Workloads};

/// The port over its use cases.
pub(super) struct IdentityProviderGrpc<P: Ports> {
    use_cases: UseCases<P>,
    workloads: Workloads,
}

impl<P: Ports> IdentityProviderGrpc<P> {
    pub(super) const fn new(use_cases: UseCases<P>, workloads: Workloads) -> Self {
        Self { use_cases, workloads }
    }

    /// Lets the message of a workload through that may call the method.
    fn admitted<M>(&self, request: Request<M>, needed: Allowance) -> Result<M, Status> {
        let names = request.extensions().get::<Arc<PeerNames>>().map(AsRef::as_ref);
        match self.workloads.admit(request.metadata(), names, needed) {
            Ok(()) => Ok(request.into_inner()),
            Err(refusal) => {
                security::record_refusal(refusal);
                Err(status::refused(refusal))
            }
        }
    }
}

fn answer<T, M>(outcome: Result<T, Error>, wire: impl FnOnce(T) -> M) -> Result<Response<M>, Status> {
    outcome.map(wire).map(Response::new).map_err(status::identity)
}

fn denied(denial: Denial) -> Response<AuthenticateResponse> {
    security::record_denial(denial);
    Response::new(wire::denied(denial))
}

#[tonic::async_trait]
impl<P: Ports> IdentityProviderService for IdentityProviderGrpc<P> {
    type WatchAccountsStream = Pin<Box<dyn Stream<Item = Result<WatchAccountsResponse, Status>> + Send>>;

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        let message = self.admitted(request, Allowance::Verify)?;
        let check = Authenticate { token: &message.access_token, skip_renewal: message.skip_renewal };
        let checked = check.execute(&self.use_cases.commands).await.map_err(status::identity)?;
        let Authenticated { mut principal, due } = match checked {
            Ok(authenticated) => authenticated,
            Err(denial) => return Ok(denied(denial)),
        };
        let Some(due) = due else { return Ok(Response::new(wire::principal(&principal, None))) };
        match self.use_cases.run(async move |cx| due.execute(&cx).await).await.map_err(status::identity)? {
            Ok(used) => {
                principal.session = used.session;
                Ok(Response::new(wire::principal(&principal, used.renewed)))
            }
            Err(denial) => Ok(denied(denial)),
        }
    }

    async fn get_account(
        &self,
        request: Request<GetAccountRequest>,
    ) -> Result<Response<GetAccountResponse>, Status> {
        let message = self.admitted(request, Allowance::Verify)?;
        let key = wire::account_key(message).map_err(Error::InvalidFields).map_err(status::identity)?;
        let outcome = GetAccount { key }.execute(&self.use_cases.queries).await;
        answer(outcome, |account| GetAccountResponse { account: Some(wire::account(account)) })
    }

    async fn check_credential(
        &self,
        request: Request<CheckCredentialRequest>,
    ) -> Result<Response<CheckCredentialResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let policy = &self.use_cases.commands.passwords;
        Ok(Response::new(wire::violations(check_credential(policy, &message.username, message.password))))
    }

    async fn register_account(
        &self,
        request: Request<RegisterAccountRequest>,
    ) -> Result<Response<RegisterAccountResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let policy = &self.use_cases.commands.passwords;
        let command =
            RegisterAccount::parse(policy, &message.account_id, &message.username, message.password);
        let command = command.map_err(Error::InvalidFields);
        let tell = security::for_actor("register_account", &message.account_id, &message.actor_id);
        let outcome =
            self.use_cases.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        answer(outcome, wire::registered)
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let policy = &self.use_cases.commands.passwords;
        let command =
            SetPassword::parse(policy, &message.account_id, message.password, message.expected_version);
        let command = command.map_err(Error::InvalidFields);
        let tell = security::for_actor("set_password", &message.account_id, &message.actor_id);
        let outcome =
            self.use_cases.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        answer(outcome, wire::password_set)
    }

    async fn enable_account(
        &self,
        request: Request<EnableAccountRequest>,
    ) -> Result<Response<EnableAccountResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let command = wire::expected_account(&message.account_id, message.expected_version)
            .map(|(account_id, expected)| EnableAccount { account_id, expected })
            .map_err(Error::InvalidFields);
        let tell = security::for_actor("enable_account", &message.account_id, &message.actor_id);
        let outcome =
            self.use_cases.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        answer(outcome, wire::enabled)
    }

    async fn disable_account(
        &self,
        request: Request<DisableAccountRequest>,
    ) -> Result<Response<DisableAccountResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let command = wire::expected_account(&message.account_id, message.expected_version)
            .map(|(account_id, expected)| DisableAccount { account_id, expected })
            .map_err(Error::InvalidFields);
        let tell = security::for_actor("disable_account", &message.account_id, &message.actor_id);
        let outcome =
            self.use_cases.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        answer(outcome, wire::disabled)
    }

    async fn revoke_sessions(
        &self,
        request: Request<RevokeSessionsRequest>,
    ) -> Result<Response<RevokeSessionsResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let session_id = Some(message.session_id).filter(|id| !id.is_empty());
        let command = wire::account_id(&message.account_id)
            .map(|account_id| RevokeSessions { account_id, session_id })
            .map_err(Error::InvalidFields);
        let tell = security::for_actor("revoke_sessions", &message.account_id, &message.actor_id);
        let outcome =
            self.use_cases.audited(command, async |command, cx| command.execute(&cx).await, tell).await;
        answer(outcome, wire::revoked)
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let tokens = &self.use_cases.page_tokens;
        let query = match wire::account_session_page(tokens, &message) {
            Ok(query) => query,
            Err(BadPage::Fields(broken)) => return Err(status::identity(Error::InvalidFields(broken))),
            Err(BadPage::Token) => return Err(status::identity_page_token()),
        };
        let user_id = query.user_id;
        let outcome = query.execute_for_account(&self.use_cases.queries).await;
        answer(outcome, |page| {
            let next = wire::next_session_page(tokens, user_id, &page);
            wire::account_sessions(page, next)
        })
    }

    async fn watch_accounts(
        &self,
        request: Request<WatchAccountsRequest>,
    ) -> Result<Response<Self::WatchAccountsStream>, Status> {
        let message = self.admitted(request, Allowance::Full)?;
        let queries = Arc::clone(&self.use_cases.queries);
        let watch = WatchAccounts::open(&queries, &message.cursor).await.map_err(status::identity)?;
        let batches = stream::try_unfold((watch, queries), async |(mut watch, queries)| {
            let batch = watch.next(&queries).await.map_err(status::identity)?;
            let messages = stream::iter(batch).map(wire::feed_message).map(Ok);
            Ok::<_, Status>(Some((messages, (watch, queries))))
        });
        Ok(Response::new(Box::pin(batches.try_flatten())))
    }
}
