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

/// A password that nobody has been told yet, or that is where it has to be.
pub(super) enum NewPassword {
    /// The operator's own, or one that was written down by an attempt that was cut off.
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
    /// Reads or generates it; takes up what an attempt that was cut off wrote down already; refuses when a generated one would have nowhere to go.
    pub(super) fn prepare(place: PasswordPlace) -> Result<Self, Box<dyn Error>> {
        match (place.password_file, place.password_out) {
            (Some(file), _) => Ok(Self::Given(read(&file)?)),
            (None, Some(file)) if file.exists() => Ok(Self::Given(made_before(&file)?)),
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

    /// Takes back a password that belongs to no account, and says where one is that may.
    pub(super) fn taken_back(&self, is_in_use: InUse) -> String {
        match (&self.file, is_in_use) {
            (None, _) => String::new(),
            (Some(file), InUse::Never) => match fs::remove_file(file) {
                Ok(()) => String::new(),
                Err(error) => format!("; {}, which is of no use, cannot be removed: {error}", file.display()),
            },
            (Some(file), InUse::Perhaps) => {
                format!("; the password in {} may be in use: repeat the command to be sure", file.display())
            }
        }
    }
}

/// Whether an account may have a password after an attempt failed.
#[derive(Clone, Copy)]
pub(super) enum InUse {
    /// It was refused.
    Never,
    /// The outcome is not known.
    Perhaps,
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

/// The password that an earlier attempt generated into this file. Any other content is somebody else's.
fn made_before(file: &Path) -> Result<RawPassword, Box<dyn Error>> {
    let password = read(file)?;
    match BASE64.decode(password.expose()) {
        Ok(random) if random.len() == RANDOM_BYTES => Ok(password),
        _ => {
            Err(format!("{} exists already and holds no password that was made here", file.display()).into())
        }
    }
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
    fn it_is_written_for_its_owner_only_taken_up_again_and_never_over_another() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("password");
        let place = || PasswordPlace { password_file: None, password_out: Some(file.clone()) };
        let handed_out = NewPassword::prepare(place()).unwrap().hand_out().unwrap();
        assert_eq!(read(&file).unwrap(), *handed_out.value());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let resumed = NewPassword::prepare(place()).unwrap().hand_out().unwrap();
        assert_eq!(resumed.value(), handed_out.value());
        fs::write(&file, "something else").unwrap();
        assert!(NewPassword::prepare(place()).is_err());
    }

    #[test]
    fn what_was_refused_is_removed_and_what_may_be_in_use_is_kept() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("password");
        let place = PasswordPlace { password_file: None, password_out: Some(file.clone()) };
        let handed_out = NewPassword::prepare(place).unwrap().hand_out().unwrap();
        assert!(handed_out.taken_back(InUse::Perhaps).contains("may be in use"));
        assert!(file.exists());
        assert_eq!(handed_out.taken_back(InUse::Never), "");
        assert!(!file.exists());
    }

    #[test]
    fn a_given_password_loses_its_line_end_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "  correct horse battery \r\n").unwrap();
        assert_eq!(read(&file).unwrap().expose(), "  correct horse battery ");
    }
}
