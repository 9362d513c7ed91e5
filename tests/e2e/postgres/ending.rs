//! The end of both services while their database says nothing: everything that waits for it shares one deadline.

use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogOutRequest};
use api::users::GetCurrentUserRequest;
use e2e::{Cluster, Processes, Service, Settings};
use tokio::time::Instant;

use crate::crashes::BINARIES;

/// `server.drain` of the tests, and the second that is promised beyond it.
const IN_TIME: Duration = Duration::from_secs(5 + 1);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_nothing_does_not_hold_up_the_end() {
    let cluster = Cluster::start(&[]).await;
    let mut processes = Processes::start_with(BINARIES, Settings::replicated(1).at(&cluster)).await;
    let somebody = processes.super_admin().await;
    let caller = (*somebody).clone();
    cluster.freeze().await;
    // Reads and units of work that hang in the database, of both.
    let calls = tokio::spawn(async move {
        tokio::join!(
            caller.raw(GetCurrentSessionRequest {}),
            caller.raw(LogOutRequest {}),
            caller.raw(GetCurrentUserRequest::default()),
        )
    });
    for service in [Service::Users, Service::Auth] {
        let asked = Instant::now();
        processes.process(service).terminate();
        let status = processes.died(service).await;
        let took = asked.elapsed();
        println!("{service:?} ended after {took:?}");
        assert!(status.success(), "{service:?}: {status}");
        assert!(took <= IN_TIME, "{service:?}: {took:?}");
    }
    cluster.thaw().await;
    let _ = calls.await;
}
