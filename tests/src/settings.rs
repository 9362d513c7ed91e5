//! The settings of a pair, as environment variables: what tests give in process is what they give to real processes.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use auth_service::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::ExposeSecret as _;

use crate::Engine;

/// What a pair is told. Begins with everything that a test needs: cheap hashes, much patience in the queue for them.
#[derive(Clone, Debug)]
pub struct Settings {
    engine: Engine,
    auth: Vec<(String, String)>,
    users: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { engine: Engine::under_test(), auth: Vec::new(), users: Vec::new() }
    }
}

impl Settings {
    /// Tells auth-service something else: `("SESSION__MAX_PER_USER", "3")`.
    #[must_use]
    pub fn auth(mut self, key: &str, value: &str) -> Self {
        self.auth.retain(|(known, _)| *known != format!("AUTH__{key}"));
        self.auth.push((format!("AUTH__{key}"), value.to_owned()));
        self
    }

    /// Tells users-service something else.
    #[must_use]
    pub fn users(mut self, key: &str, value: &str) -> Self {
        self.users.push((format!("USERS__{key}"), value.to_owned()));
        self
    }

    /// Where data is kept.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The environment of auth-service.
    pub(crate) fn of_auth(&self, home: &Home, listens: [SocketAddr; 3]) -> Vec<(String, String)> {
        let [public, internal, ops] = listens;
        let variables = [
            ("SERVER__LISTEN", public.to_string()),
            ("SERVER__INTERNAL_LISTEN", internal.to_string()),
            ("SERVER__OPS_LISTEN", ops.to_string()),
            ("SERVER__DRAIN", "5s".to_owned()),
            ("DATABASE__URL", self.engine.url(home.path(), "auth")),
            ("DATABASE__AUTO_MIGRATE", "true".to_owned()),
            ("PASSWORD__ARGON2_MEMORY_KIB", "8".to_owned()),
            ("PASSWORD__ARGON2_ITERATIONS", "1".to_owned()),
            ("PASSWORD__QUEUE_WAIT", "30s".to_owned()),
            ("PASSWORD__PEPPERS_FILE", home.file("peppers")),
            ("TOKEN__SIGNING_KEY_FILE", home.file("signing-key.pem")),
            ("WORKLOAD__CLIENTS__0__NAME", "users-service".to_owned()),
            ("WORKLOAD__CLIENTS__0__TOKEN_FILE", home.file("full-token")),
            ("WORKLOAD__CLIENTS__0__ALLOW", "full".to_owned()),
            ("WORKLOAD__CLIENTS__1__NAME", "shop".to_owned()),
            ("WORKLOAD__CLIENTS__1__TOKEN_FILE", home.file("verify-token")),
            ("WORKLOAD__CLIENTS__1__ALLOW", "verify".to_owned()),
            ("LOG__LEVEL", "warn".to_owned()),
        ];
        layered("AUTH__", variables, &self.auth)
    }

    /// The environment of users-service.
    pub(crate) fn of_users(
        &self,
        home: &Home,
        listens: [SocketAddr; 2],
        port: SocketAddr,
    ) -> Vec<(String, String)> {
        let [public, ops] = listens;
        let variables = [
            ("SERVER__LISTEN", public.to_string()),
            ("SERVER__OPS_LISTEN", ops.to_string()),
            ("SERVER__DRAIN", "5s".to_owned()),
            ("DATABASE__URL", self.engine.url(home.path(), "users")),
            ("DATABASE__AUTO_MIGRATE", "true".to_owned()),
            ("IDENTITY_PROVIDER__URL", format!("http://{port}")),
            ("IDENTITY_PROVIDER__TOKEN_FILE", home.file("full-token")),
            ("IDENTITY_PROVIDER__TIMEOUT", "20s".to_owned()),
            ("LOG__LEVEL", "warn".to_owned()),
        ];
        layered("USERS__", variables, &self.users)
    }
}

/// What a test asked for wins.
fn layered<const N: usize>(
    prefix: &str,
    variables: [(&str, String); N],
    asked_for: &[(String, String)],
) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        variables.into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)).collect();
    all.retain(|(key, _)| asked_for.iter().all(|(asked, _)| asked != key));
    all.extend_from_slice(asked_for);
    all
}

/// The folder of one test, with its secrets in files.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
    /// The token of the workload that may do everything.
    pub(crate) full: String,
    /// The token of the workload that may only verify.
    pub(crate) verify: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let random = || BASE64.encode(rand::random::<[u8; 32]>());
        let home = Self { folder, full: random(), verify: random() };
        let key = SigningKey::generate_pem().expect("a key");
        home.write("signing-key.pem", key.expose_secret());
        home.write("peppers", &format!("p1:{}", random()));
        home.write("full-token", &home.full);
        home.write("verify-token", &home.verify);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Writes a file for its owner's eyes only.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        let _ = fs::remove_file(&path);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        path
    }
}
