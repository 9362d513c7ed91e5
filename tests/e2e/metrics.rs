//! What operators see of the two services at `/metrics`, of real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use api::Rpc;
use api::auth::{ChangePasswordRequest, LogInRequest, LogOutRequest};
use api::users::GetCurrentUserRequest;
use e2e::{Engine, PASSWORD, Person, Processes, Scrape, Service, Settings, eventually, sign_up};
use futures::StreamExt as _;
use futures::stream;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::crashes::BINARIES;

/// The codes of gRPC.
const CODES: usize = 17;

/// One process of each service: a page shows what its own process did.
async fn processes() -> Processes {
    let settings = match Settings::default().engine() {
        Engine::Sqlite => Settings::on(Engine::Sqlite),
        Engine::Postgres => Settings::on(Engine::Postgres),
    };
    Processes::start_with(BINARIES, settings).await
}

async fn both(pair: &Processes) -> [Scrape; 2] {
    [Scrape::of(pair.ops(Service::Auth)).await, Scrape::of(pair.ops(Service::Users)).await]
}

#[tokio::test]
async fn every_method_of_the_contract_is_counted_from_the_start_with_every_code() {
    let pair = processes().await;
    let [auth, users] = both(&pair).await;
    for rpc in Rpc::ALL {
        let (service, method) = rpc.path()[1..].split_once('/').expect("a path");
        let page = if service.starts_with("tandem.users.") { &users } else { &auth };
        let grpc_type = if rpc.is_streaming() { "server_stream" } else { "unary" };
        let labels = [("grpc_type", grpc_type), ("grpc_service", service), ("grpc_method", method)];
        for family in ["started_total", "msg_received_total", "msg_sent_total", "handling_seconds_count"] {
            assert!(page.value(&format!("grpc_server_{family}"), &labels).is_some(), "{family} of {rpc:?}");
        }
        let codes = page.values_of("grpc_server_handled_total", "grpc_code");
        assert_eq!(codes.len(), CODES);
        for code in codes {
            let labels = [labels[0], labels[1], labels[2], ("grpc_code", code)];
            let handled = page.value("grpc_server_handled_total", &labels);
            // users-service asks the port by itself.
            if !service.starts_with("tandem.identity.") {
                assert_eq!(handled, Some(0.0), "{rpc:?} with {code}");
            }
            assert!(handled.is_some(), "{rpc:?} with {code}");
        }
    }
    for service in ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "unknown"] {
        for page in [&auth, &users] {
            let started = page.value("grpc_server_started_total", &[("grpc_service", service)]);
            assert!(started.is_some(), "{service}");
        }
    }
}

/// The table of the page about metrics: names, labels, and whose they are.
fn documented() -> BTreeMap<String, (BTreeSet<String>, String)> {
    let page = Path::new(env!("TANDEM_WORKSPACE")).join("docs/metrics.md");
    let page = fs::read_to_string(page).expect("the page");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut rows = BTreeMap::new();
    for row in page.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", name, labels, of @ ("auth" | "users" | "both"), ..] = cells[..] else { continue };
        let [name] = &quoted(name)[..] else { panic!("one name in each row: {row}") };
        rows.insert(name.clone(), (quoted(labels).into_iter().collect(), of.to_owned()));
    }
    rows
}

#[tokio::test]
async fn the_page_about_metrics_names_all_of_them_with_their_labels_and_no_others() {
    let pair = processes().await;
    // What is looked at in the background has been looked at once.
    eventually("a first look", async || {
        let [auth, users] = both(&pair).await;
        let looked = |page: &Scrape| page.value("tandem_database_connections", &[("state", "max")]);
        looked(&auth).and(looked(&users))
    })
    .await;
    let [auth, users] = both(&pair).await;
    for (service, page) in [("auth", auth), ("users", users)] {
        let documented = documented().into_iter().filter(|(_, (_, of))| of == service || of == "both");
        let documented: BTreeMap<_, _> = documented.map(|(name, (labels, _))| (name, labels)).collect();
        assert_eq!(page.families(), documented, "{service}: what is shown, and what docs/metrics.md says");
    }
}

