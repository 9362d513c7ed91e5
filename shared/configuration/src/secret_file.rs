//! A file that holds a secret: a token, a key, a pepper. Decides which files are fit to hold one, not what
//! their content means.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fail_point::confide;
use secrecy::{ExposeSecret, SecretString};

use crate::masking::is_placeholder;

/// Far more than any key or token, far less than what a wrong path (a device, a log) could feed us.
const MAX_BYTES: u64 = 1024 * 1024;

/// The bit that lets everyone read.
const WORLD_READABLE: u32 = 0o004;

/// A file that holds a secret, and its content when the configuration was read.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// Where the file is, for those who watch it for changes.
    pub path: PathBuf,
    /// The whole content, without line breaks at its end. Never empty.
    pub content: SecretString,
}

impl SecretFile {
    /// Reads the file again or for the first time.
    ///
    /// Refuses a file that everyone on the machine can read, that is empty, is not text, or only holds a
    /// placeholder.
    pub fn load(path: &Path) -> Result<Self, UnfitFile> {
        let content = read(path).map_err(|reason| UnfitFile { path: path.to_owned(), reason })?;
        confide("what is in a file", content.expose_secret());
        Ok(Self { path: path.to_owned(), content })
    }

    /// The lines that are not blank, without the space around them: several tokens while one is rotated.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.content.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty())
    }
}

/// Why a file cannot serve as the place of a secret: names the file, never its content.
#[derive(Debug)]
pub struct UnfitFile {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Unreadable(io::Error),
    WorldReadable,
    TooLarge,
    NotText,
    Empty,
    Placeholder,
}

impl fmt::Display for UnfitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the file {} ", self.path.display().to_string().escape_debug())?;
        match &self.reason {
            Reason::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Reason::WorldReadable => f.write_str("holds a secret and can be read by everyone: chmod o-r"),
            Reason::TooLarge => write!(f, "is larger than {MAX_BYTES} bytes"),
            Reason::NotText => f.write_str("is not text"),
            Reason::Empty => f.write_str("is empty"),
            Reason::Placeholder => f.write_str("holds a placeholder, not a secret"),
        }
    }
}

impl std::error::Error for UnfitFile {}

fn read(path: &Path) -> Result<SecretString, Reason> {
    let file = File::open(path).map_err(Reason::Unreadable)?;
    let metadata = file.metadata().map_err(Reason::Unreadable)?;
    if metadata.is_file() && metadata.permissions().mode() & WORLD_READABLE != 0 {
        return Err(Reason::WorldReadable);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Reason::Unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Reason::TooLarge);
    }
    let content = String::from_utf8(bytes).map_err(|_| Reason::NotText)?;
    let content = content.trim_end_matches(['\r', '\n']);
    if content.trim().is_empty() {
        return Err(Reason::Empty);
    }
    if is_placeholder(content) {
        return Err(Reason::Placeholder);
    }
    Ok(SecretString::from(content))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use secrecy::ExposeSecret;
    use tempfile::TempDir;

    use super::{MAX_BYTES, SecretFile};

    fn file_with(folder: &TempDir, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = folder.path().join("token");
        fs::write(&path, content).expect("write");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
        path
    }

    fn refusal(content: impl AsRef<[u8]>, mode: u32) -> String {
        let folder = TempDir::new().expect("a folder");
        let path = file_with(&folder, content, mode);
        let refusal = SecretFile::load(&path).expect_err("refused").to_string();
        assert!(refusal.contains(&path.display().to_string()));
        refusal
    }

    #[test]
    fn the_line_break_at_the_end_is_not_part_of_the_secret() {
        let folder = TempDir::new().expect("a folder");
        let file = SecretFile::load(&file_with(&folder, "first\n\n  second \r\n", 0o600)).expect("loads");
        assert_eq!(file.content.expose_secret(), "first\n\n  second ");
        assert_eq!(file.lines().collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn a_file_that_everyone_can_read_holds_no_secret() {
        assert!(refusal("token", 0o644).contains("read by everyone"));
    }

    #[test]
    fn a_group_may_read_a_secret() {
        let folder = TempDir::new().expect("a folder");
        assert!(SecretFile::load(&file_with(&folder, "token", 0o640)).is_ok());
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        assert!(refusal("", 0o600).contains("is empty"));
        assert!(refusal(" \n\n", 0o600).contains("is empty"));
        assert!(refusal("changeme\n", 0o600).contains("placeholder"));
        assert!(refusal([0xff, 0xfe], 0o600).contains("not text"));
        assert!(
            refusal("x".repeat(usize::try_from(MAX_BYTES).expect("fits") + 1), 0o600).contains("larger than")
        );
    }

    #[test]
    fn a_missing_file_and_a_folder_are_named() {
        let folder = TempDir::new().expect("a folder");
        let missing = folder.path().join("nowhere");
        let refusal = SecretFile::load(&missing).expect_err("refused").to_string();
        assert!(refusal.contains("nowhere cannot be read: No such file"), "{refusal}");
        assert!(SecretFile::load(folder.path()).is_err());
    }

    #[test]
    fn debug_output_does_not_show_the_secret() {
        let folder = TempDir::new().expect("a folder");
        let file = SecretFile::load(&file_with(&folder, "hunter2hunter2", 0o600)).expect("loads");
        assert!(!format!("{file:?}").contains("hunter2"));
    }
}
