//! The data directory: databases, the signing key, the pepper and the workload token.
//!
//! Secrets are made on the first run only. The file `initialized` is written at its end: with it, everything else has
//! to be there, for a pepper or key that is made anew would lock everybody out; without it, an earlier first run was
//! cut off, and what it did not get to is made now.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use auth_service::SigningKey;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret as _, SecretString};

const INITIALIZED: &str = "initialized";
const AUTH_DATABASE: &str = "auth.sqlite";
const USERS_DATABASE: &str = "users.sqlite";
const SIGNING_KEY: &str = "signing-key.pem";
const PEPPER: &str = "pepper";
const WORKLOAD_TOKEN: &str = "workload-token";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error("{} cannot be {what}: {cause}", path.display())]
    Io {
        path: PathBuf,
        what: &'static str,
        #[source]
        cause: io::Error,
    },
    #[error(
        "{} is missing or empty although this data directory was set up before: restore it from a backup; it is not made anew \
         because {why}", path.display()
    )]
    Missing { path: PathBuf, why: &'static str },
    #[error("{} is in use by another tandem", path.display())]
    InUse { path: PathBuf },
    #[error("a signing key cannot be made: {0}")]
    Key(#[from] auth_service::UnfitKey),
}

/// A data directory with all its secrets in place.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    initialized: bool,
    /// Held while the process lives, so that two first runs cannot make secrets over each other.
    _lock: File,
}

impl DataDir {
    /// Finds everything, or makes it on the first run.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|cause| io_error(path, "made", cause))?;
        let lock = lock(path)?;
        let directory =
            Self { path: path.to_owned(), initialized: path.join(INITIALIZED).exists(), _lock: lock };
        if directory.initialized {
            directory.require_everything()?;
        } else {
            directory.make_secrets()?;
        }
        Ok(directory)
    }

    /// Whether an earlier run made the super admin and showed its password.
    pub(crate) const fn is_initialized(&self) -> bool {
        self.initialized
    }

    /// Says that the first run is over.
    pub(crate) fn set_initialized(&self) -> Result<(), DataDirError> {
        make(&self.path.join(INITIALIZED), b"")
    }

    /// The settings that this directory gives auth-service.
    pub(crate) fn auth_settings(&self) -> Vec<(String, String)> {
        let file = |name: &str| self.path.join(name).display().to_string();
        settings([
            ("database.url", self.url(AUTH_DATABASE)),
            ("database.auto_migrate", "true".to_owned()),
            ("token.signing_key_file", file(SIGNING_KEY)),
            ("password.peppers_file", file(PEPPER)),
            ("workload.token_file", file(WORKLOAD_TOKEN)),
        ])
    }

    /// The settings that this directory gives users-service.
    pub(crate) fn users_settings(&self) -> Vec<(String, String)> {
        settings([
            ("database.url", self.url(USERS_DATABASE)),
            ("database.auto_migrate", "true".to_owned()),
            ("identity_provider.token_file", self.workload_token().display().to_string()),
        ])
    }

    /// Where the credential of other services is.
    pub(crate) fn workload_token(&self) -> PathBuf {
        self.path.join(WORKLOAD_TOKEN)
    }

    fn url(&self, database: &str) -> String {
        format!("sqlite://{}", self.path.join(database).display())
    }

    fn require_everything(&self) -> Result<(), DataDirError> {
        for (name, why) in [
            (AUTH_DATABASE, "it holds the accounts"),
            (USERS_DATABASE, "it holds the roles"),
            (SIGNING_KEY, "every session would end"),
            (PEPPER, "no password would match any more"),
            (WORKLOAD_TOKEN, "other services may be using it"),
        ] {
            let path = self.path.join(name);
            // Empty counts as missing: SQLite takes an empty file for a new database.
            match fs::metadata(&path) {
                Ok(file) if file.len() > 0 => {}
                Ok(_) => return Err(DataDirError::Missing { path, why }),
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    return Err(DataDirError::Missing { path, why });
                }
                Err(cause) => return Err(io_error(&path, "looked at", cause)),
            }
        }
        Ok(())
    }

    fn make_secrets(&self) -> Result<(), DataDirError> {
        make_if_absent(&self.path.join(SIGNING_KEY), SigningKey::generate_pem)?;
        make_if_absent(&self.path.join(PEPPER), || {
            Ok(format!("p1:{}\n", STANDARD.encode(random::<32>())).into())
        })?;
        make_if_absent(&self.path.join(WORKLOAD_TOKEN), || Ok(format!("{}\n", generated_token()).into()))
    }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let directory = File::open(path).map_err(|cause| io_error(path, "opened", cause))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(io_error(path, "locked", cause)),
    }
}

fn settings<const N: usize>(settings: [(&str, String); N]) -> Vec<(String, String)> {
    settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A password that nobody can guess: 144 random bits.
pub(crate) fn generated_password() -> String {
    URL_SAFE_NO_PAD.encode(random::<18>())
}

/// A token that nobody can guess: 256 random bits.
pub(crate) fn generated_token() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bits = [0; N];
    OsRng.try_fill_bytes(&mut bits).expect("the operating system gives random bits");
    bits
}

fn make_if_absent(
    path: &Path,
    content: impl FnOnce() -> Result<SecretString, auth_service::UnfitKey>,
) -> Result<(), DataDirError> {
    if path.exists() { Ok(()) } else { make(path, content()?.expose_secret().as_bytes()) }
}

/// Writes a file whole or not at all, readable by its owner only.
fn make(path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    let unfinished = path.with_extension("unfinished");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|cause| io_error(path, "written", cause))
}

fn io_error(path: &Path, what: &'static str, cause: io::Error) -> DataDirError {
    DataDirError::Io { path: path.to_owned(), what, cause }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_run_makes_secrets_for_their_owner_only_and_later_ones_keep_them() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("data");
        let directory = DataDir::open(&path).unwrap();
        assert!(!directory.is_initialized());
        assert_eq!(mode(&path), 0o700);
        let secrets = [SIGNING_KEY, PEPPER, WORKLOAD_TOKEN].map(|name| path.join(name));
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse { .. })));
        drop(directory);
        let before = secrets.clone().map(|file| fs::read(file).unwrap());
        assert_eq!(secrets.each_ref().map(|file| mode(file)), [0o600; 3]);
        DataDir::open(&path).unwrap();
        assert_eq!(
            secrets.map(|file| fs::read(file).unwrap()),
            before,
            "a first run that was cut off goes on"
        );
    }

    #[test]
    fn nothing_is_made_anew_once_the_directory_is_set_up() {
        for missing in [AUTH_DATABASE, USERS_DATABASE, SIGNING_KEY, PEPPER, WORKLOAD_TOKEN] {
            let temporary = tempfile::tempdir().unwrap();
            let directory = DataDir::open(temporary.path()).unwrap();
            for database in [AUTH_DATABASE, USERS_DATABASE] {
                make(&temporary.path().join(database), b"not empty").unwrap();
            }
            directory.set_initialized().unwrap();
            drop(directory);
            assert!(DataDir::open(temporary.path()).unwrap().is_initialized());
            for lose in [|file: &Path| fs::write(file, b""), |file: &Path| fs::remove_file(file)] {
                lose(&temporary.path().join(missing)).unwrap();
                let refused = DataDir::open(temporary.path()).unwrap_err().to_string();
                assert!(refused.contains(missing), "{refused}");
            }
        }
    }
}
