//! Guessing at what real processes hash, with passwords as dear as they are by default: what is hashed is counted where
//! operators count it.

use api::auth::LogInRequest;
use e2e::{Caller, PASSWORD, Processes, Scrape, Service, Settings, sign_up, sql};
use futures::future::join_all;

use crate::crashes::BINARIES;

/// Hashes of one replica at a time.
const PERMITS: usize = 1;
const FREE_FAILURES: usize = 5;

fn dear(replicas: usize) -> Settings {
    Settings::replicated(replicas)
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "19456")
        .auth("PASSWORD__ARGON2_ITERATIONS", "2")
        .auth("PASSWORD__QUEUE_WAIT", "1s")
        .auth("PASSWORD__MAX_PARALLEL_HASHES", &PERMITS.to_string())
        .auth("SESSION__MAX_PER_USER", "1000")
}

async fn started(replicas: usize) -> Processes {
    let pair = Processes::start_with(BINARIES, dear(replicas)).await;
    for name in ["alice", "bobby"] {
        pair.anonymous.insist(sign_up(name)).await.expect("a free name");
    }
    pair
}

/// How many hashes all replicas have computed.
async fn hashes(pair: &Processes) -> usize {
    let mut hashes = 0;
    for ops in pair.auth_ops() {
        hashes += Scrape::of(ops).await.count("tandem_hash_duration_seconds_count", &[]);
    }
    hashes
}

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: password.into() }
}

async fn reason(caller: &Caller, request: LogInRequest) -> String {
    caller.call(request).await.map_or_else(|failure| failure.reason, |_| "OK".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_guesses_at_two_replicas_no_more_are_hashed_than_are_free() {
    const REPLICAS: usize = 2;
    const OTHERS: usize = 10;
    let pair = started(REPLICAS).await;
    let before = hashes(&pair).await;
    let wrong = || log_in("alice", "not the password at all");
    // Another user, from the same address and at the same moment.
    let others = join_all((0..OTHERS).map(|_| reason(&pair.anonymous, log_in("bobby", PASSWORD))));
    let guesses = join_all((0..200).map(|_| reason(&pair.anonymous, wrong())));
    let (guesses, others) = tokio::join!(guesses, others);
    assert!(others.iter().all(|reason| reason == "OK"), "another user is not affected: {others:?}");
    let hashed = hashes(&pair).await - before - OTHERS;
    assert!((FREE_FAILURES..=FREE_FAILURES + REPLICAS * PERMITS).contains(&hashed), "{hashed} hashes");
    let looked_at = guesses.iter().filter(|reason| *reason == "INVALID_CREDENTIALS").count();
    assert_eq!(looked_at, hashed, "{guesses:?}");

    let right = e2e::eventually("the end of the delay", async || {
        let reason = reason(&pair.anonymous, log_in("alice", PASSWORD)).await;
        assert!(["OK", "RATE_LIMITED", "HASHER_BUSY"].contains(&reason.as_str()), "{reason}");
        (reason == "OK").then_some(())
    });
    right.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_right_passwords_at_once_get_in_one_hash_after_the_other() {
    let pair = started(1).await;
    let reasons = join_all((0..50).map(|_| reason(&pair.anonymous, log_in("alice", PASSWORD)))).await;
    assert!(reasons.iter().all(|reason| reason == "OK"), "{reasons:?}");
}

/// What an address has under way at other replicas counts here: one place of an account is left to the others.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_leaves_a_place_of_an_account_to_others_at_all_replicas_together() {
    let settings = dear(1).auth("RATE_LIMIT__TRUSTED_PROXIES", "127.0.0.0/8");
    let pair = Processes::start_with(BINARIES, settings).await;
    pair.anonymous.insist(sign_up("alice")).await.expect("a free name");
    let [attacker, owner] =
        ["192.0.2.66", "192.0.2.1"].map(|from| pair.anonymous.with("x-forwarded-for", from));
    let elsewhere = "insert into attempts (id, purpose, username, address, lapse_time)
                     select gen_random_uuid(), 1, 'alice', '192.0.2.66', now() + interval '1 minute'
                     from generate_series(1, 4)";
    sql(&pair.data().url(Service::Auth), elsewhere).await;
    let guess = || reason(&attacker, log_in("alice", "not the password at all"));
    let guesses = join_all((0..10).map(|_| guess()));
    let (guesses, reason) = tokio::join!(guesses, reason(&owner, log_in("alice", PASSWORD)));
    assert_eq!(reason, "OK");
    assert!(guesses.iter().all(|reason| reason == "HASHER_BUSY"), "{guesses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_who_give_up_leave_no_work_no_attempt_and_no_failure() {
    let pair = started(1).await;
    let before = hashes(&pair).await;
    let hurried = pair.anonymous.with("grpc-timeout", "5m");
    // The client gives up as well, so what it hears may be its own.
    let answers = join_all((0..500).map(|_| hurried.raw(log_in("alice", PASSWORD)))).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() < 10, "{answers:?}");
    let url = pair.data().url(Service::Auth);
    e2e::eventually("that nobody is looked at", async || {
        (sql(&url, "select count(*) from attempts").await == "0").then_some(())
    })
    .await;
    assert_eq!(sql(&url, "select count(*) from failures").await, "0");
    let hashed = hashes(&pair).await - before;
    assert!(hashed < 50, "{hashed} of 500 were hashed");
    pair.anonymous.ok(log_in("alice", PASSWORD)).await;
}
