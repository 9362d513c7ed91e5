//! Replacing the token by which users-service is known to auth-service. Nothing is restarted, and no call may fail.

use std::path::{Path, PathBuf};

use api::identity::AuthenticateRequest;
use api::users::GetCurrentUserRequest;
use e2e::{Person, Processes, Service, Settings, eventually, sign_up};

use super::commands::{have_read, random, replaced};
use super::load::{Load, Restarts};
use crate::crashes::BINARIES;

/// The files of the two sides, which may be one.
struct Files {
    _folder: tempfile::TempDir,
    auth: PathBuf,
    users: PathBuf,
    old: String,
}

impl Files {
    async fn new(users: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (auth, users) = (folder.path().join("auth"), folder.path().join(users));
        let old = random().await;
        replaced(&auth, &old);
        replaced(&users, &old);
        Self { _folder: folder, auth, users, old }
    }

    async fn start(&self) -> Processes {
        let path = |file: &Path| file.display().to_string();
        let settings = Settings::default().unlimited();
        let settings = settings.auth("WORKLOAD__CLIENTS__0__TOKEN_FILE", &path(&self.auth));
        let settings = settings.users("IDENTITY_PROVIDER__TOKEN_FILE", &path(&self.users));
        Processes::start_with(BINARIES, settings).await
    }

    fn is_one(&self) -> bool {
        self.auth == self.users
    }
}

/// What the services call it in their logs.
const AT_AUTH: &str = "the tokens of the workload users-service";
const AT_USERS: &str = "the token for auth-service";

async fn is_replaced(files: Files) {
    let mut pair = Box::pin(files.start()).await;
    let load = Load::begin(&pair, Restarts::None).await;
    let new = random().await;
    let asks = AuthenticateRequest { access_token: "nobodys".into(), skip_renewal: true };

    // 1. auth-service takes both, users-service sends the old one.
    replaced(&files.auth, &format!("{}\n{new}\n", files.old));
    have_read(&pair, Service::Auth, AT_AUTH, 1).await;
    if files.is_one() {
        have_read(&pair, Service::Users, AT_USERS, 1).await;
    }
    load.goes_on().await;
    // 2. users-service sends the new one.
    replaced(&files.users, &format!("{new}\n{}\n", files.old));
    have_read(&pair, Service::Users, AT_USERS, if files.is_one() { 2 } else { 1 }).await;
    if files.is_one() {
        have_read(&pair, Service::Auth, AT_AUTH, 2).await;
    }
    load.goes_on().await;
    // 3. Nobody takes or has the old one.
    replaced(&files.auth, &new);
    replaced(&files.users, &new);
    have_read(&pair, Service::Auth, AT_AUTH, if files.is_one() { 3 } else { 2 }).await;
    load.goes_on().await;
    for replica in 0..pair.replicas() {
        let auth = pair.anonymous.of_replica(replica);
        auth.bearer(&files.old).refused("WORKLOAD_UNAUTHENTICATED", asks.clone()).await;
        auth.bearer(&new).ok(asks.clone()).await;
    }
    let served = load.end().await;
    assert_eq!(served.repeats, 0);
    println!("a workload's token was replaced: {served}");

    // It is the one that is there after a restart, too.
    pair.terminate(Service::Users).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workloads_token_is_replaced_without_a_failed_call() {
    Box::pin(is_replaced(Files::new("users").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workloads_token_in_one_file_of_both_sides_is_replaced_without_a_failed_call() {
    Box::pin(is_replaced(Files::new("auth").await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_sent_before_auth_service_takes_it_lets_nobody_in_until_it_does() {
    let files = Files::new("users").await;
    let pair = files.start().await;
    pair.anonymous.ok(sign_up("alice")).await;
    let alice = Person::log_in(&pair.anonymous, "alice").await;
    let new = random().await;
    // The second step without the first.
    replaced(&files.users, &new);
    have_read(&pair, Service::Users, AT_USERS, 1).await;
    alice.refused("IDENTITY_PROVIDER_UNAVAILABLE", GetCurrentUserRequest::default()).await;
    // As at once after a theft: the old one is good no more, and both sides go on within seconds.
    replaced(&files.auth, &new);
    eventually("auth-service to take the new one", async || {
        for replica in 0..pair.replicas() {
            alice.of_replica(replica).raw(GetCurrentUserRequest::default()).await.ok()?;
        }
        Some(())
    })
    .await;
    let stolen = pair.anonymous.bearer(&files.old);
    let asks = AuthenticateRequest { access_token: "nobodys".into(), skip_renewal: true };
    stolen.refused("WORKLOAD_UNAUTHENTICATED", asks).await;
}
