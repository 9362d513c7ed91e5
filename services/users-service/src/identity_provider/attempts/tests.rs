//! No call here reaches anybody: what would come of it is given, and time stands still until somebody waits.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};

use credentials::ClientTls;
use grpc_kit::client::Names;
use grpc_kit::{Call, Fault};
use tonic::Code;

use super::super::Connection;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(2);

/// What comes of an attempt.
type Outcome = Result<Response<()>, Status>;

async fn provider() -> GrpcIdentityProvider {
    let connection = Connection {
        url: "http://127.0.0.1:1".into(),
        token: None,
        tls: ClientTls::default(),
        timeout: TIMEOUT,
        names: Names::of_the_system(),
    };
    GrpcIdentityProvider::new(&connection).await.unwrap()
}

/// As the transport says it when a connection breaks.
fn nobodys() -> Outcome {
    Err(Status::unavailable("the connection broke"))
}

/// As auth-service says it.
fn refusal() -> Outcome {
    Err(Fault::new(Code::NotFound, "identity.tandem", "ERROR_REASON_ACCOUNT_NOT_FOUND", "no").into())
}

/// A deadline that is so far away, around a call.
async fn with<T>(left: Duration, call: impl Future<Output = T>) -> T {
    let deadline = Some(Instant::now() + left);
    call::scope(Call { deadline, ..Call::new("/tandem.probe.v1.ProbeService/Get", "r-1") }, call).await
}

/// How many of 20 calls, made one after the other, are attempted at all.
async fn attempted<F>(outcome: fn() -> F, left: Duration) -> u32
where
    F: Future<Output = Outcome> + Send,
{
    let provider = provider().await;
    let made = AtomicU32::new(0);
    for _ in 0..20 {
        let send = |_, _| {
            made.fetch_add(1, Ordering::Relaxed);
            outcome()
        };
        with(left, provider.call((), send)).await.unwrap_err();
    }
    made.into_inner()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_five_calls_in_a_row_gets_no_more() {
    let long = Duration::from_secs(10);
    assert_eq!(attempted(|| ready(nobodys()), long).await, 5);
    assert_eq!(attempted(pending, long).await, 5, "nothing comes at all");
    assert_eq!(attempted(pending, Duration::from_millis(800)).await, 5, "for half a second");
}

#[tokio::test(start_paused = true)]
async fn who_refuses_or_was_given_no_time_is_called_on() {
    let long = Duration::from_secs(10);
    assert_eq!(attempted(|| ready(refusal()), long).await, 20);
    assert_eq!(attempted(pending, Duration::from_millis(600)).await, 20, "the callers hurry");
}
