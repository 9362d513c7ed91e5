//! The identity-provider port over gRPC.
//!
//! Every answer is decoded by its reason, and what has no meaning for us is the provider's absence: no status of
//! another service ever reaches our callers as it is. A call is repeated once: one that changes nothing when its connection
//! broke, any other only when it is certain that nobody has begun with it.

mod answer;
mod link;
mod wire;

use std::time::Duration;

use api::identity as pb;
use futures::{Stream, StreamExt as _};
use grpc_kit::call;
use grpc_kit::client::was_not_processed;
use identity::{PageSize, RawPassword, UserId, Username, Violation};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use users_core::domain::{AccessToken, Account, Authenticated, FeedMessage, SessionPage, UserKey};
use users_core::ports::{IdentityProvider, ProviderError};

pub(crate) use link::endpoint;
use link::{Client, Link};

pub use link::{Connection, ConnectionError, Token};

/// What is kept of the caller's deadline for our own answer.
const RESERVE: Duration = Duration::from_millis(200);
/// How long a call that may be repeated waits before it is, in milliseconds.
const BACKOFF_MILLIS: std::ops::Range<u64> = 10..60;

/// The provider at the other end of a connection that is made when it is first needed. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct GrpcIdentityProvider {
    link: Link,
    timeout: Duration,
}

/// How long a call may take, and whether it is the caller's deadline that says so.
#[derive(Clone, Copy)]
struct Budget {
    wait: Duration,
    is_the_callers: bool,
}

impl GrpcIdentityProvider {
    /// Prepares the connection. Needs a tokio runtime.
    pub(crate) async fn new(connection: &Connection) -> Result<Self, ConnectionError> {
        Ok(Self { link: Link::new(connection).await?, timeout: connection.timeout })
    }

    /// Follows the account feed from a cursor on; ends when the provider stops or the connection breaks.
    ///
    /// A message that cannot be understood is logged and passed over: it must not hold up all the others, and an
    /// account that was missed is fetched when it is asked for.
    pub(crate) async fn watch(
        &self,
        cursor: String,
    ) -> Result<impl Stream<Item = Result<FeedMessage, ProviderError>> + Send + use<>, ProviderError> {
        let mut request = Request::new(pb::WatchAccountsRequest { cursor });
        self.sign(request.metadata_mut());
        let opened = timeout(self.timeout, self.link.client().watch_accounts(request)).await;
        let stream = opened
            .map_err(|_| answer::too_slow())?
            .map_err(|status| answer::refused(&status, false))?
            .into_inner();
        Ok(stream.filter_map(async |message| match message {
            Ok(message) => match wire::feed_message(message) {
                Ok(message) => Some(Ok(message)),
                Err(error) => {
                    tracing::error!(%error, "a message of the account feed is passed over");
                    None
                }
            },
            Err(status) => Some(Err(answer::refused(&status, false))),
        }))
    }

    /// Makes a call, and once more if the provider has not begun with it.
    async fn call<M, A, F>(
        &self,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        self.twice_if(was_not_processed, message, send).await
    }

    /// Makes a call that changes nothing, and once more if the connection failed it.
    async fn ask<M, A, F>(
        &self,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        self.twice_if(is_broken_connection, message, send).await
    }

    async fn twice_if<M, A, F>(
        &self,
        may_be_repeated: fn(&Status) -> bool,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let budget = self.budget()?;
        match self.attempt(message.clone(), &send, budget).await {
            Err(Failure::Refused(status)) if may_be_repeated(&status) => {
                sleep(Duration::from_millis(rand::random_range(BACKOFF_MILLIS))).await;
                let budget = self.budget()?;
                self.attempt(message, &send, budget).await.map_err(|failure| failure.meaning(budget))
            }
            outcome => outcome.map_err(|failure| failure.meaning(budget)),
        }
    }

    async fn attempt<M, A, F>(
        &self,
        message: M,
        send: impl FnOnce(Client, Request<M>) -> F + Send,
        budget: Budget,
    ) -> Result<A, Failure>
    where
        M: Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let mut request = Request::new(message);
        self.sign(request.metadata_mut());
        request.set_timeout(budget.wait);
        let begin = Instant::now();
        match timeout(budget.wait, send(self.link.client(), request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            // The client's own timer may be the first to find that out.
            Ok(Err(status)) if is_broken_connection(&status) && begin.elapsed() >= budget.wait => {
                Err(Failure::TooSlow)
            }
            Ok(Err(status)) => Err(Failure::Refused(status)),
            Err(_) => Err(Failure::TooSlow),
        }
    }

    fn budget(&self) -> Result<Budget, ProviderError> {
        let Some(deadline) = call::current().and_then(|call| call.deadline) else {
            return Ok(Budget { wait: self.timeout, is_the_callers: false });
        };
        let left = deadline.saturating_duration_since(Instant::now());
        // A short deadline is tried too: what is kept back then is a part of it.
        let left = left.saturating_sub(RESERVE.min(left / 4));
        if left.is_zero() {
            return Err(ProviderError::DeadlineExceeded);
        }
        Ok(Budget { wait: left.min(self.timeout), is_the_callers: left < self.timeout })
    }

