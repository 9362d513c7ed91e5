//! Whoever makes calls: nobody, the bearer of a token, a workload. Where a service has replicas, its calls go to one after
//! the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use api::identity::{WatchAccountsRequest, WatchAccountsResponse};
use grpc_kit::client::was_not_processed;
use tokio::time::{Instant, sleep};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap};
use tonic::{Request, Status, Streaming};

use crate::eventually::PATIENCE;
use crate::{AUTH, Call, Endpoints, Failure, IDENTITY, Reply, USERS, discretion};

/// What is answered when everything is in use.
const NO_ROOM: [&str; 2] = ["HASHER_BUSY", "STORAGE_UNAVAILABLE"];

/// A caller: the metadata that every call of it carries. Cheap to clone; clones are the same caller.
#[derive(Clone, Debug)]
pub struct Caller {
    replicas: Arc<[Endpoints]>,
    turns: Arc<Turns>,
    metadata: MetadataMap,
}

/// Whose turn it is, of the replicas of each service.
#[derive(Debug)]
struct Turns {
    auth: AtomicUsize,
    internal: AtomicUsize,
    users: AtomicUsize,
    /// Where the next new caller begins.
    next_caller: Arc<AtomicUsize>,
}

impl Turns {
    /// Not every caller begins at the same replica, and none at the same one of both services.
    fn of_new_caller(next_caller: &Arc<AtomicUsize>) -> Arc<Self> {
        let first = next_caller.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            auth: AtomicUsize::new(first),
            internal: AtomicUsize::new(first),
            users: AtomicUsize::new(first + 1),
            next_caller: Arc::clone(next_caller),
        })
    }
}

impl Caller {
    /// Carries nothing.
    #[must_use]
    pub fn anonymous(replicas: impl IntoIterator<Item = Endpoints>) -> Self {
        let turns = Turns::of_new_caller(&Arc::default());
        Self { replicas: replicas.into_iter().collect(), turns, metadata: MetadataMap::new() }
    }

    pub(crate) fn first_replica(&self) -> &Endpoints {
        &self.replicas[0]
    }

    /// Calls the first replica only.
    #[must_use]
    pub fn of_the_first_replica(&self) -> Self {
        self.of_replica(0)
    }

    /// Calls this replica only.
    #[must_use]
    pub fn of_replica(&self, number: usize) -> Self {
        Self { replicas: self.replicas[number..=number].into(), ..self.clone() }
    }

    /// Calls over these connections.
    #[must_use]
    pub fn over(&self, replicas: impl IntoIterator<Item = Endpoints>) -> Self {
        Self { replicas: replicas.into_iter().collect(), ..self.clone() }
    }

    /// Carries one more piece of metadata.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut caller = Self { turns: Turns::of_new_caller(&self.turns.next_caller), ..self.clone() };
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
        let replica = self.next_replica(M::DOMAIN);
        match self.send(replica, message.clone()).await {
            // A connection comes to its age after five minutes: then it is the client's to go on with another.
            Err(status) if was_not_processed(&status) => self.send(replica, message).await,
            outcome => outcome,
        }
    }

    /// The same, and whatever becomes of it, it is not made again.
    pub async fn once<M: Call>(&self, message: M) -> Result<Reply<M::Answer>, Status> {
        self.send(self.next_replica(M::DOMAIN), message).await
    }

    async fn send<M: Call>(&self, replica: &Endpoints, message: M) -> Result<Reply<M::Answer>, Status> {
        discretion::remember_passwords_of(M::NAME, &message);
        match M::send(replica, self.request(message)).await {
            Ok(response) => {
                let reply = Reply::of(response);
                discretion::remember_those_of(M::ANSWER, &reply.message);
                discretion::remember_renewed(&reply.metadata);
                Ok(reply)
            }
            Err(status) => {
                discretion::hear_error(&status);
                Err(status)
            }
        }
    }

    /// Makes a call; an error is held against the table of errors.
    pub async fn call<M: Call>(&self, message: M) -> Result<Reply<M::Answer>, Failure> {
        self.raw(message).await.map_err(|status| Failure::of(&status, M::DOMAIN))
    }

    /// Makes a call, and makes it again, when it is told to, for as long as there was no room for it and nothing was done: in
    /// a crowd anybody may have to hear that.
    pub async fn insist<M: Call>(&self, message: M) -> Result<Reply<M::Answer>, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.call(message.clone()).await {
                Err(busy) if NO_ROOM.contains(&busy.reason.as_str()) && Instant::now() < end => {
                    sleep(busy.retry_after()).await;
                }
                outcome => return outcome,
            }
        }
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
        let mut client = IdentityProviderServiceClient::new(self.next_replica(IDENTITY).internal.clone());
        let opened = client.watch_accounts(request).await;
        opened.map(tonic::Response::into_inner).map_err(|status| Failure::of(&status, IDENTITY))
    }

    /// Dresses a message in what this caller carries.
    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }

    fn next_replica(&self, domain: &str) -> &Endpoints {
        let turn = match domain {
            AUTH => &self.turns.auth,
            IDENTITY => &self.turns.internal,
            USERS => &self.turns.users,
            unknown => panic!("nobody serves {unknown}"),
        };
        &self.replicas[turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len()]
    }
}
