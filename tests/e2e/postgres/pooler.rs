//! Behind a pooler that gives every transaction whichever connection is free, of very few.
//!
//! The whole suite runs behind one when it is asked to: `tests/run pooler`.

use std::fs;
use std::time::Instant;

use api::users::ListUsersRequest;
use e2e::{Cluster, Engine, Pair, Pooler, Processes, Service, Settings, eventually, sql};
use futures::future::join_all;

use super::life::{Cast, live};
use crate::crashes::BINARIES;

const CONNECTIONS: u32 = 2;
const REPLICAS: usize = 2;
const CALLERS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_get_every_call_answered_over_two_connections() {
    let server = Cluster::start(&[]).await;
    let pooler = Pooler::start(&server.url(), CONNECTIONS).await;
    let app = Pair::start_with(Settings::replicated(REPLICAS).unlimited().at(&server).through(&pooler)).await;

    let began = Instant::now();
    let cast = Cast { anonymous: &app.anonymous, root: &app.super_admin, admin: &app.admin, full: &app.full };
    join_all((0..CALLERS).map(|number| live(&cast, format!("caller{number}")))).await;
    println!("{CALLERS} callers, each through most rpcs: {:?}", began.elapsed());

    for service in [Service::Auth, Service::Users] {
        let database = app.data().url(service);
        let besides = "select count(*) from pg_stat_activity where datname = current_database() \
                      and pid <> pg_backend_pid() and query not ilike 'listen%'";
        let count: u32 = sql(&database, besides).await.parse().expect("a number");
        assert!(count <= CONNECTIONS, "{count} connections of {service:?} beside those that listen");
        let idle_in_transaction = "select count(*) from pg_stat_activity \
             where datname = current_database() and state like 'idle in transaction%' \
             and now() - state_change > interval '1 second'";
        assert_eq!(sql(&database, idle_in_transaction).await, "0", "{service:?}");
    }
}

/// Nobody listens there.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";

#[tokio::test]
async fn migrations_go_past_the_pooler_to_where_the_server_is_said_to_be_in_the_settings_or_in_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), format!("{NOWHERE}\n")).expect("written");
    let path = file.path().display().to_string();
    for (key, value) in [("DATABASE__DIRECT_URL", NOWHERE), ("DATABASE__DIRECT_URL_FILE", &path)] {
        let settings = Settings::on(Engine::Postgres).auth(key, value).users(key, value);
        let pair = Processes::prepared(BINARIES, settings).await;
        for service in [Service::Auth, Service::Users] {
            let output = pair.command_output(service, &["migrate"]).await;
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && said.contains("127.0.0.1:1"), "{service:?}, {key}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_wakes_users_service_up_past_the_pooler() {
    let server = Cluster::start(&[]).await;
    let pooler = Pooler::start(&server.url(), CONNECTIONS).await;
    let app = Pair::start_with(Settings::replicated(REPLICAS).unlimited().at(&server).through(&pooler)).await;
    let listening = "select count(*) from pg_stat_activity where datname = current_database() \
                     and query ilike 'listen%'";
    eventually("both to listen", async || {
        (sql(&app.data().url(Service::Auth), listening).await == REPLICAS.to_string()).then_some(())
    })
    .await;
    let mut waits = Vec::new();
    for number in 0..50 {
        let username = format!("newcomer{number}");
        app.signed_up(&username).await;
        let began = Instant::now();
        let request = ListUsersRequest { username_prefix: username.clone(), ..Default::default() };
        eventually("the newcomer", async || {
            let users = app.admin.ok(request.clone()).await.message.users;
            users.iter().any(|user| user.username == username).then_some(())
        })
        .await;
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    println!("visible without a token after: p50 {:?}, max {:?}", waits[25], waits[49]);
}
