//! Backups that are made while both services are used, and restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, LogOutRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest,
    RevokeAdminRequest, SetUserPasswordRequest, UserRole, UserState,
};
use e2e::{
    Caller, Data, PASSWORD, Person, Processes, Service, Settings, by_id, client_program, eventually, sign_up,
};
use serde_json::Value;

use super::commands::{file, program, queried, ran, said};
use super::load::{Load, Restarts};
use crate::crashes::BINARIES;

const LATER_PASSWORD: &str = "another long secret";

/// Makes a backup of a service that runs.
async fn backed_up(pair: &Processes, service: Service) {
    let backup = file(pair, &format!("{service:?}.backup")).display().to_string();
    match pair.data() {
        Data::Sqlite(_) => {
            let database = pair.data().file(service).display().to_string();
            program("sqlite3", &[&database, &format!("vacuum into '{backup}'")]).await;
        }
        Data::Postgres(_) => {
            let (url, to) = (pair.data().url(service), format!("--file={backup}"));
            said(client_program("pg_dump", &url, &["--format=custom", &to]).await, "pg_dump");
        }
    }
}

/// Puts the backup in the place of what a service that does not run has stored.
async fn restored(pair: &Processes, service: Service) {
    let backup = file(pair, &format!("{service:?}.backup"));
    match pair.data() {
        Data::Sqlite(_) => {
            let database = pair.data().file(service);
            for of in ["", "-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{of}", database.display()));
            }
            fs::copy(&backup, &database).expect("copied");
        }
        Data::Postgres(_) => {
            pair.data().erase(service).await;
            let (url, from) = (pair.data().url(service), backup.display().to_string());
            said(client_program("pg_restore", &url, &["--exit-on-error", &from]).await, "pg_restore");
        }
    }
}

/// What users-service shows: name and id, since a name may come twice; role and state.
type Shown = BTreeMap<(String, String), (UserRole, UserState)>;

async fn everybody(root: &Caller) -> Shown {
    let request = ListUsersRequest { page_size: 1000, ..Default::default() };
    let page = root.ok(request).await.message;
    assert!(page.next_page_token.is_empty(), "they fit on a page");
    let shown = page.users.into_iter().map(|user| {
        let is = (user.role(), user.state());
        ((user.username, user.user_id), is)
    });
    shown.collect()
}

fn create(username: &str, role: UserRole) -> CreateUserRequest {
    let (username, password) = (username.to_owned(), PASSWORD.to_owned());
    CreateUserRequest { username, password, role: role.into(), request_id: String::new() }
}

async fn person(pair: &Processes, root: &Person, username: &str, role: UserRole) -> Person {
    root.ok(create(username, role)).await;
    Person::log_in(&pair.anonymous, username).await
}

/// The reason why there is no session, or nothing.
async fn refused(anonymous: &Caller, username: &str, password: &str) -> Option<String> {
    let request = LogInRequest { username: username.to_owned(), password: password.to_owned() };
    anonymous.call(request).await.err().map(|failure| failure.reason)
}

/// Who is in the backups, and what becomes of them later.
struct Before {
    leaves: Person,
    changes: Person,
    is_denied: Person,
    rises: Person,
    falls: Person,
}

impl Before {
    async fn live(pair: &Processes, root: &Person) -> Self {
        Self {
            leaves: person(pair, root, "leaves", UserRole::User).await,
            changes: person(pair, root, "changes", UserRole::User).await,
            is_denied: person(pair, root, "denied", UserRole::User).await,
            rises: person(pair, root, "rises", UserRole::User).await,
            falls: person(pair, root, "falls", UserRole::Admin).await,
        }
    }

    fn everybody(&self) -> [&Person; 5] {
        [&self.leaves, &self.changes, &self.is_denied, &self.rises, &self.falls]
    }

