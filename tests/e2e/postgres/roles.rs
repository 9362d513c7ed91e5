//! The roles of `deploy/postgres/roles.sql`: an owner who migrates, and one who serves and can do nothing else.

use api::auth::{ChangePasswordRequest, GetCurrentSessionRequest, LogOutRequest};
use api::users::{
    CreateUserRequest, GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest, ListUsersRequest,
    ReactivateUserRequest, RevokeAdminRequest, RevokeUserSessionsRequest, SetUserPasswordRequest, UserRole,
    UserState,
};
use e2e::{
    Cluster, Engine, PASSWORD, Person, Processes, Service, Settings, by_id, client_program, eventually,
    refused_sql, sign_up, sql,
};

use crate::crashes::BINARIES;

const SCRIPT: &str = concat!(env!("TANDEM_WORKSPACE"), "/deploy/postgres/roles.sql");

/// The URL of a database of the script's as a role of the script's.
fn url(server: &Cluster, role: &str, database: &str) -> String {
    let superuser = server.url();
    let (_, place) = superuser.split_once('@').expect("a user");
    let (place, _) = place.split_once('/').expect("a database");
    format!("postgres://{role}@{place}/{database}")
}

/// Processes that reach their databases as these roles. Only the owners may migrate.
async fn as_roles(server: &Cluster, auth: &str, users: &str) -> Processes {
    let settings = Settings::on(Engine::Postgres)
        .at(server)
        .auth("DATABASE__URL", &url(server, auth, "tandem_auth"))
        .users("DATABASE__URL", &url(server, users, "tandem_users"))
        .auth("DATABASE__AUTO_MIGRATE", "false")
        .users("DATABASE__AUTO_MIGRATE", "false");
    Processes::prepared(BINARIES, settings).await
}

/// A server with what the script makes, and the schemas.
async fn set_up() -> Cluster {
    let server = Cluster::start(&[]).await;
    // A second time: what is there stays.
    run_script(&server).await;
    run_script(&server).await;
    let owners = as_roles(&server, "tandem_auth_owner", "tandem_users_owner").await;
    for service in [Service::Auth, Service::Users] {
        let migrated = owners.command_output(service, &["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    }
    server
}

async fn run_script(server: &Cluster) {
    let arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file", SCRIPT];
    let ran = client_program("psql", &server.url(), &arguments).await;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serving_roles_can_do_everything_that_the_services_do() {
    let server = set_up().await;
    let mut pair = as_roles(&server, "tandem_auth", "tandem_users").await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let etag = String::new;

    let newcomer = pair.anonymous.ok(sign_up("newcomer")).await.message.user_id;
    eventually("the feed", async || {
        let page = root.ok(ListUsersRequest { include_total: true, ..Default::default() }).await.message;
        page.users.iter().any(|user| user.user_id == newcomer).then_some(())
    })
    .await;
    let request = CreateUserRequest {
        username: "worker".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3d".into(),
    };
    root.ok(request).await;
    let worker = Person::log_in(&pair.anonymous, "worker").await;
    let change = ChangePasswordRequest {
        current_password: PASSWORD.into(),
        new_password: "another long secret".into(),
    };
    worker.ok(change).await;
    for user in [by_id(&worker.id), by_id(&newcomer)] {
        root.ok(InactivateUserRequest { user, etag: etag() }).await;
    }
    let on = root.ok(ReactivateUserRequest { user: by_id(&newcomer), etag: etag() }).await.message;
    assert_eq!(on.user.expect("a user").state(), UserState::Active);
    root.ok(GrantAdminRequest { user: by_id(&newcomer), etag: etag() }).await;
    root.ok(RevokeAdminRequest { user: by_id(&newcomer), etag: etag() }).await;
    root.ok(SetUserPasswordRequest { user: by_id(&newcomer), password: "another long secret".into() }).await;
    root.ok(RevokeUserSessionsRequest { user: by_id(&newcomer), session_id: String::new() }).await;
    let other = Person::log_in(&pair.anonymous, "superadmin").await;
    other.ok(LogOutRequest {}).await;

    // As what has expired is purged, once a minute.
    let database = url(&server, "tandem_auth", "tandem_auth");
    for table in ["sessions", "sign_up_requests"] {
        sql(
            &database,
            &format!("begin; select * from {table} for update skip locked; delete from {table}; rollback"),
        )
        .await;
    }

    let file = pair.write("second", PASSWORD).display().to_string();
    for arguments in [
        &["bootstrap-super-admin", "--username", "second", "--password-file", &file, "--force"][..],
        &["reset-super-admin-password", "--username", "second", "--password-file", &file],
        &["demote-super-admin", "--username", "second"],
    ] {
        let output = pair.command_output(Service::Users, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    pair.kill(Service::Auth).await;
    let output = pair.command_output(Service::Auth, &["after-restore"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pair.run(Service::Auth, None).await;
    pair.ready().await;
    pair.resume(&root).refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    Person::log_in(&pair.anonymous, "superadmin").await.ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serving_roles_can_do_nothing_else() {
    let server = set_up().await;
    for (role, database, table, other) in [
        ("tandem_auth", "tandem_auth", "accounts", "tandem_users"),
        ("tandem_users", "tandem_users", "users", "tandem_auth"),
    ] {
        let own = url(&server, role, database);
        assert_eq!(sql(&own, &format!("select count(*) from {table}")).await, "0");
        for statement in [
            "create table mine (id integer)",
            "create temporary table mine (id integer)",
            "create schema mine",
            "create function mine() returns integer language sql return 1",
            &format!("alter table {table} add column mine integer"),
            &format!("create index mine on {table} (id)"),
            &format!("drop table {table}"),
            &format!("truncate {table} cascade"),
            &format!(
                "create trigger mine before insert on {table} execute function suppress_redundant_updates_trigger()"
            ),
            "delete from _sqlx_migrations",
            "update schema_compatibility set compatible_from = 99",
            "select * from pg_authid",
            "create role mine",
            "create database mine",
            &format!("copy {table} from program 'true'"),
            &format!("copy {table} to '/tmp/mine'"),
            "select pg_read_file('/etc/passwd')",
            "create extension pg_trgm",
            &format!("alter role {role} superuser"),
            &format!("set role {database}_owner"),
            "alter system set work_mem = '1GB'",
        ] {
            let said = refused_sql(&own, statement).await;
            assert!(
                said.contains("permission denied") || said.contains("must be"),
                "{role}: {statement}: {said}"
            );
        }
        for stranger in [role, &format!("{role}_owner")] {
            let said = refused_sql(&url(&server, stranger, other), "select 1").await;
            assert!(said.contains("permission denied for database"), "{said}");
        }
    }
}
