//! The identity-provider port over gRPC.
//!
//! Every answer is decoded by its reason, and what has no meaning for us is the provider's absence: no status of
//! another service ever reaches our callers as it is. How often a call is made, and of whom, [`attempts`] knows.

mod answer;
mod attempts;
mod connection;
mod link;
mod wire;

use std::time::Duration;

use api::identity as pb;
use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use futures::{Stream, StreamExt as _};
use grpc_kit::client::Traced;
use identity::{PageSize, RawPassword, UserId, Username, Violation};
use tokio::time::timeout;
use tonic::transport::Channel;
use users_core::domain::{AccessToken, Account, Authenticated, FeedMessage, SessionPage, UserKey};
use users_core::ports::{IdentityProvider, ProviderError};

use attempts::{Budget, Failure};
use link::Link;

pub use connection::{Connection, ConnectionError, Token};

/// The port's client.
type Client = IdentityProviderServiceClient<Traced<Channel>>;

/// The provider at the other end of a connection that is made when it is first needed. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct GrpcIdentityProvider {
    link: Link,
    timeout: Duration,
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
        let stream = timeout(self.timeout, self.open_feed(cursor)).await;
        let stream = stream.unwrap_or(Err(Failure::TooSlow));
        let stream = stream
            .map_err(|failure| failure.meaning(Budget { wait: self.timeout, is_the_callers: false }))?;
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
