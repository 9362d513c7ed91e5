//! What is made of files, and made anew when they change.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often the files are looked at. They are read rather than watched: a mounted secret is a link that is exchanged, which
/// no two kinds of file systems tell in the same way.
const INTERVAL: Duration = Duration::from_secs(1);

/// A value that follows files. Clones are the same one.
#[derive(Debug)]
pub struct Followed<T>(watch::Receiver<Arc<T>>);

impl<T> Clone for Followed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// A value that never changes.
    #[must_use]
    pub fn constant(value: T) -> Self {
        Self(watch::channel(Arc::new(value)).1)
    }

    /// Makes the value, and makes it anew when one of the files changes, until the last clone is dropped. When what is in
    /// the files then makes no value, that is logged, the last good one stays, and it is tried again until one is made. Needs a
    /// tokio runtime.
    pub async fn of<E: Display + Send + 'static>(
        what: impl Into<String>,
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        // Before the value is made: a change in between is seen as one.
        let seen = contents(&files).await;
        let (sender, receiver) = watch::channel(Arc::new(make()?));
        if !files.is_empty() {
            tokio::spawn(follow(what.into(), files, seen, make, sender));
        }
        Ok(Self(receiver))
    }

    /// The value as it is now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }
}

async fn follow<T, E>(
    what: String,
    files: Vec<PathBuf>,
    mut seen: Vec<Content>,
    make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    sender: watch::Sender<Arc<T>>,
) where
    T: Send + Sync + 'static,
    E: Display + Send + 'static,
{
    let make = Arc::new(make);
    // Why the last one could not be made. It may be mended without a change of the content: by other permissions.
    let mut flaw = None;
    loop {
        tokio::select! {
            () = sender.closed() => return,
            () = sleep(INTERVAL) => {}
        }
        let now = contents(&files).await;
        let changed = now != seen;
        if !changed && flaw.is_none() {
            continue;
        }
        seen = now;
        let make = Arc::clone(&make);
        let outcome = match spawn_blocking(move || make()).await {
            Ok(value) => value.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        flaw = match outcome {
            Ok(value) => {
                sender.send_replace(Arc::new(value));
                tracing::info!(what, "read again, because its files changed");
                None
            }
            // One file may be written before the other that belongs to it.
            Err(error) => {
                if changed || flaw.as_ref() != Some(&error) {
                    tracing::warn!(what, error, "changed and is not good; the last good one stays");
                }
                Some(error)
            }
        };
    }
}

/// A digest, because secrets need not be in memory twice; nothing of a file that cannot be read, or is none.
type Content = Option<[u8; 32]>;

/// No certificate, key or token is as long as this, and what is no file may have no end.
pub(crate) const MAX_BYTES: u64 = 1024 * 1024;

async fn contents(files: &[PathBuf]) -> Vec<Content> {
    let mut contents = Vec::with_capacity(files.len());
    for file in files {
        contents.push(content(file).await);
    }
    contents
}

async fn content(path: &Path) -> Content {
    // A pipe can be read once only, and by whom it is meant for.
    if !tokio::fs::metadata(path).await.ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await.ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).await.ok()?;
    Some(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind::PermissionDenied;
    use std::num::ParseIntError;
    use std::path::Path;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    async fn number(file: &Path) -> Result<Followed<u32>, ParseIntError> {
        let path = file.to_owned();
        let make = move || fs::read_to_string(&path).unwrap_or_default().parse();
        Followed::of("the number", vec![file.to_owned()], make).await
    }

    /// Waits for the change; real time, because files are read on threads.
    async fn becomes(number: &Followed<u32>, expected: u32) {
        let changed = async {
            while *number.current() != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(INTERVAL * 20, changed).await.expect("it becomes what the file says");
    }

    #[tokio::test]
    async fn a_change_is_followed_and_what_is_no_good_is_passed_over() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("number");
        fs::write(&file, "1").unwrap();
        let number = number(&file).await.unwrap();
        assert_eq!(*number.current(), 1);
        fs::write(&file, "none").unwrap();
        sleep(INTERVAL * 2).await;
        assert_eq!(*number.current(), 1);
        fs::remove_file(&file).unwrap();
        fs::write(&file, "2").unwrap();
        becomes(&number, 2).await;
    }

    /// As Kubernetes does with secrets that it mounts.
    #[tokio::test]
    async fn a_link_that_is_exchanged_is_a_change() {
        let folder = TempDir::new().unwrap();
        let link = folder.path().join("current");
        for version in ["1", "2"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("number"), version).unwrap();
        }
        let point_to = |version: &str| {
            let new = folder.path().join("new");
            std::os::unix::fs::symlink(folder.path().join(version), &new).unwrap();
            fs::rename(new, &link).unwrap();
        };
        point_to("1");
        let number = number(&link.join("number")).await.unwrap();
        point_to("2");
        becomes(&number, 2).await;
    }

    #[tokio::test]
    async fn what_was_no_good_is_tried_again_though_its_content_is_the_same() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("number");
        let may = folder.path().join("may-be-read");
        fs::write(&file, "1").unwrap();
        fs::write(&may, "").unwrap();
        let (path, permission) = (file.clone(), may.clone());
        let make = move || {
            if permission.exists() { fs::read_to_string(&path) } else { Err(PermissionDenied.into()) }
        };
        let text = Followed::of("the text", vec![file.clone()], make).await.unwrap();
        fs::remove_file(&may).unwrap();
        fs::write(&file, "2").unwrap();
        sleep(INTERVAL * 2).await;
        assert_eq!(*text.current(), "1");
        fs::write(&may, "").unwrap();
        let changed = async {
            while *text.current() != "2" {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(INTERVAL * 20, changed).await.expect("it is tried again");
    }

    #[tokio::test]
    async fn a_pipe_is_left_to_whom_it_is_meant_for() {
        let folder = TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let constant = Followed::of("the pipe", vec![pipe], || Ok::<_, String>(1));
        assert_eq!(*timeout(INTERVAL * 20, constant).await.expect("it does not wait").unwrap().current(), 1);
    }

    #[tokio::test]
    async fn what_makes_no_value_at_first_is_an_error() {
        let folder = TempDir::new().unwrap();
        assert!(number(&folder.path().join("missing")).await.is_err());
    }

    #[tokio::test]
    async fn a_constant_stays() {
        let constant = Followed::constant(3);
        assert_eq!(*constant.clone().current(), 3);
    }
}
