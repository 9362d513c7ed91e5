//! The settings of users-service, read and checked at start: what is wrong is said at once, and nothing is ignored.

use std::net::SocketAddr;
use std::time::Duration;

use configuration::{Effective, Layers, Problems, Reader};
use database::settings::{DatabaseSettings, Replica};
use secrecy::{ExposeSecret as _, SecretString};
use telemetry::LogSettings;

use crate::identity_provider::Connection;

/// A secret shorter than this can be guessed.
const MIN_SECRET_BYTES: usize = 32;

/// Everything that users-service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens and how it stops.
    pub server: ServerConfig,
    /// Where it keeps its data.
    pub database: DatabaseSettings,
    /// How it reaches the owner of accounts.
    pub identity_provider: Connection,
    /// What the log shows.
    pub log: LogSettings,
}

/// Where the service listens and how it stops.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `UsersService`.
    pub listen: SocketAddr,
    /// Probes and metrics.
    pub ops_listen: SocketAddr,
    /// Whether the public listener answers reflection.
    pub reflection: bool,
    /// How long calls may take at the end before they are cut.
    pub drain: Duration,
    /// How long calls are still taken after the process has said that it wants no more.
    pub lame_duck: Duration,
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Panics
    /// Never: settings are absent only where a problem says so.
    pub fn read(layers: Layers) -> Result<(Self, Effective), Problems> {
        layers
            .read(|reader| {
                let server = server(reader);
                let database = DatabaseSettings::read(reader, Replica::Supported);
                let provider = identity_provider(reader);
                let log = LogSettings::read(reader);
                database.zip(provider).map(|(database, identity_provider)| Self {
                    server,
                    database,
                    identity_provider,
                    log,
                })
            })
            .map(|(config, effective)| (config.expect("a setting that is missing is a problem"), effective))
    }
}

fn server(reader: &mut Reader) -> ServerConfig {
    for key in ["server.tls_cert_file", "server.tls_key_file"] {
        reader.refuse_if_set(key, "TLS is not supported by this version");
    }
    let config = ServerConfig {
        listen: reader.address("server.listen", "127.0.0.1:50053"),
        ops_listen: reader.address("server.ops_listen", "127.0.0.1:9053"),
        reflection: reader.boolean("server.reflection", true),
        drain: reader.duration("server.drain", "20s", Duration::ZERO..=Duration::from_hours(1)),
        lame_duck: reader.duration("server.lame_duck", "0s", Duration::ZERO..=Duration::from_mins(10)),
    };
    let plaintext_allowed = reader.boolean("server.allow_plaintext", false);
    if !plaintext_allowed && !config.listen.ip().is_loopback() {
        reader.refuse("server.listen", "plaintext beyond loopback needs server.allow_plaintext = true");
    }
    config
}

fn identity_provider(reader: &mut Reader) -> Option<Connection> {
    const URL: &str = "identity_provider.url";
    for key in [
        "identity_provider.ca_file",
        "identity_provider.client_cert_file",
        "identity_provider.client_key_file",
    ] {
        reader.refuse_if_set(key, "TLS is not supported by this version");
    }
    let url = reader.url(URL, Some("http://127.0.0.1:50052"));
    if url.as_deref().is_some_and(|url| !url.starts_with("http://")) {
        reader.refuse(URL, "must be http://HOST:PORT; https and dns are not supported by this version");
    }
    let timeout = reader.duration(
        "identity_provider.timeout",
        "2s",
        Duration::from_millis(10)..=Duration::from_secs(30),
    );
    let token = provider_token(reader);
    url.zip(token).map(|(url, token)| Connection { url, token, timeout })
}

/// The first line of a token file is sent: it may hold several while a token is replaced.
fn provider_token(reader: &mut Reader) -> Option<SecretString> {
    const TOKEN: &str = "identity_provider.token";
    const FILE: &str = "identity_provider.token_file";
    let file = reader.secret_file(FILE);
    let own = reader.secret(TOKEN);
    if reader.is_set(FILE) && reader.is_set(TOKEN) {
        reader.refuse(TOKEN, "is given together with identity_provider.token_file");
    }
    let (key, token) = match (file, own) {
        (Some(file), _) => (FILE, file.lines().next().map(SecretString::from)),
        (None, own) => (TOKEN, own),
    };
    match &token {
        Some(token) if token.expose_secret().len() < MIN_SECRET_BYTES => {
            reader.refuse(key, "is shorter than 32 bytes");
        }
        None if !reader.is_set(FILE) && !reader.is_set(TOKEN) => {
            reader.refuse(
                TOKEN,
                "must be given, or identity_provider.token_file: what auth-service knows us by",
            );
        }
        Some(_) | None => {}
    }
    token
}

#[cfg(test)]
mod tests;
