//! What belongs to one test alone: a folder with its secrets in files, and the data of the two services.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use auth_service::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use configuration::Layers;
use secrecy::ExposeSecret as _;

use crate::data::Begins;
use crate::{Data, Service, Settings, discretion};

/// Any free port.
pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The folder and the data.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) folder: Folder,
    pub(crate) data: Data,
}

impl Home {
    pub(crate) async fn new(settings: &Settings, begins: Begins) -> Self {
        let folder = Folder::new();
        let data = Data::new(settings, &folder, begins).await;
        Self { folder, data }
    }
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Folder {
    place: tempfile::TempDir,
    /// The token of the workload that may do everything.
    pub(crate) full: String,
    /// The token of the workload that may only verify.
    pub(crate) verify: String,
}

impl Folder {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let random = || BASE64.encode(rand::random::<[u8; 32]>());
        let folder = Self { place, full: random(), verify: random() };
        let key = SigningKey::generate_pem().expect("a key");
        let pepper = random();
        folder.write("signing-key.pem", key.expose_secret());
        folder.write("peppers", &format!("p1:{pepper}"));
        folder.write("full-token", &folder.full);
        folder.write("verify-token", &folder.verify);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }

    /// Writes a file for its owner's eyes only, whose secrets nobody may say from then on.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        discretion::remember_those_of_a_file(name, content);
        let path = self.path().join(name);
        let _ = fs::remove_file(&path);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        path
    }

    /// Makes the schema of a service where an URL says.
    pub(crate) async fn migrate(&self, service: Service, url: &str) {
        let settings = Settings::default();
        match service {
            Service::Auth => {
                let variables = settings.auth_variables(self, vec![("URL", url.to_owned())], [ANY; 3]);
                let layers = Layers::new("AUTH").variables(variables);
                let (config, _) = auth_service::Config::read(layers).expect("settings of auth-service");
                auth_service::migrate(&config.database).await.expect("the schema of auth-service");
            }
            Service::Users => {
                let variables = settings.users_variables(self, vec![("URL", url.to_owned())], [ANY; 2], ANY);
                let layers = Layers::new("USERS").variables(variables);
                let (config, _) = users_service::Config::read(layers).expect("settings of users-service");
                users_service::migrate(&config.database).await.expect("the schema of users-service");
            }
        }
    }
}
