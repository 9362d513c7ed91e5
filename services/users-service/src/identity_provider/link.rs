//! What a call to the provider needs: a replica, our own credential, and leave to repeat. The first two are made anew when
//! their files change.

use std::sync::Arc;

use credentials::Followed;
use grpc_kit::client::{Peers, RetryBudget};
use tonic::metadata::{Ascii, MetadataValue};

use super::connection::{Connection, ConnectionError};

/// What a call carries to say who we are.
type Credential = Option<MetadataValue<Ascii>>;

/// The provider's replicas, what we are known by to them, and how much may be repeated. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    peers: Followed<Peers>,
    credential: Followed<Credential>,
    retries: Arc<RetryBudget>,
}

impl Link {
    /// Connects to nobody yet. Needs a tokio runtime.
    pub(super) async fn new(connection: &Connection) -> Result<Self, ConnectionError> {
        let own = connection.clone();
        let files = connection.tls.files();
        let peers = Followed::of("the certificates for auth-service", files, move || own.peers()).await?;
        let token = connection.token.clone();
        let files = token.iter().filter_map(|token| token.file().cloned()).collect();
        let credential = Followed::of("the token for auth-service", files, move || {
            token.as_ref().map(|token| token.read_again()?.credential()).transpose()
        });
        Ok(Self { peers, credential: credential.await?, retries: Arc::default() })
    }

    /// The replicas as they are now. Calls that are under way stay on the connection that they began on.
    pub(super) fn peers(&self) -> Arc<Peers> {
        self.peers.current()
    }

    /// What we are known by now, unless that is our certificate.
    pub(super) fn credential(&self) -> Credential {
        Credential::clone(&self.credential.current())
    }

    /// How much may be repeated.
    pub(super) fn retries(&self) -> &RetryBudget {
        &self.retries
    }
}
