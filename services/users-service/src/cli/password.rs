//! Where an operator's password comes from and where a generated one goes: a file, or a terminal. Never a pipe or a log,
//! which may be kept.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use identity::RawPassword;
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use super::PasswordPlace;

/// 144 bits: 24 characters.
const RANDOM_BYTES: usize = 18;

/// A password that nobody has been told yet.
pub(super) enum NewPassword {
    /// The operator's own.
    Given(RawPassword),
    /// One for the terminal.
    Shown(RawPassword),
    /// One for a file.
    Written(RawPassword, PathBuf),
}

/// A password that is where it has to be.
pub(super) struct HandedOut {
    password: RawPassword,
    file: Option<PathBuf>,
}

impl NewPassword {
    /// Reads or generates it; refuses when a generated one would have nowhere to go.
    pub(super) fn prepare(place: PasswordPlace) -> Result<Self, Box<dyn Error>> {
        match (place.password_file, place.password_out) {
            (Some(file), _) => Ok(Self::Given(read(&file)?)),
            (None, Some(file)) if file.exists() => Err(format!("{} exists already", file.display()).into()),
            (None, Some(file)) => Ok(Self::Written(generate()?, file)),
            (None, None) if io::stdout().is_terminal() => Ok(Self::Shown(generate()?)),
            (None, None) => Err("a generated password is shown on a terminal only: \
                 give --password-out FILE or --password-file FILE"
                .into()),
        }
    }

    /// Shows it or writes it down.
    pub(super) fn hand_out(self) -> io::Result<HandedOut> {
        match self {
            Self::Given(password) => Ok(HandedOut { password, file: None }),
            Self::Shown(password) => {
                println!("password: {}", password.expose());
                io::stdout().flush()?;
                Ok(HandedOut { password, file: None })
            }
            Self::Written(password, file) => {
                write(&file, &password)?;
                Ok(HandedOut { password, file: Some(file) })
            }
        }
    }
}

impl HandedOut {
    pub(super) const fn value(&self) -> &RawPassword {
        &self.password
    }

    /// Takes back what belongs to no account. After an outage it may belong to one, so the file stays.
    pub(super) fn taken_back(&self, error: Box<dyn Error>) -> Box<dyn Error> {
        match &self.file {
            Some(file) => format!("{error} (the password in {} may not be in use)", file.display()).into(),
            None => error,
        }
    }
}

fn generate() -> Result<RawPassword, Box<dyn Error>> {
    let mut random = [0; RANDOM_BYTES];
    OsRng.try_fill_bytes(&mut random)?;
    parse(BASE64.encode(random))
}

fn read(file: &Path) -> Result<RawPassword, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    parse(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn parse(text: String) -> Result<RawPassword, Box<dyn Error>> {
    RawPassword::parse(text).map_err(|rule| format!("the password {}", rule.description()).into())
}

/// On disk, and readable by its owner only, before anything depends on it.
fn write(file: &Path, password: &RawPassword) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{}", password.expose())?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_generated_password_is_24_characters_and_another_one_each_time() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.expose().len(), 24);
        assert_ne!(one, other);
    }

    #[test]
    fn it_is_written_for_its_owner_only_and_never_over_another() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("password");
        let place = || PasswordPlace { password_file: None, password_out: Some(file.clone()) };
        let handed_out = NewPassword::prepare(place()).unwrap().hand_out().unwrap();
        assert_eq!(read(&file).unwrap(), *handed_out.value());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(NewPassword::prepare(place()).is_err());
    }

    #[test]
    fn a_given_password_loses_its_line_end_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "  correct horse battery \r\n").unwrap();
        assert_eq!(read(&file).unwrap().expose(), "  correct horse battery ");
    }
}
