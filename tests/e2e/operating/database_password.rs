//! Replacing the password with which auth-service connects to PostgreSQL, by a second role of the same rights. These tests have
//! a server that asks for passwords, whatever engine the run is about.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use api::auth::GetCurrentSessionRequest;
use e2e::{
    Cluster, Person, Processes, Service, Settings, client_program, eventually, refused_sql, sign_up, sql,
};
use tempfile::TempDir;

use super::commands::{file, replaced, restarted_in_turn, said};
use super::load::{Load, Restarts};
use crate::crashes::BINARIES;

const ROLES: &str = concat!(env!("TANDEM_WORKSPACE"), "/deploy/postgres/roles.sql");

/// A server with the roles of `deploy/postgres`, of which all but the superuser have a password.
struct Server {
    cluster: Cluster,
    _rules: TempDir,
}

impl Server {
    async fn start() -> Self {
        let rules = tempfile::tempdir().expect("a folder");
        // The server may run as somebody else.
        fs::set_permissions(rules.path(), fs::Permissions::from_mode(0o755)).expect("its own folder");
        let file = rules.path().join("pg_hba.conf");
        let content = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 password\n";
        fs::write(&file, content).expect("written");
        let cluster = Cluster::start(&[&format!("hba_file={}", file.display())]).await;
        let script = ["--no-psqlrc", "--quiet", "--file", ROLES];
        said(client_program("psql", &cluster.url(), &script).await, "roles.sql");
        for role in ["tandem_auth_owner", "tandem_auth", "tandem_users_owner", "tandem_users"] {
            sql(&cluster.url(), &format!("alter role {role} password 'first'")).await;
        }
        Self { cluster, _rules: rules }
    }

    fn url(&self, role: &str, password: &str, database: &str) -> String {
        let superuser = self.cluster.url();
        let (_, place) = superuser.split_once('@').expect("a user");
        let (place, _) = place.split_once('/').expect("a database");
        format!("postgres://{role}:{password}@{place}/{database}")
    }

    /// As the superuser.
    async fn run(&self, statement: &str) {
        sql(&self.cluster.url(), statement).await;
    }

    async fn pair(&self) -> Processes {
        let mut settings = Settings::replicated(2).unlimited().at(&self.cluster);
        for (key, value) in [("DATABASE__URL", ""), ("DATABASE__AUTO_MIGRATE", "false")] {
            settings = settings.auth(key, value).users(key, value);
        }
        let mut pair = Processes::prepared(BINARIES, settings).await;
        for service in [Service::Auth, Service::Users] {
            let url = file(&pair, &format!("{service:?}-url")).display().to_string();
            pair.tell(service, "DATABASE__URL_FILE", &url);
        }
        for (role, migrates) in [("_owner", true), ("", false)] {
            for (service, name) in [(Service::Auth, "tandem_auth"), (Service::Users, "tandem_users")] {
                let url = self.url(&format!("{name}{role}"), "first", name);
                replaced(&file(&pair, &format!("{service:?}-url")), &url);
                if migrates {
                    said(pair.command_output(service, &["migrate"]).await, "migrate");
                }
            }
        }
        pair.run(Service::Auth, None).await;
        pair.run(Service::Users, None).await;
        pair.ready().await;
        pair
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_password_is_replaced_without_a_failed_call_or_log_in() {
    let server = Server::start().await;
    let mut pair = Box::pin(server.pair()).await;
    let load = Load::begin(&pair, Restarts::OfAuthService).await;

    // 1. A second role, with the rights of the first and a password of its own.
    server.run("create role tandem_auth_2 login password 'second' in role tandem_auth").await;
    // 2. Every process connects as it.
    replaced(&file(&pair, "Auth-url"), &server.url("tandem_auth_2", "second", "tandem_auth"));
    restarted_in_turn(&mut pair, Service::Auth).await;
    load.goes_on().await;
    let connected = "select count(*) from pg_stat_activity where usename = 'tandem_auth'";
    assert_eq!(sql(&server.cluster.url(), connected).await, "0");
    // 3. Nobody connects as the first one any more.
    server.run("alter role tandem_auth nologin password null").await;
    load.goes_on().await;
    println!("a database's password was replaced: {}", load.end().await);
    refused_sql(&server.url("tandem_auth", "first", "tandem_auth"), "select 1").await;

    // The next time: a third role in place of the second.
    server.run("create role tandem_auth_3 login password 'third' in role tandem_auth").await;
    replaced(&file(&pair, "Auth-url"), &server.url("tandem_auth_3", "third", "tandem_auth"));
    restarted_in_turn(&mut pair, Service::Auth).await;
    server.run("drop role tandem_auth_2").await;
    refused_sql(&server.url("tandem_auth_2", "second", "tandem_auth"), "select 1").await;
    pair.anonymous.ok(sign_up("afterwards")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_goes_before_the_processes_know_another_takes_the_service_along() {
    let server = Server::start().await;
    let pair = Box::pin(server.pair()).await;
    pair.anonymous.ok(sign_up("alice")).await;
    let alice = Person::log_in(&pair.anonymous, "alice").await;
    // A new password in the place of the old one: connections that are open go on, new ones are refused.
    server.run("alter role tandem_auth password 'second'").await;
    alice.ok(GetCurrentSessionRequest {}).await;
    server.run("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'tandem_auth'").await;
    eventually("a call that needs a new connection", async || {
        let refused = alice.call(GetCurrentSessionRequest {}).await.err()?;
        (refused.reason == "STORAGE_UNAVAILABLE").then_some(())
    })
    .await;
}