    /// Adds our own credential, and the call's names, so that its traces meet.
    fn sign(&self, metadata: &mut MetadataMap) {
        if let Some(credential) = self.link.credential() {
            metadata.insert("authorization", credential);
        }
        let Some(call) = call::current() else { return };
        let names = [
            ("x-request-id", Some(call.request_id)),
            ("traceparent", call.traceparent),
            ("tracestate", call.tracestate),
        ];
        for (key, value) in names {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                metadata.insert(key, value);
            }
        }
    }
}

/// How an attempt fails.
enum Failure {
    Refused(Status),
    TooSlow,
}

impl Failure {
    fn meaning(self, budget: Budget) -> ProviderError {
        match self {
            Self::Refused(status) => answer::refused(&status, budget.is_the_callers),
            Self::TooSlow => answer::too_slow(),
        }
    }
}

/// Nobody answered: what did comes with details. A connection that comes to its age under a call is told in one of the
/// last two ways.
fn is_broken_connection(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Internal)
        && status.details().is_empty()
}

impl IdentityProvider for GrpcIdentityProvider {
    async fn authenticate(
        &self,
        token: &AccessToken,
        skip_renewal: bool,
    ) -> Result<Authenticated, ProviderError> {
        let message = pb::AuthenticateRequest { access_token: token.expose().to_owned(), skip_renewal };
        let answer = self
            .ask(message, |mut client, request| async move { client.authenticate(request).await })
            .await?;
        wire::authenticated(answer)
    }

    async fn get_account(&self, key: &UserKey) -> Result<Account, ProviderError> {
        let message = wire::account_key(key);
        let answer =
            self.ask(message, |mut client, request| async move { client.get_account(request).await }).await?;
        wire::account(answer.account)
    }

    async fn check_credential(
        &self,
        username: Option<&Username>,
        password: &RawPassword,
    ) -> Result<Vec<Violation>, ProviderError> {
        let message = pb::CheckCredentialRequest {
            username: username.map_or_else(String::new, |username| username.as_str().to_owned()),
            password: password.expose().to_owned(),
        };
        let answer = self
            .ask(message, |mut client, request| async move { client.check_credential(request).await })
            .await?;
        Ok(answer.violations.into_iter().map(wire::violation).collect())
    }

    async fn register_account(
        &self,
        id: UserId,
        username: &Username,
        password: &RawPassword,
        actor: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let message = pb::RegisterAccountRequest {
            account_id: id.to_string(),
            username: username.as_str().to_owned(),
            password: password.expose().to_owned(),
            actor_id: wire::actor(actor),
        };
        let answer = self
            .call(message, |mut client, request| async move { client.register_account(request).await })
            .await?;
        wire::account(answer.account)
    }

    async fn set_password(
        &self,
        id: UserId,
        password: &RawPassword,
        actor: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let message = pb::SetPasswordRequest {
            account_id: id.to_string(),
            password: password.expose().to_owned(),
            expected_version: 0,
            actor_id: wire::actor(actor),
        };
        let answer = self
            .call(message, |mut client, request| async move { client.set_password(request).await })
            .await?;
        wire::account(answer.account)
    }

    async fn enable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        actor: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let message = pb::EnableAccountRequest {
            account_id: id.to_string(),
            expected_version: expected_version.unwrap_or(0),
            actor_id: wire::actor(actor),
        };
        let answer = self
            .call(message, |mut client, request| async move { client.enable_account(request).await })
            .await?;
        wire::account(answer.account)
    }

    async fn disable_account(
        &self,
        id: UserId,
        expected_version: Option<i64>,
        actor: Option<UserId>,
    ) -> Result<Account, ProviderError> {
        let message = pb::DisableAccountRequest {
            account_id: id.to_string(),
            expected_version: expected_version.unwrap_or(0),
            actor_id: wire::actor(actor),
        };
        let answer = self
            .call(message, |mut client, request| async move { client.disable_account(request).await })
            .await?;
        wire::account(answer.account)
    }

    async fn revoke_sessions(
        &self,
        id: UserId,
        session_id: Option<&str>,
        actor: Option<UserId>,
    ) -> Result<i32, ProviderError> {
        let message = pb::RevokeSessionsRequest {
            account_id: id.to_string(),
            session_id: session_id.unwrap_or_default().to_owned(),
            actor_id: wire::actor(actor),
        };
        let answer = self
            .call(message, |mut client, request| async move { client.revoke_sessions(request).await })
            .await?;
        Ok(answer.revoked_count)
    }

    async fn list_sessions(
        &self,
        id: UserId,
        page_size: PageSize,
        after: Option<&str>,
    ) -> Result<SessionPage, ProviderError> {
        let message = pb::ListSessionsRequest {
            account_id: id.to_string(),
            page_size: page_size.get().into(),
            page_token: after.unwrap_or_default().to_owned(),
        };
        let answer = self
            .ask(message, |mut client, request| async move { client.list_sessions(request).await })
            .await?;
        wire::session_page(answer)
    }
}

#[cfg(test)]
mod tests;
