//! Whoever makes calls: nobody, the bearer of a token, a workload.

use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use api::identity::{WatchAccountsRequest, WatchAccountsResponse};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap};
use tonic::{Request, Status, Streaming};

use crate::{Call, Endpoints, Failure, IDENTITY, Reply};

/// A caller: the metadata that every call of it carries. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it calls.
    pub endpoints: Endpoints,
    metadata: MetadataMap,
}

impl Caller {
    /// Carries nothing.
    #[must_use]
    pub fn anonymous(endpoints: &Endpoints) -> Self {
        Self { endpoints: endpoints.clone(), metadata: MetadataMap::new() }
    }

    /// Carries one more piece of metadata.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut caller = self.clone();
        let key: MetadataKey<Ascii> = key.parse().expect("a metadata key");
        caller.metadata.append(key, value.parse().expect("a metadata value"));
        caller
    }

    /// Carries this token in place of any other.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        let mut caller = self.clone();
        caller.metadata.remove("authorization");
        caller.with("authorization", &format!("Bearer {token}"))
    }

    /// Makes a call and leaves the answer as it came: for what never reaches a handler.
    pub async fn raw<M: Call>(&self, message: M) -> Result<Reply<M::Answer>, Status> {
        M::send(&self.endpoints, self.request(message)).await.map(Reply::of)
    }

    /// Makes a call; an error is held against the table of errors.
    pub async fn call<M: Call>(&self, message: M) -> Result<Reply<M::Answer>, Failure> {
        self.raw(message).await.map_err(|status| Failure::of(&status, M::DOMAIN))
    }

    /// Makes a call that must succeed.
    #[track_caller]
    pub fn ok<M: Call>(&self, message: M) -> impl Future<Output = Reply<M::Answer>> + Send {
        let place = std::panic::Location::caller();
        async move {
            let outcome = self.call(message).await;
            outcome.unwrap_or_else(|failure| panic!("at {place}: {failure:?}"))
        }
    }

    /// Makes a call that must be refused for this reason.
    #[track_caller]
    pub fn refused<M: Call>(&self, reason: &str, message: M) -> impl Future<Output = Failure> + Send {
        let place = std::panic::Location::caller();
        async move {
            match self.call(message).await {
                Ok(_) => panic!("at {place}: OK in place of {reason}"),
                Err(failure) => {
                    assert_eq!(failure.reason, reason, "at {place}: {failure:?}");
                    failure
                }
            }
        }
    }

    /// Follows the account feed.
    pub async fn watch(&self, cursor: &str) -> Result<Streaming<WatchAccountsResponse>, Failure> {
        let request = self.request(WatchAccountsRequest { cursor: cursor.to_owned() });
        let mut client = IdentityProviderServiceClient::new(self.endpoints.internal.clone());
        let opened = client.watch_accounts(request).await;
        opened.map(tonic::Response::into_inner).map_err(|status| Failure::of(&status, IDENTITY))
    }

    /// Dresses a message in what this caller carries.
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}
