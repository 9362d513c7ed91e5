//! No call here reaches anybody: what would come of it is given, and time stands still until somebody waits.

use std::future::{pending, ready};
use std::sync::Mutex;
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

/// As the transport may say it when a connection breaks: with this code, or one of three others.
fn nobodys() -> Outcome {
    Err(Status::unknown("the connection broke"))
}

/// As auth-service says it, with a code that the transport has too.
fn refusal() -> Outcome {
    Err(Fault::new(Code::Unavailable, "identity.tandem", "ERROR_REASON_HASHER_BUSY", "not now").into())
}

/// A deadline that is so far away, around a call.
async fn with<T>(left: Duration, call: impl Future<Output = T>) -> T {
    let deadline = Some(Instant::now() + left);
    call::scope(Call { deadline, ..Call::new("/tandem.probe.v1.ProbeService/Get", "r-1") }, call).await
}

/// Makes so many calls of which every fourth attempt is refused, so that the replica is one that answers, and all others are
/// answered by nobody. How many attempts there were.
async fn attempts(provider: &GrpcIdentityProvider, calls: u32) -> u32 {
    let made = AtomicU32::new(0);
    for _ in 0..calls {
        let send = |_, _| {
            let number = made.fetch_add(1, Ordering::Relaxed);
            ready(if number % 4 == 3 { refusal() } else { nobodys() })
        };
        provider.ask((), send).await.unwrap_err();
    }
    made.into_inner()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_answered_with_twice_the_calls_and_successes_allow_for_repeats_again() {
    let provider = provider().await;
    assert_eq!(attempts(&provider, 200).await, 200 + 49, "what the budget has at first");
    assert_eq!(attempts(&provider, 200).await, 200, "and then no more");
    for _ in 0..1_000 {
        provider.ask((), |_, _| ready(Ok(Response::new(())))).await.unwrap();
    }
    assert_eq!(attempts(&provider, 200).await, 200 + 49, "one for every ten successes");
}

#[tokio::test(start_paused = true)]
async fn repeats_wait_by_chance_and_the_second_for_longer_than_the_first() {
    let provider = provider().await;
    let mut pauses = Vec::new();
    for _ in 0..100 {
        // So that they may be repeated, and the replica is one that answers.
        for _ in 0..20 {
            provider.ask((), |_, _| ready(Ok(Response::new(())))).await.unwrap();
        }
        let made = Mutex::new(Vec::new());
        let send = |_, _| {
            made.lock().unwrap().push(Instant::now());
            ready(nobodys())
        };
        provider.ask((), send).await.unwrap_err();
        let made = made.into_inner().unwrap();
        let [first, second, third] = made[..] else { panic!("{made:?}") };
        pauses.push([second - first, third - second]);
    }
    for (number, most) in [(0, 50), (1, 100)] {
        let most = Duration::from_millis(most);
        let of_it: Vec<_> = pauses.iter().map(|pauses| pauses[number]).collect();
        // The clock counts whole milliseconds.
        assert!(of_it.iter().all(|pause| *pause <= most + Duration::from_millis(1)), "{of_it:?}");
        let longer = of_it.iter().filter(|pause| **pause > most / 2).count();
        assert!((10..90).contains(&longer), "{longer} of 100 are longer than half of {most:?}: {of_it:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_as_long_as_the_caller_has_and_what_the_answer_takes_is_kept_back() {
    let of_a_deadline =
        [(10_000, 2_000, "2000000u"), (1_000, 800, "800000u"), (400, 300, "300000u"), (40, 30, "30000000n")];
    for (left, waits, passed_on) in of_a_deadline {
        let provider = provider().await;
        let told = Mutex::new(None);
        let send = |_, request: Request<()>| {
            *told.lock().unwrap() = request.metadata().get("grpc-timeout").cloned();
            pending::<Outcome>()
        };
        let begun = Instant::now();
        let outcome = with(Duration::from_millis(left), provider.ask((), send)).await;
        assert!(matches!(outcome, Err(ProviderError::Unavailable(_))), "{outcome:?}");
        let waited = begun.elapsed().as_millis();
        assert!((waits..=waits + 1).contains(&waited), "{left} ms were left, and it waited for {waited}");
        let told = told.into_inner().unwrap().expect("it is told how long the call may take");
        assert_eq!(told.to_str().unwrap(), passed_on);
    }
    let provider = provider().await;
    let asked = with(Duration::from_millis(2), provider.ask((), |_, _| ready(Ok(Response::new(()))))).await;
    assert!(
        matches!(asked, Err(ProviderError::DeadlineExceeded)),
        "there is no time for an answer: {asked:?}"
    );
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
