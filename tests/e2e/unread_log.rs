//! A log that nobody reads: whoever started a process has stopped, or a disk has. Calls and probes are answered all the same,
//! and the process ends when it is asked to.

use std::process::Stdio;
use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::GetCurrentUserRequest;
use e2e::{Engine, Frames, Processes, Service, Settings, connect_and_write, eventually, get};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::crashes::BINARIES;

/// Their lines are more than a pipe holds, several times.
const CALLS: usize = 2_000;
/// Far longer than so many calls take, a second for the log included.
const SOON: Duration = Duration::from_secs(30);

/// `server.drain` of the tests.
const DRAIN: Duration = Duration::from_secs(5);

for_each_service!(
    calls_and_probes_are_answered_and_it_ends_in_time,
    whatever_would_hold_it_up_at_the_end_shares_one_second,
    a_second_signal_ends_it_at_once,
);

/// A service whose standard error is a pipe that nobody reads, and which has written it full.
async fn unread(service: Service, settings: Settings) -> Processes {
    let mut pair = Processes::prepared(BINARIES, settings).await;
    if service == Service::Users {
        pair.run(Service::Auth, None).await;
        pair.run_saying_into(service, Stdio::piped()).await;
        pair.ready().await;
    } else {
        pair.run_saying_into(service, Stdio::piped()).await;
        pair.auth_ready().await;
    }
    let calls = async {
        for _ in 0..CALLS {
            match service {
                Service::Auth => pair.anonymous.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await,
                Service::Users => {
                    pair.anonymous.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await
                }
            };
        }
    };
    timeout(SOON, calls).await.expect("calls are answered");
    pair
}

fn settings() -> Settings {
    Settings::on(Engine::Sqlite).unlimited().auth("LOG__LEVEL", "info").users("LOG__LEVEL", "info")
}

async fn calls_and_probes_are_answered_and_it_ends_in_time(service: Service) {
    let mut pair = unread(service, settings()).await;
    if service == Service::Auth {
        // The log of these takes everything before it along: it is waited for, a second in all.
        let stranger = LogInRequest { username: "nobody".to_owned(), password: "no password".to_owned() };
        for _ in 0..5 {
            let refused = pair.anonymous.refused("INVALID_CREDENTIALS", stranger.clone());
            timeout(SOON, refused).await.expect("an answer");
        }
    }
    let (livez, _) = timeout(SOON, get(pair.ops(service), "/livez")).await.expect("an answer");
    assert_eq!(livez, 200);
    let begun = Instant::now();
    let ended = pair.terminate(service).await;
    assert_eq!(ended[0].code(), Some(0));
    assert!(begun.elapsed() < DRAIN + Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// A call whose answer is never taken, a collector that says nothing, and the log.
async fn whatever_would_hold_it_up_at_the_end_shares_one_second(service: Service) {
    let lame_duck = Duration::from_secs(1);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let collector = format!("http://{}", silent.local_addr().expect("an address"));
    let settings = settings().auth("SERVER__LAME_DUCK", "1s").users("SERVER__LAME_DUCK", "1s");
    let mut pair = unread(service, settings.traced_by(&collector)).await;
    let mut frames = Frames::greeting();
    frames.closed_windows();
    frames.whole_call("/grpc.health.v1.Health/Check").expect("a stream");
    let listener = pair.listeners_of(service)[0];
    let peer = connect_and_write(listener, &frames.take().0).await.expect("it listens");
    let begun = Instant::now();
    let ended = pair.terminate(service).await;
    let took = begun.elapsed();
    assert_eq!(ended[0].code(), Some(0));
    assert!(took >= lame_duck + DRAIN, "nobody held it up: {took:?}");
    assert!(took <= lame_duck + DRAIN + Duration::from_secs(1), "{took:?}");
    drop((peer, silent));
}

async fn a_second_signal_ends_it_at_once(service: Service) {
    let patient = settings().auth("SERVER__LAME_DUCK", "1m").users("SERVER__LAME_DUCK", "1m");
    let mut pair = unread(service, patient).await;
    let ops = pair.ops(service);
    pair.process(service).terminate();
    eventually("the end to begin", async || (get(ops, "/readyz").await.0 == 503).then_some(())).await;
    let begun = Instant::now();
    pair.process(service).terminate();
    assert_eq!(pair.died(service).await.code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
