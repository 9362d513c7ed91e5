//! Calls that meet the end of a connection which came to its age.

use std::{error::Error as _, sync::atomic::Ordering, time::Duration};

use futures::future::join_all;
use grpc_kit::{ServerSettings, client::was_not_processed};
use tokio::time::{Instant, timeout};
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;

use crate::probe::{self, CHECK};

/// Far longer than anything here takes, far shorter than a build that hangs.
const SOON: Duration = Duration::from_mins(1);

async fn check(channel: &Channel, what: &str) -> Result<(), Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("a server that listens");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = Request::new(HealthCheckRequest { service: what.to_owned() });
    client.unary(request, PathAndQuery::from_static(CHECK), codec).await.map(drop)
}

fn channel(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect_lazy()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_retiring_connection_refused_was_seen_by_no_handler() {
    let age = Duration::from_millis(2);
    let running =
        probe::start_with(ServerSettings { max_connection_age: age, ..ServerSettings::default() }).await;
    let channel = channel(running.address);
    let end = Instant::now() + SOON;
    let (mut answered, mut refused, mut broken) = (0, 0, 0);
    while refused < 20 {
        assert!(
            Instant::now() < end,
            "{refused} of {answered} calls were refused: connections do not retire"
        );
        for outcome in join_all((0..50).map(|_| check(&channel, ""))).await {
            match outcome {
                Ok(()) => answered += 1,
                Err(status) if was_not_processed(&status) => refused += 1,
                // It wrote to a connection that was gone before it read the GOAWAY that said so: nobody can tell.
                // The transport has several codes for that; what a server says has no cause beside it.
                Err(status) => {
                    assert!(status.source().is_some(), "{status:?}");
                    broken += 1;
                }
            }
        }
    }
    let handled = running.handled.load(Ordering::Relaxed);
    assert!((answered..=answered + broken).contains(&handled), "{handled} of {answered} and {broken}");
}

#[tokio::test]
async fn a_call_whose_connection_broke_may_have_been_processed_and_one_that_was_answered_was() {
    let settings = ServerSettings { drain: Duration::ZERO, ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let channel = channel(running.address);
    let answered = check(&channel, "who am i").await.expect_err("refused by the handler");
    assert!(!was_not_processed(&answered), "{answered:?}");
    let (cut, ()) = tokio::join!(check(&channel, "hang"), async {
        running.hanging.notified().await;
        running.trigger.request();
    });
    let cut = cut.expect_err("cut");
    assert!(!was_not_processed(&cut), "{cut:?}");
    timeout(SOON, running.ended).await.expect("it ends").expect("it does not panic");
}
