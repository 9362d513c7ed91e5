//! The settings of auth-service, read and checked at start: what is wrong is said at once, and nothing is ignored.

mod rate_limit;
mod workloads;

use std::net::SocketAddr;
use std::time::Duration;

use auth_core::domain::{MIN_PASSWORD_LENGTH, PasswordPolicy, SessionPolicy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::TimeDelta;
use configuration::{Effective, Layers, Problems, Reader};
use credentials::{ServerKeys, ServerTls};
use database::settings::{DatabaseSettings, Replica};
use fail_point::{confide, mutant};
use grpc_kit::listen::collide;
use grpc_kit::process::Drain;
use identity::MAX_PASSWORD_CODE_POINTS;
use secrecy::{ExposeSecret as _, SecretSlice};
use telemetry::LogSettings;

use crate::argon2::{Argon2Settings, Cost, Pepper};
use crate::jwt::TokenSettings;
use crate::keys::{SigningKey, VerificationKey};
use crate::workload::Workload;

pub use rate_limit::RateLimits;

/// A secret shorter than this can be guessed.
pub(crate) const MIN_SECRET_BYTES: usize = 32;

/// Everything that auth-service is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens and how it stops.
    pub server: ServerConfig,
    /// Where it keeps its data.
    pub database: DatabaseSettings,
    /// How long sessions live.
    pub sessions: SessionPolicy,
    /// What passwords may be set.
    pub passwords: PasswordPolicy,
    /// How passwords are hashed.
    pub argon2: Argon2Settings,
    /// How tokens are signed.
    pub token: TokenSettings,
    /// Who may call the internal listener. Never empty.
    pub workloads: Vec<Workload>,
    /// How often passwords may be tried.
    pub rate_limits: RateLimits,
    /// What the log shows.
    pub log: LogSettings,
}

/// Where the service listens and how it stops.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// `AuthService`.
    pub listen: SocketAddr,
    /// `IdentityProviderService`.
    pub internal_listen: SocketAddr,
    /// Probes and metrics.
    pub ops_listen: SocketAddr,
    /// Whether the public listener answers reflection.
    pub reflection: bool,
    /// How long calls may take at the end before they are cut.
    pub drain: Duration,
    /// How long calls are still taken after the process has said that it wants no more.
    pub lame_duck: Duration,
    /// The certificate of the public listener; in plaintext without one.
    pub tls: Option<ServerTls>,
    /// The certificate of the internal listener, and how it knows its clients by theirs.
    pub internal_tls: Option<ServerTls>,
}

/// Of the public listener.
const PUBLIC_TLS: ServerKeys =
    ServerKeys { certificate: "server.tls_cert_file", key: "server.tls_key_file", client_authorities: None };

/// Of the internal one.
const INTERNAL_TLS: ServerKeys = ServerKeys {
    certificate: "server.internal_tls_cert_file",
    key: "server.internal_tls_key_file",
    client_authorities: Some("server.internal_client_ca_file"),
};

impl ServerConfig {
    /// How the service ends.
    #[must_use]
    pub const fn ends(&self) -> Drain {
        Drain { lame_duck: self.lame_duck, drain: self.drain }
    }

    fn knows_certificates(&self) -> bool {
        self.internal_tls.as_ref().is_some_and(ServerTls::knows_clients)
    }

