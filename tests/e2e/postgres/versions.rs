//! Programs and schemas of different versions side by side, and many programs that bring one schema up to date.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use api::users::{CreateUserRequest, UserRole};
use e2e::{Engine, PASSWORD, Person, Processes, Service, Settings, sql};
use futures::future::{join, join_all};

use super::life::{Cast, live};
use crate::crashes::BINARIES;

const BOTH: [Service; 2] = [Service::Auth, Service::Users];

/// The version of the schema that this program makes.
const fn version(service: Service) -> u32 {
    match service {
        Service::Auth => 2,
        Service::Users => 1,
    }
}

/// What a next version's migration does that only expands: it adds what this version does not know.
fn expansion(service: Service) -> String {
    let table = match service {
        Service::Auth => "accounts",
        Service::Users => "users",
    };
    format!(
        "begin; set local lock_timeout = '10s';
         alter table {table} add column nickname text;
         alter table {table} add column visits bigint not null default 0;
         create index {table}_by_nickname on {table} (nickname) where nickname is not null;
         alter table feed add column remark text;
         create table nicknames (nickname text primary key);
         insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values ({next}, 'nicknames', true, '\\x00', 0);
         commit",
        next = version(service) + 1,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_was_expanded_under_running_processes_is_served_by_them_and_by_new_ones() {
    let mut pair = Processes::prepared(BINARIES, Settings::replicated(2)).await;
    for service in BOTH {
        pair.run(service, None).await;
    }
    pair.ready().await;
    let root = pair.super_admin().await;
    let create = CreateUserRequest {
        username: "admin".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: String::new(),
    };
    root.ok(create).await;
    let admin = Person::log_in(&pair.anonymous, "admin").await;
    {
        let full = pair.full();
        let cast = Cast { anonymous: &pair.anonymous, root: &root, admin: &admin, full: &full };
        // Statements are prepared before, under way meanwhile, and used again after.
        let (expanded, lives) = (AtomicBool::new(false), AtomicUsize::new(0));
        let load = join_all((0..3).map(async |caller| {
            let mut life = 0;
            let mut after = 0;
            while after < 2 {
                after += usize::from(expanded.load(Ordering::Relaxed));
                live(&cast, format!("user{caller}x{life}")).await;
                life += 1;
                lives.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let expand = async {
            e2e::eventually("load", async || (lives.load(Ordering::Relaxed) >= 3).then_some(())).await;
            for service in BOTH {
                sql(&pair.data().url(service), &expansion(service)).await;
            }
            expanded.store(true, Ordering::Relaxed);
        };
        join(load, expand).await;
        println!("{} lives while the schemas were expanded", lives.load(Ordering::Relaxed));
    }

    for service in BOTH {
        pair.kill_one(service, 1).await;
        pair.run(service, None).await;
    }
    pair.ready().await;
    let (root, admin, full) = (pair.resume(&root), pair.resume(&admin), pair.full());
    for replica in 0..2 {
        let [anonymous, root, admin, full] =
            [&pair.anonymous, &*root, &*admin, &full].map(|caller| caller.of_replica(replica));
        let cast = Cast { anonymous: &anonymous, root: &root, admin: &admin, full: &full };
        live(&cast, format!("replica{replica}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_wants_newer_programs_is_refused_with_both_versions() {
    for migrates in ["true", "false"] {
        let settings = Settings::on(Engine::Postgres)
            .auth("DATABASE__AUTO_MIGRATE", migrates)
            .users("DATABASE__AUTO_MIGRATE", migrates);
        let pair = Processes::prepared(BINARIES, settings).await;
        for service in BOTH {
            ran(&pair, service, "migrate").await;
            let url = pair.data().url(service);
            sql(&url, &expansion(service)).await;
            let (this, next) = (version(service), version(service) + 1);
            sql(&url, &format!("update schema_compatibility set compatible_from = {next}")).await;
            for command in ["serve", "migrate"] {
                let said = refusal(&pair, service, command).await;
                let versions = [this, next].map(|version| format!("version {version}"));
                assert!(versions.iter().all(|version| said.contains(version)), "{said}");
            }
            sql(&url, "update schema_compatibility set compatible_from = 1").await;
            ran(&pair, service, "migrate").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_older_is_refused_with_the_command_that_mends_it() {
    let settings = Settings::on(Engine::Postgres)
        .auth("DATABASE__AUTO_MIGRATE", "false")
        .users("DATABASE__AUTO_MIGRATE", "false");
    let pair = Processes::prepared(BINARIES, settings).await;
    for (service, command) in
        [(Service::Auth, "auth-service migrate"), (Service::Users, "users-service migrate")]
    {
        ran(&pair, service, "migrate").await;
        sql(&pair.data().url(service), "delete from _sqlx_migrations").await;
        let said = refusal(&pair, service, "serve").await;
        let this = format!("version {}", version(service));
        assert!(said.contains(command) && said.contains("version 0") && said.contains(&this), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_that_migrate_at_once_all_succeed() {
    for _ in 0..3 {
        let pair = Processes::prepared(BINARIES, Settings::on(Engine::Postgres)).await;
        for service in BOTH {
            join_all((0..8).map(|_| ran(&pair, service, "migrate"))).await;
            let applied = "select count(*) from _sqlx_migrations where success";
            assert_eq!(sql(&pair.data().url(service), applied).await, version(service).to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_migrate_as_they_start_may_start_at_once() {
    for _ in 0..3 {
        let mut pair = Processes::prepared(BINARIES, Settings::replicated(3)).await;
        for service in BOTH {
            pair.run(service, None).await;
        }
        pair.ready().await;
        pair.super_admin().await;
    }
}

async fn ran(pair: &Processes, service: Service, command: &str) {
    let output = pair.elsewhere(service, &[command]).await;
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn refusal(pair: &Processes, service: Service, command: &str) -> String {
    let output = pair.elsewhere(service, &[command]).await;
    assert!(!output.status.success(), "{service:?} {command} did not refuse");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
