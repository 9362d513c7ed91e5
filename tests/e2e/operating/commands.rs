//! What an operator types, and looks at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use e2e::{Data, Processes, Service, eventually, get, sql};
use serde_json::Value;
use tokio::process::Command;

/// Restarts every process of a service, one after the other, each when the one before serves again.
pub(super) async fn restarted_in_turn(pair: &mut Processes, service: Service) {
    for number in 0..pair.replicas() {
        let status = pair.end_one(service, number).await;
        assert!(status.success(), "{status}");
        pair.run(service, None).await;
        pair.ready().await;
    }
}

/// Runs a command of a service, which must succeed.
pub(super) async fn ran(pair: &Processes, service: Service, arguments: &[&str]) -> String {
    said(pair.command_output(service, arguments).await, &format!("{arguments:?}"))
}

/// Runs another program, which must succeed.
pub(super) async fn program(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("{name}, which every Debian can install: {error}"));
    said(output, &format!("{name} {arguments:?}"))
}

pub(super) fn said(output: Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// Puts content into the place of a file, as a whole: nobody reads half of it.
pub(super) fn replaced(file: &Path, content: &str) {
    let new = file.with_extension("new");
    fs::write(&new, content).expect("written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("its owner's alone");
    fs::rename(new, file).expect("in its place");
}

/// The path of a file in the home of a pair.
pub(super) fn file(pair: &Processes, name: &str) -> PathBuf {
    pair.home().join(name)
}

/// 32 random bytes in base64, as `head -c 32 /dev/urandom | base64` prints them.
pub(super) async fn random() -> String {
    program("sh", &["-c", "head -c 32 /dev/urandom | base64"]).await
}

/// What a statement gives in the database of a service.
pub(super) async fn queried(pair: &Processes, service: Service, statement: &str) -> String {
    match pair.data() {
        Data::Sqlite(_) => {
            program("sqlite3", &[&pair.data().file(service).display().to_string(), statement]).await
        }
        Data::Postgres(_) => sql(&pair.data().url(service), statement).await,
    }
}

/// The ids of the keys that each process of auth-service publishes, the one that signs first.
pub(super) async fn published(pair: &Processes) -> Vec<Vec<String>> {
    let mut published = Vec::new();
    for ops in pair.auth_ops() {
        let (_, page) = get(ops, "/.well-known/jwks.json").await;
        let set: Value = serde_json::from_str(&page).expect("JSON");
        let keys = set["keys"].as_array().expect("keys").iter();
        published.push(keys.map(|key| key["kid"].as_str().expect("an id").to_owned()).collect());
    }
    published
}

/// Waits until every process of a service has said so many times that it has read a file again.
pub(super) async fn have_read(pair: &Processes, service: Service, what: &str, times: usize) {
    eventually(&format!("{service:?} to read {what} again"), async || {
        let log = pair.log(service);
        let lines = log.lines().filter(|line| line.contains("read again, because its files changed"));
        (lines.filter(|line| line.contains(what)).count() >= times * pair.replicas()).then_some(())
    })
    .await;
}
