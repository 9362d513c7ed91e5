//! A PostgreSQL server of one test's own, which it may crash, start again, replicate and put a pooler in front of. How
//! that is done is known to the script `tests/postgres` alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use database::testing::EveryConnection;
use tempfile::TempDir;

use crate::{client_program, eventually};

pub(crate) const SCRIPT: &str = concat!(env!("TANDEM_WORKSPACE"), "/tests/postgres");

/// A server. Gone with the value.
#[derive(Debug)]
pub struct Cluster {
    place: Place,
    is_frozen: AtomicBool,
}

impl Cluster {
    /// Makes and starts one, with these settings of PostgreSQL's: `"deadlock_timeout=10s"`.
    pub async fn start(settings: &[&str]) -> Self {
        let place = Place::new();
        place.script("init", settings).await;
        place.script("start", &[]).await;
        Self::at(place)
    }

    const fn at(place: Place) -> Self {
        Self { place, is_frozen: AtomicBool::new(false) }
    }

    /// Makes and starts one on a disk of so many MiB, of which there is no more than [`fill_disk`](Self::fill_disk) leaves. It says
    /// on standard output what that disk is: a file system of its own where this may mount one, otherwise a limit.
    pub async fn start_on_small_disk(megabytes: u32, settings: &[&str]) -> Self {
        let place = Place::new();
        let disk = place.script("small", &[&megabytes.to_string()]).await;
        println!("the disk of {} is {disk}", place.path());
        // From here on what is mounted goes with the value.
        let cluster = Self::at(place);
        cluster.place.script("init", settings).await;
        cluster.place.script("start", &[]).await;
        cluster
    }

    /// Leaves no room on its disk. The server may end of that.
    pub async fn fill_disk(&self) {
        self.place.script("fill", &[]).await;
    }

    /// Gives the room back, and starts the server if it has ended.
    pub async fn empty_disk(&self) {
        self.place.script("empty", &[]).await;
    }

    /// Makes and starts a streaming replica of it.
    pub async fn replica(&self) -> Self {
        let place = Place::new();
        place.script("replica", &[&self.place.path()]).await;
        Self::at(place)
    }

    /// How a superuser connects to it; the URL stays the same from one start to the next.
    #[must_use]
    pub fn url(&self) -> String {
        let output = self.place.command("url", &[]).output().expect("the script runs");
        String::from_utf8(output.stdout).expect("an URL").trim().to_owned()
    }

    /// What it has said in its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.place.0.path().join("server/log")).expect("its log");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Stops it as a power cut would, but for what the operating system still writes down.
    pub async fn crash(&self) {
        self.place.script("stop", &["immediate"]).await;
    }

    /// Stops it in its tracks: its connections stay, and nobody answers on them.
    pub async fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Relaxed);
        self.place.script("freeze", &[]).await;
    }

    /// Lets it go on.
    pub async fn thaw(&self) {
        self.place.script("thaw", &[]).await;
        self.is_frozen.store(false, Ordering::Relaxed);
    }

    /// Takes every place for a connection that it has for as long as the result lives: nobody else has any.
    pub async fn take_every_connection(&self) -> EveryConnection {
        EveryConnection::of(Some(&self.url())).await
    }

    /// Starts it again.
    pub async fn start_again(&self) {
        self.place.script("start", &[]).await;
    }

    /// Waits until it takes connections: one that recovers from what it went through runs and takes none.
    pub async fn takes_connections(&self) {
        let url = self.url();
        let look = async || {
            let output = client_program("psql", &url, &["--no-psqlrc", "--command", "select 1"]).await;
            output.status.success().then_some(())
        };
        eventually("the server to take connections", look).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_frozen.load(Ordering::Relaxed) {
            // It would not hear that it is to stop.
            let _ = self.place.command("thaw", &[]).status();
        }
        for end in [&["stop", "immediate"][..], &["unmount"]] {
            let ended = self.place.command(end[0], &end[1..]).status();
            assert!(
                ended.is_ok_and(|status| status.success()) || std::thread::panicking(),
                "it goes on running"
            );
        }
    }
}

/// A pgbouncer that gives every transaction whichever connection is free. Gone with the value.
#[derive(Debug)]
pub struct Pooler {
    place: Place,
    url: String,
}

impl Pooler {
    /// Starts one in front of the server of an URL, with this many connections to each database.
    pub async fn start(server_url: &str, connections: u32) -> Self {
        let place = Place::new();
        let url = place.script("pgbouncer", &[server_url, &connections.to_string()]).await;
        Self { place, url }
    }

    /// How the server is reached through it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let stopped = self.place.command("stop-pgbouncer", &[]).status();
        assert!(
            stopped.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "it goes on running"
        );
    }
}

/// The folder of a server.
#[derive(Debug)]
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The server may run as somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its own folder");
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.path().join("server").display().to_string()
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(SCRIPT);
        command.arg(name).arg(self.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command of the script to its end and returns what it prints.
    async fn script(&self, name: &str, arguments: &[&str]) -> String {
        let command = self.command(name, arguments);
        let output = tokio::process::Command::from(command).output().await.expect("the script runs");
        assert!(
            output.status.success(),
            "tests/postgres {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("an URL or nothing").trim().to_owned()
    }
}