    /// Nothing of this is in the backups.
    async fn change(&self, root: &Person) {
        let etag = String::new;
        self.leaves.ok(LogOutRequest {}).await;
        let change =
            ChangePasswordRequest { current_password: PASSWORD.into(), new_password: LATER_PASSWORD.into() };
        self.changes.ok(change).await;
        root.ok(InactivateUserRequest { user: by_id(&self.is_denied.id), etag: etag() }).await;
        root.ok(GrantAdminRequest { user: by_id(&self.rises.id), etag: etag() }).await;
        root.ok(RevokeAdminRequest { user: by_id(&self.falls.id), etag: etag() }).await;
    }
}

/// Lines of the security log, of both services, that an operator has to look at: who lost a right, or has another password.
fn to_be_repeated(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = lines.filter(|line| line["target"] == "security" && line["outcome"] == "ok");
    let events = events.map(|line| {
        let about = if line["subject"].is_null() { &line["actor"] } else { &line["subject"] };
        (line["event"].as_str().unwrap_or_default().to_owned(), about.as_str().unwrap_or_default().to_owned())
    });
    let wanted = ["inactivate_user", "revoke_admin", "set_user_password", "change_password"];
    events.filter(|(event, _)| wanted.contains(&event.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_were_made_under_load_serve_and_both_services_agree_again() {
    let mut pair = Processes::start_with(BINARIES, Settings::default().unlimited().logging("warn")).await;
    let root = pair.super_admin().await;
    let before = Box::pin(Before::live(&pair, &root)).await;
    let load = Load::begin(&pair, Restarts::None).await;

    // The backups, of auth-service first.
    backed_up(&pair, Service::Auth).await;
    let between = person(&pair, &root, "between", UserRole::Admin).await;
    backed_up(&pair, Service::Users).await;
    load.goes_on().await;
    assert_eq!(load.end().await.repeats, 0, "a backup is in nobody's way");
    let shown = everybody(&root).await;
    let logged = [Service::Auth, Service::Users].map(|service| pair.log(service).len());

    // What is lost.
    before.change(&root).await;
    let lost = person(&pair, &root, "lost.admin", UserRole::Admin).await;

    // 1. Nobody serves. 2. What has to be repeated.
    for service in [Service::Users, Service::Auth] {
        pair.kill(service).await;
    }
    let since = [Service::Auth, Service::Users].map(|service| pair.log(service));
    let repeat = [to_be_repeated(&since[0][logged[0]..]), to_be_repeated(&since[1][logged[1]..])].concat();
    // 3. The backups.
    for service in [Service::Auth, Service::Users] {
        restored(&pair, service).await;
    }
    without_after_restore_sessions_that_were_ended_are_alive(&mut pair, &before).await;
    // 4. A new epoch.
    ran(&pair, Service::Auth, &["after-restore"]).await;
    assert_eq!(queried(&pair, Service::Auth, "select count(*) from sessions").await, "0");
    // 5. Both serve.
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;

    for token in before.everybody().into_iter().chain([&root, &between, &lost]).map(|person| &person.token) {
        for replica in 0..pair.replicas() {
            let caller = pair.anonymous.bearer(token).of_replica(replica);
            caller.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
            caller.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
        }
    }
    let root = Person::log_in(&pair.anonymous, "superadmin").await;
    let mut expected = shown.clone();
    expected.insert((between.username.clone(), between.id.clone()), (UserRole::Admin, UserState::Inactive));
    for replica in 0..pair.replicas() {
        eventually("both to agree", async || {
            (everybody(&root.of_replica(replica)).await == expected).then_some(())
        })
        .await;
    }
    assert!(!expected.contains_key(&(lost.username.clone(), lost.id.clone())));
    for gone in [&between, &lost] {
        let reason = refused(&pair.anonymous, &gone.username, PASSWORD).await;
        assert_eq!(reason.as_deref(), Some("INVALID_CREDENTIALS"), "{}", gone.username);
    }

    Box::pin(what_was_denied_is_denied_again(&pair, &root, &before, &repeat)).await;
    pair.anonymous.ok(sign_up("lost.admin")).await;
    let successor = Person::log_in(&pair.anonymous, "lost.admin").await;
    successor.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
}

/// The step that is left out, before it is taken.
async fn without_after_restore_sessions_that_were_ended_are_alive(pair: &mut Processes, before: &Before) {
    pair.run(Service::Auth, None).await;
    pair.auth_ready().await;
    for person in [&before.leaves, &before.changes, &before.is_denied] {
        pair.resume(person).ok(GetCurrentSessionRequest {}).await;
    }
    for status in pair.terminate(Service::Auth).await {
        assert!(status.success(), "{status}");
    }
}

/// A restore takes back what was denied since the backup. What the log tells is done again.
async fn what_was_denied_is_denied_again(
    pair: &Processes,
    root: &Person,
    before: &Before,
    repeat: &[(String, String)],
) {
    let anonymous = &pair.anonymous;
    for person in [&before.is_denied, &before.changes, &before.falls] {
        assert_eq!(refused(anonymous, &person.username, PASSWORD).await, None, "as in the backup");
    }
    Person::log_in(anonymous, "falls").await.ok(ListUsersRequest::default()).await;

    let etag = String::new;
    for (event, subject) in repeat {
        match event.as_str() {
            "inactivate_user" => {
                root.ok(InactivateUserRequest { user: by_id(subject), etag: etag() }).await;
            }
            "revoke_admin" => {
                root.ok(RevokeAdminRequest { user: by_id(subject), etag: etag() }).await;
            }
            _ => {
                let password = "a secret of today only".to_owned();
                root.ok(SetUserPasswordRequest { user: by_id(subject), password }).await;
            }
        }
    }
    assert_eq!(refused(anonymous, "denied", PASSWORD).await.as_deref(), Some("ACCOUNT_INACTIVE"));
    assert_eq!(refused(anonymous, "changes", PASSWORD).await.as_deref(), Some("INVALID_CREDENTIALS"));
    Person::log_in(anonymous, "falls").await.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
    // What was granted since is gone as well, and for an administrator to grant again.
    Person::log_in(anonymous, "rises").await.refused("ROLE_TOO_LOW", ListUsersRequest::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_restored_beside_the_log_of_another_is_not_what_was_backed_up() {
    let mut pair = Processes::start_with(BINARIES, Settings::on(e2e::Engine::Sqlite)).await;
    pair.anonymous.ok(sign_up("before")).await;
    backed_up(&pair, Service::Auth).await;
    pair.anonymous.ok(sign_up("since")).await;
    pair.kill(Service::Auth).await;
    // `kill -9` leaves the write-ahead log behind, with what is newer than the file.
    let database = pair.data().file(Service::Auth);
    let log = format!("{}-wal", database.display());
    assert!(fs::metadata(Path::new(&log)).expect("a log").len() > 0);
    fs::copy(file(&pair, "Auth.backup"), &database).expect("copied");
    let names = program("sqlite3", &[&database.display().to_string(), "select username from accounts"]).await;
    assert_ne!(names, "before", "the log was played into the backup");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_backup_users_service_finds_everybody_and_no_role() {
    let mut pair = Processes::start(BINARIES).await;
    let root = pair.super_admin().await;
    root.ok(create("worker", UserRole::Admin)).await;
    pair.kill(Service::Users).await;
    pair.data().erase(Service::Users).await;
    ran(&pair, Service::Users, &["migrate"]).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let password = pair.write("password", PASSWORD).display().to_string();
    let arguments = ["bootstrap-super-admin", "--username", "successor", "--password-file", &password];
    ran(&pair, Service::Users, &arguments).await;
    let successor = Person::log_in(&pair.anonymous, "successor").await;
    let roles = eventually("everybody", async || {
        let roles: Vec<_> =
            everybody(&successor).await.into_iter().map(|((name, _), (role, _))| (name, role)).collect();
        (roles.len() == 3).then_some(roles)
    })
    .await;
    let expected =
        [("successor", UserRole::SuperAdmin), ("superadmin", UserRole::User), ("worker", UserRole::User)];
    assert_eq!(roles, expected.map(|(name, role)| (name.to_owned(), role)));
}