#[tokio::test]
async fn the_metrics_move_as_people_come_and_go() {
    let pair = processes().await;
    let sign_up_of_zebedee = sign_up("zebedee.x");
    pair.anonymous.ok(sign_up_of_zebedee.clone()).await;
    pair.anonymous.refused("USERNAME_TAKEN", sign_up_of_zebedee).await;
    let zebedee = Person::log_in(&pair.anonymous, "zebedee.x").await;
    let again = Person::log_in(&pair.anonymous, "zebedee.x").await;
    let wrong = LogInRequest { username: "zebedee.x".into(), password: "not her password".into() };
    pair.anonymous.refused("INVALID_CREDENTIALS", wrong).await;
    let change = |current: &str| ChangePasswordRequest {
        current_password: current.into(),
        new_password: "another long secret".into(),
    };
    zebedee.refused("CURRENT_PASSWORD_MISMATCH", change("not her password")).await;
    let renewed = zebedee.ok(change(PASSWORD)).await.message;
    again.refused("UNAUTHENTICATED", LogOutRequest {}).await;
    let caller = pair.anonymous.bearer(&renewed.access_token);
    caller.ok(GetCurrentUserRequest::default()).await;
    caller.ok(LogOutRequest {}).await;

    let [auth, users] = both(&pair).await;
    for (name, label, value, count) in [
        ("tandem_sign_ups_total", "outcome", "ok", 1.0),
        ("tandem_sign_ups_total", "outcome", "username_taken", 1.0),
        ("tandem_log_ins_total", "outcome", "ok", 2.0),
        ("tandem_log_ins_total", "outcome", "invalid_credentials", 1.0),
        ("tandem_log_ins_total", "outcome", "rate_limited", 0.0),
        ("tandem_password_changes_total", "outcome", "ok", 1.0),
        ("tandem_password_changes_total", "outcome", "current_password_mismatch", 1.0),
        ("tandem_sessions_ended_total", "reason", "ended", 3.0),
        ("tandem_sessions_ended_total", "reason", "displaced", 0.0),
    ] {
        assert_eq!(auth.value(name, &[(label, value)]), Some(count), "{name} {value}");
    }
    assert_eq!(auth.value("tandem_sessions_opened_total", &[]), Some(3.0));
    assert_eq!(auth.value("tandem_hash_queue_length", &[]), Some(0.0));
    assert!(auth.value("tandem_hash_duration_seconds_count", &[]) >= Some(7.0));
    assert!(auth.value("tandem_database_begin_seconds_count", &[]) >= Some(7.0));
    assert!(users.value("tandem_database_begin_seconds_count", &[]) >= Some(1.0));
    let log_out = [("grpc_method", "LogOut"), ("grpc_code", "Unauthenticated")];
    assert_eq!(auth.value("grpc_server_handled_total", &log_out), Some(1.0));
    let current = [("grpc_method", "GetCurrentUser")];
    for family in ["started", "handled", "msg_received", "msg_sent"] {
        assert_eq!(users.value(&format!("grpc_server_{family}_total"), &current), Some(1.0), "{family}");
    }
    assert_eq!(users.value("grpc_server_handling_seconds_count", &current), Some(1.0));

    eventually("the feed to be followed", async || {
        let page = Scrape::of(pair.ops(Service::Users)).await;
        let connected = page.value("tandem_feed_connected", &[]) == Some(1.0);
        (connected && page.value("tandem_feed_accounts_total", &[]) >= Some(1.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_and_the_process_are_looked_at() {
    let pair = processes().await;
    for (service, database) in [(Service::Auth, "auth"), (Service::Users, "users")] {
        let page = eventually("a look", async || {
            let page = Scrape::of(pair.ops(service)).await;
            page.value("tandem_database_connections", &[("state", "max")]).map(|_| page)
        })
        .await;
        let connections =
            |state| page.value("tandem_database_connections", &[("database", database), ("state", state)]);
        let (in_use, idle, max) = (connections("in_use"), connections("idle"), connections("max"));
        assert!(max >= Some(2.0) && in_use.zip(idle).map(|(in_use, idle)| in_use + idle) <= max, "{page:?}");
        assert!(page.value("process_resident_memory_bytes", &[]) > Some(1e6));
        assert!(page.value("process_start_time_seconds", &[]) > Some(1.7e9));
        assert!(page.value("process_open_fds", &[]) > Some(5.0));
        assert!(page.value("process_max_fds", &[]) > page.value("process_open_fds", &[]));
    }
}

#[tokio::test]
async fn an_outage_of_the_other_service_shows_as_lag() {
    let mut pair = processes().await;
    let connected = async |pair: &Processes, is: f64| {
        eventually("the feed", async || {
            let page = Scrape::of(pair.ops(Service::Users)).await;
            (page.value("tandem_feed_connected", &[]) == Some(is)).then_some(())
        })
        .await;
    };
    connected(&pair, 1.0).await;
    pair.kill(Service::Auth).await;
    connected(&pair, 0.0).await;
    eventually("a lag", async || {
        let page = Scrape::of(pair.ops(Service::Users)).await;
        (page.value("tandem_feed_lag_seconds", &[]) > Some(6.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_metric_says_whom_it_is_about() {
    let pair = processes().await;
    let signed_up = pair.anonymous.ok(sign_up("zebedee.x")).await.message;
    let zebedee = Person::log_in(&pair.anonymous, "zebedee.x").await;
    let wrong = LogInRequest { username: "jane.doe".into(), password: "the secret of Jane".into() };
    pair.anonymous.refused("INVALID_CREDENTIALS", wrong).await;
    let noted = zebedee.with("x-request-id", "the-call-of-zebedee");
    noted.ok(GetCurrentUserRequest::default()).await;
    for page in both(&pair).await {
        for secret in [
            "zebedee",
            "jane",
            "secret",
            "127.0.0.1",
            &signed_up.user_id,
            &zebedee.session.session_id,
            &zebedee.token,
            "the-call",
        ] {
            assert!(!page.text().to_lowercase().contains(&secret.to_lowercase()), "{secret}");
        }
    }
}

#[tokio::test]
async fn whatever_is_called_makes_no_new_series() {
    const CALLS: usize = 10_000;
    let pair = processes().await;
    pair.anonymous.ok(sign_up("zebedee.x")).await;
    let [public, internal, users] = pair.listeners();
    let before = [pair.ops(Service::Auth), pair.ops(Service::Users)];
    let series = async || [Scrape::of(before[0]).await.series(), Scrape::of(before[1]).await.series()];
    let looked = |page: &Scrape| page.value("tandem_database_connections", &[("state", "max")]);
    eventually("a first look", async || {
        looked(&Scrape::of(before[0]).await).and(looked(&Scrape::of(before[1]).await))
    })
    .await;
    let at_first = series().await;
    let listeners = [public, internal, users].map(|address| {
        Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
    });
    let services = ["tandem.auth.v1.AuthService", "tandem.users.v1.UsersService", "grpc.health.v1.Health"];
    let calls = stream::iter(0..CALLS).map(|number| {
        let channel = listeners[number % 3].clone();
        let path = match number % 4 {
            3 => format!("/{number}"),
            service => format!("/{}/Method{number}", services[service]),
        };
        async move {
            let mut client = Grpc::new(channel);
            client.ready().await.expect("a connection");
            let codec = ProstCodec::<(), ()>::default();
            let path = PathAndQuery::try_from(path).expect("a path");
            let refused =
                client.unary(Request::new(()), path, codec).await.expect_err("there is no such method");
            assert_eq!(refused.code(), Code::Unimplemented);
        }
    });
    calls.buffer_unordered(64).collect::<()>().await;
    assert_eq!(series().await, at_first);
    let unknown = [("grpc_service", "unknown"), ("grpc_code", "Unimplemented")];
    let [auth, users] = both(&pair).await;
    let counted =
        [auth, users].map(|page| page.value("grpc_server_handled_total", &unknown).expect("counted"));
    assert_eq!(counted.iter().sum::<f64>().to_string(), CALLS.to_string());
}
