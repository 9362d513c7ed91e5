//! How the provider is reached, as the settings say it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use configuration::{SecretFile, UnfitFile};
use credentials::{ClientTls, UnfitPem};
use fail_point::confide;
use grpc_kit::client::{Name, Names, Peers};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::codegen::http::uri::Authority;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many calls that were given up are remembered for the second in which their answers may still come.
const RESET_STREAMS: usize = 10_000;

/// A secret shorter than this can be guessed.
const MIN_SECRET_BYTES: usize = 32;

/// The scheme of a name all of whose addresses are called (the name syntax of gRPC, without a DNS server in it).
const DNS: &str = "dns:///";

/// How the provider is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Where: `http://host:port`, `https://host:port`, or `dns:///name:port` for every replica behind a name.
    pub url: String,
    /// This workload's own credential, unless it is a certificate.
    pub token: Option<Token>,
    /// The certificates of the two: over `https`, and with a name over TLS if there are any.
    pub tls: ClientTls,
    /// How long a call may take at most.
    pub timeout: Duration,
    /// How the name is looked up.
    pub names: Names,
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
    pub fn fixed(value: SecretString) -> Self {
        confide("the token of a workload", value.expose_secret());
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

    /// The file that is to be followed.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    pub(super) fn read_again(&self) -> Result<Self, ConnectionError> {
        let Some(file) = &self.file else { return Ok(self.clone()) };
        let token = Self::in_file(&SecretFile::load(file)?);
        match token.flaw() {
            Some(why) => Err(ConnectionError::Flaw(file.clone(), why)),
            None => Ok(token),
        }
    }

    pub(super) fn credential(&self) -> Result<MetadataValue<Ascii>, ConnectionError> {
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
    #[error("{}", with_causes(.0))]
    Url(#[from] tonic::transport::Error),
    /// The URL is none of those that are understood.
    #[error("must be http://HOST:PORT, https://HOST:PORT or dns:///NAME:PORT")]
    NoUrl,
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

/// Where the provider is.
enum Place {
    /// One address, or a name behind which something else distributes connections.
    Url,
    /// A name all of whose addresses are called.
    Name(Authority, u16),
}

impl Connection {
    /// What is wrong with it, as far as that can be seen without connecting.
    pub(crate) fn check(&self) -> Result<(), ConnectionError> {
        self.place().and_then(|place| self.endpoint(&place)).map(drop)
    }

    /// Whether anybody on the way can read the token.
    pub(crate) fn shows_token(&self) -> bool {
        let endpoint = self.place().and_then(|place| self.endpoint(&place));
        endpoint.is_ok_and(|endpoint| {
            let uri = endpoint.uri();
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
            self.token.is_some() && uri.scheme_str() == Some("http") && !is_here
        })
    }

    /// The replicas that it leads to. Needs a tokio runtime.
    pub(super) fn peers(&self) -> Result<Peers, ConnectionError> {
        let place = self.place()?;
        let endpoint = self.endpoint(&place)?;
        Ok(match place {
            Place::Url => Peers::one(endpoint.connect_timeout(self.timeout)),
            Place::Name(name, port) => Peers::behind(Name {
                host: name.host().trim_matches(['[', ']']).to_owned(),
                port,
                names: self.names.clone(),
                endpoint,
                connect_timeout: self.timeout,
            }),
        })
    }

    fn place(&self) -> Result<Place, ConnectionError> {
        if let Some(name) = self.url.strip_prefix(DNS) {
            let name: Authority = name.parse().map_err(|_| ConnectionError::NoUrl)?;
            let port = name.port_u16().filter(|_| !name.host().is_empty() && !name.as_str().contains('@'));
            return port.map(|port| Place::Name(name, port)).ok_or(ConnectionError::NoUrl);
        }
        match self.url.split_once("://") {
            Some(("http" | "https", _)) => Ok(Place::Url),
            _ => Err(ConnectionError::NoUrl),
        }
    }

    fn endpoint(&self, place: &Place) -> Result<Endpoint, ConnectionError> {
        let url = match place {
            Place::Url => self.url.clone(),
            Place::Name(name, _) if self.tls.is_given() => format!("https://{name}"),
            Place::Name(name, _) => format!("http://{name}"),
        };
        let endpoint = Endpoint::from_shared(url)?
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            // Calls are given up when their callers' time is over, and auth-service answers late. That is no abuse: left to its
            // defaults, HTTP/2 would close the connection under everybody for it.
            .http2_max_local_error_reset_streams(None)
            .http2_max_concurrent_reset_streams(RESET_STREAMS);
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        // A peer that takes the connection and says no more would hold up every later call.
        Ok(endpoint.tls_config(tls(&self.tls)?.timeout(self.timeout))?)
    }
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
