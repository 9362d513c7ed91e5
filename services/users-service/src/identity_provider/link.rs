//! How the provider is reached: the connection and our own credential, each made anew when its files change.

use std::path::PathBuf;
use std::time::Duration;

use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use configuration::{SecretFile, UnfitFile};
use credentials::{ClientTls, Followed, UnfitPem};
use grpc_kit::client::Traced;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A secret shorter than this can be guessed.
const MIN_SECRET_BYTES: usize = 32;

/// The port's client.
pub(super) type Client = IdentityProviderServiceClient<Traced<Channel>>;

/// What a call carries to say who we are.
type Credential = Option<MetadataValue<Ascii>>;

/// How the provider is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where: `http://host:port` or `https://host:port`.
    pub url: String,
    /// This workload's own credential, unless it is a certificate.
    pub token: Option<Token>,
    /// The certificates of the two, over `https`.
    pub tls: ClientTls,
    /// How long a call may take at most.
    pub timeout: Duration,
}

/// The token that this workload is known by.
#[derive(Clone, Debug)]
pub struct Token {
    value: SecretString,
    /// Where it is, when it is in a file.
    file: Option<PathBuf>,
}

impl Token {
    /// One that never changes.
    #[must_use]
    pub const fn fixed(value: SecretString) -> Self {
        Self { value, file: None }
    }

    /// The first line of a file: it may hold several while the token is replaced.
    #[must_use]
    pub fn in_file(file: &SecretFile) -> Self {
        let first = file.lines().next().unwrap_or_default();
        // What is no file, a pipe say, is read once.
        Self { value: first.into(), file: Some(file.path.clone()).filter(|path| path.is_file()) }
    }

    /// What is wrong with it.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        (self.value.expose_secret().len() < MIN_SECRET_BYTES).then_some("is shorter than 32 bytes")
    }

    fn read_again(&self) -> Result<Self, ConnectionError> {
        let Some(file) = &self.file else { return Ok(self.clone()) };
        let token = Self::in_file(&SecretFile::load(file)?);
        match token.flaw() {
            Some(why) => Err(ConnectionError::Flaw(file.clone(), why)),
            None => Ok(token),
        }
    }

    fn credential(&self) -> Result<MetadataValue<Ascii>, ConnectionError> {
        let bearer = format!("Bearer {}", self.value.expose_secret());
        let mut credential: MetadataValue<Ascii> = bearer.parse().map_err(|_| ConnectionError::Token)?;
        credential.set_sensitive(true);
        Ok(credential)
    }
}

/// The settings do not make a connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The URL is not one, or the certificates do not go with it.
    #[error("identity_provider.url: {}", with_causes(.0))]
    Url(#[from] tonic::transport::Error),
    /// The token cannot be sent.
    #[error("identity_provider.token has characters that metadata cannot have")]
    Token,
    /// The file of the token cannot be used.
    #[error("identity_provider.token_file: {0}")]
    TokenFile(#[from] UnfitFile),
    /// What is in the file of the token cannot be used.
    #[error("identity_provider.token_file: {0} {1}")]
    Flaw(PathBuf, &'static str),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] UnfitPem),
}

/// A connection that is made when it is first needed, and what we are known by on it. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    client: Followed<Client>,
    credential: Followed<Credential>,
}

impl Link {
    /// Prepares the connection. Needs a tokio runtime.
    pub(super) async fn new(connection: &Connection) -> Result<Self, ConnectionError> {
        let own = connection.clone();
        let files = connection.tls.files();
        let client = Followed::of("the certificates for auth-service", files, move || client(&own)).await?;
        let token = connection.token.clone();
        let files = token.iter().filter_map(|token| token.file.clone()).collect();
        let credential = Followed::of("the token for auth-service", files, move || {
            token.as_ref().map(|token| token.read_again()?.credential()).transpose()
        });
        Ok(Self { client, credential: credential.await? })
    }

    /// The connection as it is now. Calls that are under way stay on the one that they began on.
    pub(super) fn client(&self) -> Client {
        Client::clone(&self.client.current())
    }

    /// What we are known by now, unless that is our certificate.
    pub(super) fn credential(&self) -> Credential {
        Credential::clone(&self.credential.current())
    }
}

fn client(connection: &Connection) -> Result<Client, ConnectionError> {
    let endpoint = endpoint(connection)?;
    Ok(Client::new(Traced::new(endpoint.connect_lazy(), endpoint.uri())))
}

/// What the settings amount to.
pub(crate) fn endpoint(connection: &Connection) -> Result<Endpoint, ConnectionError> {
    let mut endpoint = Endpoint::from_shared(connection.url.clone())?
        .connect_timeout(connection.timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if connection.url.starts_with("https://") {
        // A peer that takes the connection and says no more would hold up every later call.
        let tls = tls(&connection.tls)?.timeout(connection.timeout);
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint)
}

fn tls(files: &ClientTls) -> Result<ClientTlsConfig, ConnectionError> {
    let pem = files.load()?;
    let tls = match pem.authorities {
        Some(authorities) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match pem.own {
        Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key.expose_secret())),
        None => tls,
    })
}

/// tonic's own words say only that it is about the transport.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
