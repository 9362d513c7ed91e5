//! TLS of a listener.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use configuration::Reader;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::followed::Followed;
use crate::peer::PeerNames;
use crate::pem::{self, UnfitPem};

/// What gRPC over TLS is called when the two sides agree on a protocol (RFC 9113, section 3.1).
const ALPN: &[u8] = b"h2";

/// The settings that make a listener's TLS.
#[derive(Clone, Copy, Debug)]
pub struct ServerKeys {
    /// The chain of certificates, the server's own first.
    pub certificate: &'static str,
    /// The key to its own.
    pub key: &'static str,
    /// The authorities of clients' certificates, where clients are asked for one.
    pub client_authorities: Option<&'static str>,
}

/// A listener's certificate, and by whose word it knows its clients.
#[derive(Clone, Debug)]
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    client_authorities: Option<PathBuf>,
    every_client_has_one: bool,
}

impl ServerTls {
    /// Reads and tries the settings; `None` where there are none, or they are no good, which the reader is told.
    pub fn read(reader: &mut Reader, keys: ServerKeys) -> Option<Self> {
        let certificate = reader.optional_path(keys.certificate);
        let key = reader.secret_file(keys.key).map(|file| file.path);
        let client_authorities = keys.client_authorities.and_then(|key| reader.optional_path(key));
        let together = [Some(keys.certificate), Some(keys.key), keys.client_authorities];
        let given: Vec<_> = together.into_iter().flatten().filter(|key| reader.is_set(key)).collect();
        for missing in [keys.certificate, keys.key] {
            if let Some(one) = given.first()
                && !given.contains(&missing)
            {
                reader.refuse(one, format!("needs {missing} as well"));
            }
        }
        let tls =
            Self { certificate: certificate?, key: key?, client_authorities, every_client_has_one: false };
        match tls.config() {
            Ok(_) => Some(tls),
            Err(unfit) => {
                reader.refuse(keys.certificate, unfit.to_string());
                None
            }
        }
    }

    /// Whether clients can be known by a certificate.
    #[must_use]
    pub const fn knows_clients(&self) -> bool {
        self.client_authorities.is_some()
    }

    /// Takes no connection without a certificate of the client's, instead of leaving it to what the client sends.
    #[must_use]
    pub fn of_clients_that_all_have_one(self) -> Self {
        Self { every_client_has_one: true, ..self }
    }

    /// Reads the files, now and when they change. Needs a tokio runtime.
    pub async fn open(self) -> Result<TlsListener, UnfitPem> {
        let mut files = vec![self.certificate.clone(), self.key.clone()];
        files.extend(self.client_authorities.clone());
        let config = Followed::of("the certificate of a listener", files, move || self.config()).await?;
        Ok(TlsListener(config))
    }

    fn config(&self) -> Result<Arc<ServerConfig>, UnfitPem> {
        let unusable = |error: rustls::Error| UnfitPem::unusable(&self.certificate, error);
        let (_, chain) = pem::certificates(&self.certificate)?;
        let (_, key) = pem::key(&self.key)?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_client_cert_verifier(self.verifier()?)
            .with_single_cert(chain, key);
        let mut config = config.map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        if self.knows_clients() {
            // A session that is resumed is not verified again: a client would be known for longer than its certificate is good.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, UnfitPem> {
        let Some(file) = &self.client_authorities else { return Ok(WebPkiClientVerifier::no_client_auth()) };
        let (_, roots) = pem::authorities(file)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = if self.every_client_has_one { verifier } else { verifier.allow_unauthenticated() };
        verifier.build().map_err(|error| UnfitPem::unusable(file, error))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Greets those who connect to a listener, with the certificate that it has at that time. Clones are the same one.
#[derive(Clone, Debug)]
pub struct TlsListener(Followed<Arc<ServerConfig>>);

impl TlsListener {
    /// The handshake, and the names that the client has proved. Has no time limit of its own.
    pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> io::Result<(TlsStream<S>, PeerNames)> {
        let config = Arc::clone(&*self.0.current());
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let own = session.peer_certificates().and_then(<[_]>::first);
        let names = own.map(PeerNames::of).unwrap_or_default();
        Ok((stream, names))
    }
}