    /// Whoever has no certificate is sent away before it has said a word, unless somebody may come with a token.
    fn for_workloads(mut self, workloads: &[Workload]) -> Self {
        if self.knows_certificates() && workloads.iter().all(|workload| workload.tokens.is_none()) {
            self.internal_tls = self.internal_tls.map(ServerTls::of_clients_that_all_have_one);
        }
        self
    }
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Panics
    /// Never: a setting without which there is no configuration is a problem, and then there is no result.
    pub fn read(layers: Layers) -> Result<(Self, Effective), Problems> {
        layers
            .read(|reader| {
                let server = server(reader);
                let database = DatabaseSettings::read(reader, Replica::Unknown);
                let sessions = sessions(reader);
                let (passwords, argon2) = password(reader);
                let token = token(reader);
                let workloads = workloads::read(reader, server.knows_certificates());
                let server = server.for_workloads(&workloads);
                let rate_limits = rate_limit::read(reader);
                let log = LogSettings::read(reader);
                token.zip(database).map(|(token, database)| Self {
                    server,
                    database,
                    sessions,
                    passwords,
                    argon2,
                    token,
                    workloads,
                    rate_limits,
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
        let read = layers.section("database").read(|reader| DatabaseSettings::read(reader, Replica::Unknown));
        read.map(|(settings, _)| settings.expect("a setting that is missing is a problem"))
    }
}

fn server(reader: &mut Reader) -> ServerConfig {
    let config = ServerConfig {
        listen: reader.address("server.listen", "127.0.0.1:50051"),
        internal_listen: reader.address("server.internal_listen", "127.0.0.1:50052"),
        ops_listen: reader.address("server.ops_listen", "127.0.0.1:9051"),
        reflection: reader.boolean("server.reflection", true),
        drain: reader.duration("server.drain", "20s", Duration::ZERO..=Duration::from_hours(1)),
        lame_duck: reader.duration("server.lame_duck", "0s", Duration::ZERO..=Duration::from_mins(10)),
        tls: ServerTls::read(reader, PUBLIC_TLS),
        internal_tls: ServerTls::read(reader, INTERNAL_TLS),
    };
    for (key, address, others) in [
        ("server.internal_listen", config.internal_listen, &[config.listen][..]),
        ("server.ops_listen", config.ops_listen, &[config.listen, config.internal_listen]),
    ] {
        if others.iter().any(|other| collide(address, *other)) {
            reader.refuse(key, "another listener has this address");
        }
    }
    if !reader.boolean("server.allow_plaintext", false) {
        for (key, address, certificate) in [
            ("server.listen", config.listen, PUBLIC_TLS.certificate),
            ("server.internal_listen", config.internal_listen, INTERNAL_TLS.certificate),
        ] {
            if !address.ip().is_loopback() && !reader.is_set(certificate) {
                let why = format!(
                    "plaintext beyond loopback needs server.allow_plaintext = true; or give {certificate}"
                );
                reader.refuse(key, why);
            }
        }
    }
    config
}

fn sessions(reader: &mut Reader) -> SessionPolicy {
    let lifetimes = Duration::from_secs(2)..=Duration::from_hours(24 * 365);
    let idle = reader.duration("session.idle_timeout", "30m", lifetimes.clone());
    let absolute = reader.duration("session.absolute_timeout", "24h", lifetimes);
    // A defect: what contradicts itself is taken.
    if idle > absolute && !mutant("settings.idle_outlasts_absolute") {
        reader.refuse("session.idle_timeout", "must not be longer than session.absolute_timeout");
    }
    SessionPolicy {
        idle_timeout: delta(idle),
        absolute_timeout: delta(absolute),
        refresh_threshold_ratio: reader.ratio("session.refresh_threshold_ratio", 0.2),
        max_per_user: reader.integer("session.max_per_user", 20, 1..=10_000),
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn password(reader: &mut Reader) -> (PasswordPolicy, Argon2Settings) {
    let lengths = code_points(MIN_PASSWORD_LENGTH)..=code_points(MAX_PASSWORD_CODE_POINTS);
    let policy = PasswordPolicy::new(reader.integer("password.min_length", 15, lengths));
    // Race tests hash thousands of times: only their builds may go lower.
    let minimum = if cfg!(feature = "test-hooks") {
        Cost { memory_kib: 8, iterations: 1, parallelism: 1 }
    } else {
        Cost::MINIMUM
    };
    let cost = Cost {
        memory_kib: reader.integer(
            "password.argon2_memory_kib",
            i64::from(Cost::MINIMUM.memory_kib),
            i64::from(minimum.memory_kib)..=1024 * 1024,
        ),
        iterations: reader.integer(
            "password.argon2_iterations",
            i64::from(Cost::MINIMUM.iterations),
            i64::from(minimum.iterations)..=16,
        ),
        parallelism: Cost::MINIMUM.parallelism,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Argon2Settings {
        cost,
        max_parallel: reader.integer(
            "password.max_parallel_hashes",
            i64::try_from(cores).unwrap_or(1),
            1..=1024,
        ),
        queue_wait: reader.duration("password.queue_wait", "1s", Duration::ZERO..=Duration::from_secs(30)),
        peppers: peppers(reader),
    };
    (policy, settings)
}

fn code_points(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn peppers(reader: &mut Reader) -> Vec<Pepper> {
    const KEY: &str = "password.peppers";
    let Some(text) = reader.secret(KEY) else {
        // What is wrong with one that was given, the reader said itself.
        if !reader.is_set(KEY) {
            reader.refuse(
                KEY,
                "must be given, as id:base64 of at least 32 random bytes; the first is used for new hashes",
            );
        }
        return Vec::new();
    };
    let mut peppers: Vec<Pepper> = Vec::new();
    for entry in text.expose_secret().split(',') {
        match pepper(entry.trim()) {
            Ok(pepper) if peppers.iter().any(|known| known.id == pepper.id) => {
                reader.refuse(KEY, format!("the id {} stands there twice", pepper.id));
            }
            Ok(pepper) => peppers.push(pepper),
            Err(why) => reader.refuse(KEY, why),
        }
    }
    peppers
}

fn pepper(entry: &str) -> Result<Pepper, &'static str> {
    let (id, secret) = entry.split_once(':').ok_or("must be id:base64, separated by commas")?;
    confide("a pepper", secret);
    if !(1..=8).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("a pepper's id must be 1 to 8 letters and digits");
    }
    let secret: SecretSlice<u8> = BASE64.decode(secret).map_err(|_| "a pepper must be in base64")?.into();
    if secret.expose_secret().len() < MIN_SECRET_BYTES {
        return Err("a pepper must have at least 32 bytes");
    }
    Ok(Pepper { id: id.to_owned(), secret })
}

fn token(reader: &mut Reader) -> Option<TokenSettings> {
    const SIGNING: &str = "token.signing_key_file";
    const VERIFICATION: &str = "token.verification_key_files";
    let issuer = reader.text("token.issuer", "tandem");
    let audience = reader.text("token.audience", "tandem");
    // The reader says itself what is wrong with a file that is named; only one that is not is left to be missed here.
    let file = reader.secret_file(SIGNING);
    if file.is_none() && !reader.is_set(SIGNING) {
        reader.refuse(SIGNING, "must be given: `auth-service keys generate --out FILE` makes one");
    }
    let signing_key = file.and_then(|file| match SigningKey::parse(&file.content) {
        Ok(key) => Some(key),
        Err(why) => {
            reader.refuse(SIGNING, format!("{} {why}", file.path.display()));
            None
        }
    });
    let mut verification_keys = Vec::new();
    for file in reader.secret_files(VERIFICATION) {
        match VerificationKey::parse(&file.content) {
            Ok(key) => verification_keys.push(key),
            Err(why) => reader.refuse(VERIFICATION, format!("{} {why}", file.path.display())),
        }
    }
    signing_key.map(|signing_key| TokenSettings { issuer, audience, signing_key, verification_keys })
}

#[cfg(test)]
mod tests;
