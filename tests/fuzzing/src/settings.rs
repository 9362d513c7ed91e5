//! What both targets of settings have in common: a file and an environment out of an input, and what is asked of every report.
//!
//! An input is a file, and after a line `---` the environment, a variable on each line.

use std::fmt::Display;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use configuration::{Effective, Layers, Problems};

/// Secrets that no report may show.
pub(crate) const TOKEN: &str = "sG7uX2kq9vT4wZ1nB8yC3eR6fH0jL5mD";

/// The file of settings; it has no name, so nothing is left of it.
static FILE: LazyLock<Mutex<File>> = LazyLock::new(|| Mutex::new(tempfile::tempfile().expect("a file")));

/// Where a file can be read that has no name.
pub(crate) fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Has these settings read as those of a process, `defaults` below them, and says what came of it.
///
/// What is read is shown as TOML, and shows no secret; what is refused says why. One input in four is read again, with the same
/// outcome: to read is what takes the time.
pub(crate) fn read<C>(
    input: &[u8],
    prefix: &'static str,
    defaults: &[(&str, String)],
    read: fn(Layers) -> Result<(C, Effective), Problems>,
) -> Option<C> {
    let input = String::from_utf8_lossy(input);
    let (text, environment) = input.split_once("\n---\n").unwrap_or((&input, ""));
    // Held until both are read, for the tests that run side by side.
    let mut file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    file.rewind()
        .and_then(|()| file.set_len(0))
        .and_then(|()| file.write_all(text.as_bytes()))
        .expect("a file");
    let path = path_of(&file);
    let once = || read(layers(prefix, defaults, &path, environment));
    let first = once();
    let second = input.len().is_multiple_of(4).then(once);
    drop(file);
    let shown = |outcome: &Result<(C, Effective), Problems>| match outcome {
        Ok((_, effective)) => effective.to_string(),
        Err(problems) => problems.to_string(),
    };
    let report = shown(&first);
    assert!(
        second.is_none_or(|second| shown(&second) == report),
        "another outcome of the same settings: {report}"
    );
    assert!(!report.contains(TOKEN) || input.contains(TOKEN), "a secret is shown: {report}");
    let Ok((config, effective)) = first else {
        assert!(!report.trim().is_empty(), "refused without a reason");
        return None;
    };
    is_toml(&effective);
    Some(config)
}

fn layers(prefix: &'static str, defaults: &[(&str, String)], file: &Path, environment: &str) -> Layers {
    let defaults = defaults.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("{prefix}__{name}"), value.to_owned()));
    Layers::new(prefix).defaults("what has to be given", defaults).file(file).variables(variables)
}

fn is_toml(effective: &impl Display) {
    let shown = effective.to_string();
    let read = shown.parse::<toml::Table>();
    assert!(read.is_ok(), "the effective configuration is no TOML: {read:?}\n{shown}");
}
