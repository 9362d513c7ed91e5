//! Both services while their database says nothing: they want no calls, live on, and end in time when they are asked to, since
//! everything that waits for the database shares one deadline. And how they end under load, as on SQLite.

use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogOutRequest};
use api::users::GetCurrentUserRequest;
use e2e::{Caller, Cluster, Endpoints, Processes, Scrape, Service, Settings, eventually, get};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::crashes::BINARIES;
use crate::drain_under_load::beside_peers_that_say_nothing;

for_each_service!(no_call_under_way_fails_when_a_service_ends);

/// `server.drain` of the tests, and the second that is promised beyond it.
const IN_TIME: Duration = Duration::from_secs(5 + 1);

#[tokio::test(flavor = "multi_thread")]
async fn readiness_and_health_follow_the_database_and_liveness_does_not() {
    let cluster = Cluster::start(&[]).await;
    let processes = Processes::start_with(BINARIES, Settings::replicated(1).at(&cluster)).await;
    let [public, internal, users] = processes.listeners();
    let to = Endpoints::new(public, internal, users, None);
    let ops = [Service::Auth, Service::Users].map(|service| processes.ops(service));
    let becomes = async |status: u16, serving: ServingStatus| {
        eventually("that operators and clients are told", async || {
            let mut told = true;
            for address in ops {
                told &= get(address, "/readyz").await.0 == status;
                assert_eq!(get(address, "/livez").await.0, 200);
            }
            for channel in [&to.auth, &to.internal, &to.users] {
                let mut health = HealthClient::new(channel.clone());
                let answer = health.check(HealthCheckRequest::default()).await.expect("it answers");
                told &= answer.get_ref().status() == serving;
            }
            told.then_some(())
        })
        .await;
    };
    becomes(200, ServingStatus::Serving).await;
    cluster.freeze().await;
    becomes(503, ServingStatus::NotServing).await;
    cluster.thaw().await;
    becomes(200, ServingStatus::Serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_nothing_does_not_hold_up_the_end() {
    let cluster = Cluster::start(&[]).await;
    let mut processes = Processes::start_with(BINARIES, Settings::replicated(1).at(&cluster)).await;
    let somebody = processes.super_admin().await;
    cluster.freeze().await;
    let (mut calls, mut ends) = (Vec::new(), Vec::new());
    for service in [Service::Users, Service::Auth] {
        calls.push(hanging_in_the_database(service, &processes, &somebody).await);
        let asked = Instant::now();
        processes.process(service).terminate();
        let status = processes.died(service).await;
        let took = asked.elapsed();
        println!("{service:?} ended after {took:?}");
        ends.push((service, status, took));
    }
    // Nothing that is in it can be dropped before.
    cluster.thaw().await;
    for (service, status, took) in ends {
        assert!(status.success(), "{service:?}: {status}");
        assert!(took <= IN_TIME, "{service:?}: {took:?}");
    }
    for call in calls {
        call.await.expect("no panic");
    }
}

/// Has somebody make a read and a unit of work, where the service has one, and returns when the calls are under way.
async fn hanging_in_the_database(
    service: Service,
    processes: &Processes,
    somebody: &Caller,
) -> JoinHandle<()> {
    let methods: &[&str] = match service {
        Service::Auth => &["GetCurrentSession", "LogOut"],
        Service::Users => &["GetCurrentUser"],
    };
    let somebody = somebody.clone();
    let calls = tokio::spawn(async move {
        match service {
            Service::Auth => {
                let both =
                    tokio::join!(somebody.raw(GetCurrentSessionRequest {}), somebody.raw(LogOutRequest {}));
                drop(both);
            }
            Service::Users => drop(somebody.raw(GetCurrentUserRequest::default()).await),
        }
    });
    eventually("the calls to be under way", async || {
        let page = Scrape::of(processes.ops(service)).await;
        let begun = |method| page.value("grpc_server_started_total", &[("grpc_method", method)]);
        methods.iter().all(|method| begun(method) == Some(1.0)).then_some(())
    })
    .await;
    calls
}

async fn no_call_under_way_fails_when_a_service_ends(service: Service) {
    beside_peers_that_say_nothing(service, Settings::replicated(1)).await;
}
