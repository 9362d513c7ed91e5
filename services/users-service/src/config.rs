//! The settings of users-service, read and checked at start: what is wrong is said at once, and nothing is ignored.

use std::net::SocketAddr;
use std::time::Duration;

use configuration::{Effective, Layers, Problems, Reader};
use credentials::{ClientKeys, ClientTls, ServerKeys, ServerTls};
use database::settings::{DatabaseSettings, Replica};
use fail_point::mutant;
use grpc_kit::client::Names;
use grpc_kit::listen::collide;
use grpc_kit::process::Drain;
use telemetry::LogSettings;

use crate::identity_provider::{Connection, ConnectionError, Token};

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
    /// The certificate of the listener; in plaintext without one.
    pub tls: Option<ServerTls>,
}

impl ServerConfig {
    /// How the service ends.
    #[must_use]
    pub const fn ends(&self) -> Drain {
        Drain { lame_duck: self.lame_duck, drain: self.drain }
    }
}

const TLS: ServerKeys =
    ServerKeys { certificate: "server.tls_cert_file", key: "server.tls_key_file", client_authorities: None };

/// Of the connection to auth-service.
const PORT_TLS: ClientKeys = ClientKeys {
    authorities: "identity_provider.ca_file",
    certificate: "identity_provider.client_cert_file",
    key: "identity_provider.client_key_file",
};

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Panics
    /// Never: settings are absent only where a problem says so.
    pub fn read(layers: Layers) -> Result<(Self, Effective), Problems> {
        layers
            .read(|reader| {
                let plaintext_allowed = reader.boolean("server.allow_plaintext", false);
                let server = server(reader, plaintext_allowed);
                let database = DatabaseSettings::read(reader, Replica::Supported);
                let provider = identity_provider(reader, plaintext_allowed);
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

    /// Reads and checks the settings of the database alone.
    ///
    /// # Panics
    /// Never, as [`Config::read`].
    pub fn read_database(layers: Layers) -> Result<DatabaseSettings, Problems> {
        let read =
            layers.section("database").read(|reader| DatabaseSettings::read(reader, Replica::Supported));
        read.map(|(settings, _)| settings.expect("a setting that is missing is a problem"))
    }
}

fn server(reader: &mut Reader, plaintext_allowed: bool) -> ServerConfig {
    let config = ServerConfig {
        listen: reader.address("server.listen", "127.0.0.1:50053"),
        ops_listen: reader.address("server.ops_listen", "127.0.0.1:9053"),
        reflection: reader.boolean("server.reflection", true),
        drain: reader.duration("server.drain", "20s", Duration::ZERO..=Duration::from_hours(1)),
        lame_duck: reader.duration("server.lame_duck", "0s", Duration::ZERO..=Duration::from_mins(10)),
        tls: ServerTls::read(reader, TLS),
    };
    if collide(config.ops_listen, config.listen) {
        reader.refuse("server.ops_listen", "another listener has this address");
    }
    // A defect: passwords may cross any network in plaintext.
    let plaintext_allowed = plaintext_allowed || mutant("settings.plaintext_anywhere");
    if !plaintext_allowed && !config.listen.ip().is_loopback() && !reader.is_set(TLS.certificate) {
        let why = format!(
            "plaintext beyond loopback needs server.allow_plaintext = true; or give {}",
            TLS.certificate
        );
        reader.refuse("server.listen", why);
    }
    config
}

fn identity_provider(reader: &mut Reader, plaintext_allowed: bool) -> Option<Connection> {
    const URL: &str = "identity_provider.url";
    let url = reader.url(URL, Some("http://127.0.0.1:50052"));
    let tls = ClientTls::read(reader, PORT_TLS);
    if tls.is_given() && url.as_deref().is_some_and(|url| url.starts_with("http://")) {
        reader.refuse(URL, "must be https://HOST:PORT or dns:///NAME:PORT, because a certificate is given");
    }
    let timeout = reader.duration(
        "identity_provider.timeout",
        "2s",
        Duration::from_millis(10)..=Duration::from_secs(30),
    );
    let token = provider_token(reader, tls.has_own());
    let connection = Connection { url: url?, token, tls, timeout, names: Names::of_the_system() };
    match connection.check() {
        // What is wrong with the certificates has been said.
        Err(ConnectionError::Certificate(_)) => {}
        Err(unfit) => reader.refuse(URL, unfit.to_string()),
        Ok(()) if connection.shows_token() && !plaintext_allowed => {
            let why = "would send the token in plaintext: https (of dns:///, with identity_provider.ca_file), or \
                       server.allow_plaintext = true";
            reader.refuse(URL, why);
        }
        Ok(()) => {}
    }
    Some(connection)
}

/// What auth-service knows us by, unless that is a certificate.
fn provider_token(reader: &mut Reader, has_certificate: bool) -> Option<Token> {
    const TOKEN: &str = "identity_provider.token";
    const FILE: &str = "identity_provider.token_file";
    let file = reader.secret_file(FILE);
    let own = reader.secret(TOKEN);
    if reader.is_set(FILE) && reader.is_set(TOKEN) {
        reader.refuse(TOKEN, "is given together with identity_provider.token_file");
    }
    let (key, token) = match (file, own) {
        (Some(file), _) => (FILE, Some(Token::in_file(&file))),
        (None, own) => (TOKEN, own.map(Token::fixed)),
    };
    match &token {
        Some(token) => {
            if let Some(why) = token.flaw() {
                reader.refuse(key, why);
            }
        }
        None if !reader.is_set(FILE) && !reader.is_set(TOKEN) && !has_certificate => {
            reader.refuse(
                TOKEN,
                "must be given, or identity_provider.token_file, or identity_provider.client_cert_file: what \
                 auth-service knows us by",
            );
        }
        None => {}
    }
    token
}

#[cfg(test)]
mod tests;
