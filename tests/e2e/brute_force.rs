//! Guessing at passwords: how often one may, who is kept waiting for it, and who is not.

use std::collections::HashMap;
use std::time::Duration;

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, LogInRequest, LogInResponse, SignUpRequest,
};
use api::users::{CreateUserRequest, SetUserPasswordRequest, UserRole};
use chrono::TimeDelta;
use e2e::{Caller, Failure, PASSWORD, Pair, Reply, Settings, by_id, sign_up};
use futures::future::join_all;

const WRONG: &str = "not the password at all";
const NEW: &str = "an entirely new password";

/// Every caller comes through a proxy that is trusted and says where from.
fn behind_a_proxy() -> Settings {
    Settings::default().auth("RATE_LIMIT__TRUSTED_PROXIES", "127.0.0.0/8")
}

fn from(app: &Pair, address: &str) -> Caller {
    app.anonymous.with("x-forwarded-for", address)
}

async fn log_in(caller: &Caller, username: &str, password: &str) -> Result<Reply<LogInResponse>, Failure> {
    caller.call(LogInRequest { username: username.into(), password: password.into() }).await
}

fn wrong(username: &str) -> LogInRequest {
    LogInRequest { username: username.into(), password: WRONG.into() }
}

async fn fail(caller: &Caller, username: &str, times: u32) {
    for _ in 0..times {
        caller.refused("INVALID_CREDENTIALS", wrong(username)).await;
    }
}

async fn delayed(caller: &Caller, username: &str) -> Duration {
    let request = LogInRequest { username: username.into(), password: PASSWORD.into() };
    caller.refused("RATE_LIMITED", request).await.retry_after()
}

/// The clock stands still but for what passes while the test runs.
fn about(delay: Duration, seconds: u64) -> bool {
    (seconds.saturating_sub(1)..=seconds).contains(&delay.as_secs()) && !delay.is_zero()
}

fn advance(app: &Pair, delay: Duration) {
    app.clock.advance(TimeDelta::from_std(delay).expect("a short delay") + TimeDelta::milliseconds(1));
}

fn reasons<T>(outcomes: &[Result<T, Failure>]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for outcome in outcomes {
        *counts
            .entry(outcome.as_ref().map_or_else(|failure| failure.reason.as_str(), |_| "OK"))
            .or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_wrong_passwords_at_once_are_five_guesses() {
    let app = Pair::start_with(Settings::default().auth("PASSWORD__MAX_PARALLEL_HASHES", "2")).await;
    app.signed_up("bobby").await;
    let guesses = join_all((0..200).map(|_| log_in(&app.anonymous, "alice", WRONG)));
    let others = join_all((0..20).map(|_| log_in(&app.anonymous, "bobby", PASSWORD)));
    let (guesses, others) = tokio::join!(guesses, others);

    let counts = reasons(&guesses);
    // Whoever comes when the first delay has passed may be looked at, one at a time.
    let looked_at = counts.get("INVALID_CREDENTIALS").copied().unwrap_or_default();
    assert!((5..=7).contains(&looked_at), "{counts:?}");
    assert!(
        counts.keys().all(|reason| ["INVALID_CREDENTIALS", "RATE_LIMITED"].contains(reason)),
        "{counts:?}"
    );
    assert_eq!(reasons(&others), HashMap::from([("OK", 20)]), "another user is not affected");
    app.user.ok(GetCurrentSessionRequest {}).await;

    let delay = delayed(&app.anonymous, "alice").await;
    assert!(delay <= Duration::from_secs(4), "{delay:?}");
    advance(&app, delay);
    log_in(&app.anonymous, "alice", PASSWORD).await.unwrap();
    fail(&app.anonymous, "alice", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_right_passwords_at_once_are_no_attack() {
    let app = Pair::start_with(Settings::default().auth("SESSION__MAX_PER_USER", "100")).await;
    let outcomes = join_all((0..50).map(|_| log_in(&app.anonymous, "alice", PASSWORD))).await;
    assert_eq!(reasons(&outcomes), HashMap::from([("OK", 50)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_that_nobody_has_time_for_locks_nobody_out() {
    // One hash at a time, of a second or so, and no queue.
    let settings = Settings::default()
        .auth("PASSWORD__MAX_PARALLEL_HASHES", "1")
        .auth("PASSWORD__QUEUE_WAIT", "0s")
        .auth("PASSWORD__ARGON2_MEMORY_KIB", "65536")
        .auth("PASSWORD__ARGON2_ITERATIONS", "16");
    let app = Pair::start_with(settings).await;
    // One replica, so that the one hash is in the way of all.
    let replica = app.anonymous.of_the_first_replica();
    for round in 0..20 {
        let occupant = replica.clone();
        let name = format!("somebody{round}");
        let occupied = tokio::spawn(async move { log_in(&occupant, &name, WRONG).await });
        // Whoever is first occupies it.
        let second = log_in(&replica, &format!("another{round}"), WRONG).await.expect_err("a wrong password");
        if second.reason != "HASHER_BUSY" {
            continue;
        }
        assert!(!second.retry_after().is_zero());
        let storm = join_all((0..50).map(|_| log_in(&replica, "alice", WRONG))).await;
        let all_in_time = !occupied.is_finished();
        let _ = occupied.await;
        if all_in_time {
            assert_eq!(reasons(&storm), HashMap::from([("HASHER_BUSY", 50)]));
            replica
                .insist(LogInRequest { username: "alice".into(), password: PASSWORD.into() })
                .await
                .unwrap();
            return;
        }
    }
    panic!("no hash took as long as a storm");
}

#[tokio::test]
async fn a_delay_doubles_is_told_and_survives_a_restart() {
    let mut app = Pair::start().await;
    fail(&app.anonymous, "alice", 5).await;
    for seconds in [1, 2, 4, 8] {
        let delay = delayed(&app.anonymous, "ALICE").await;
        assert!(about(delay, seconds), "{delay:?} in place of {seconds} s");
        advance(&app, delay);
        fail(&app.anonymous, "alice", 1).await;
    }
    app.stop_auth().await;
    app.start_auth().await;
    let delay = delayed(&app.anonymous, "alice").await;
    assert!(about(delay, 16), "{delay:?}");
    advance(&app, delay);
    log_in(&app.anonymous, "alice", PASSWORD).await.unwrap();
    fail(&app.anonymous, "alice", 5).await;
}

#[tokio::test]
async fn as_many_failures_are_free_and_the_longest_delay_is_as_long_as_the_settings_say() {
    let settings =
        Settings::default().auth("RATE_LIMIT__FREE_FAILURES", "2").auth("RATE_LIMIT__MAX_DELAY", "3s");
    let app = Pair::start_with(settings).await;
    fail(&app.anonymous, "alice", 2).await;
    for seconds in [1, 2, 3, 3] {
        let delay = delayed(&app.anonymous, "alice").await;
        assert!(about(delay, seconds), "{delay:?} in place of {seconds} s");
        advance(&app, delay);
        fail(&app.anonymous, "alice", 1).await;
    }
}

#[tokio::test]
async fn names_of_nobody_are_delayed_like_those_of_somebody() {
    let app = Pair::start_with(behind_a_proxy()).await;
    let mut answers = Vec::new();
    for (name, address) in [("alice", "192.0.2.1"), ("nobody", "192.0.2.2")] {
        let caller = from(&app, address);
        fail(&caller, name, 5).await;
        let request = LogInRequest { username: name.into(), password: PASSWORD.into() };
        let failure = caller.refused("RATE_LIMITED", request).await;
        assert!(about(failure.retry_after(), 1));
        let names: Vec<_> = failure.details.iter().map(|detail| detail.type_url.clone()).collect();
        answers.push((failure.code, failure.message, failure.info, names));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn an_attacker_elsewhere_does_not_lock_the_owner_out_before_a_hundred_failures() {
    let app = Pair::start_with(behind_a_proxy().auth("SESSION__MAX_PER_USER", "100")).await;
    let victim = from(&app, "198.51.100.1");
    for attacker in 0..19 {
        fail(&from(&app, &format!("192.0.2.{attacker}")), "alice", 5).await;
        log_in(&victim, "alice", PASSWORD).await.unwrap();
    }
    fail(&from(&app, "192.0.2.19"), "alice", 4).await;
    log_in(&victim, "alice", PASSWORD).await.unwrap();
    fail(&from(&app, "192.0.2.20"), "alice", 1).await;
    let delay = delayed(&victim, "alice").await;
    assert!(about(delay, 1), "{delay:?}");
    app.user.ok(GetCurrentSessionRequest {}).await;
    advance(&app, delay);
    log_in(&victim, "alice", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_address_that_fails_with_many_names_has_to_wait() {
    let app = Pair::start_with(behind_a_proxy().auth("RATE_LIMIT__ADDRESS_FAILURES", "8")).await;
    // One customer's network, so one address.
    for number in 0..8 {
        fail(&from(&app, &format!("2001:db8:1:2::{number}")), &format!("victim{number}"), 1).await;
    }
    let delay = delayed(&from(&app, "2001:db8:1:2:ffff::1"), "alice").await;
    assert!(about(delay, 900), "{delay:?}");
    log_in(&from(&app, "2001:db8:1:3::1"), "alice", PASSWORD).await.unwrap();
    advance(&app, delay);
    log_in(&from(&app, "2001:db8:1:2:ffff::1"), "alice", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn only_a_proxy_that_is_trusted_is_believed() {
    let strict = Pair::start().await;
    let opened = log_in(&from(&strict, "192.0.2.1"), "alice", PASSWORD).await.unwrap();
    assert_eq!(opened.message.session.unwrap().peer_address, "127.0.0.1");
    for attacker in 0..5 {
        fail(&from(&strict, &format!("192.0.2.{attacker}")), "alice", 1).await;
    }
    delayed(&from(&strict, "192.0.2.9"), "alice").await;

    let app = Pair::start_with(behind_a_proxy()).await;
    let opened = log_in(&from(&app, "192.0.2.66, 198.51.100.1"), "alice", PASSWORD).await.unwrap();
    assert_eq!(opened.message.session.unwrap().peer_address, "198.51.100.1");
}

#[tokio::test]
async fn sign_ups_of_one_address_are_limited_by_the_hour() {
    let app = Pair::start_with(behind_a_proxy().auth("RATE_LIMIT__SIGN_UPS_PER_HOUR", "3")).await;
    let here = from(&app, "192.0.2.1");
    here.ok(sign_up("bobby")).await;
    here.refused("USERNAME_TAKEN", sign_up("bobby")).await;
    here.refused("INVALID_FIELD", sign_up("b")).await;
    here.ok(sign_up("carol")).await;
    let delay = here.refused("RATE_LIMITED", sign_up("david")).await.retry_after();
    assert!(about(delay, 3600), "{delay:?}");
    from(&app, "192.0.2.2").ok(sign_up("david")).await;
    advance(&app, delay);
    here.ok(sign_up("erika")).await;
}

#[tokio::test]
async fn changing_a_password_is_counted_apart_from_logging_in() {
    let app = Pair::start().await;
    let change =
        |current: &str| ChangePasswordRequest { current_password: current.into(), new_password: NEW.into() };
    for _ in 0..5 {
        app.user.refused("CURRENT_PASSWORD_MISMATCH", change(WRONG)).await;
    }
    let delay = app.user.refused("RATE_LIMITED", change(PASSWORD)).await.retry_after();
    log_in(&app.anonymous, "alice", PASSWORD).await.unwrap();
    app.user.ok(GetCurrentSessionRequest {}).await;
    advance(&app, delay);
    app.user.ok(change(PASSWORD)).await;
}

#[tokio::test]
async fn an_admin_who_sets_a_password_ends_the_delay() {
    let app = Pair::start().await;
    fail(&app.anonymous, "alice", 5).await;
    delayed(&app.anonymous, "alice").await;
    let request = SetUserPasswordRequest { user: by_id(&app.user.id), password: NEW.into() };
    app.admin.ok(request).await;
    log_in(&app.anonymous, "alice", NEW).await.unwrap();
}

#[tokio::test]
async fn a_request_id_is_no_way_to_guess_at_a_password() {
    let app = Pair::start_with(behind_a_proxy()).await;
    let request_id = || "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c".to_owned();
    let here = from(&app, "192.0.2.1");
    let repeat = |password: &str| SignUpRequest {
        username: "bobby".into(),
        password: password.into(),
        request_id: request_id(),
    };
    here.ok(repeat(PASSWORD)).await;
    for _ in 0..5 {
        here.refused("REQUEST_ID_REUSED", repeat(WRONG)).await;
    }
    here.refused("RATE_LIMITED", repeat(PASSWORD)).await;
    delayed(&here, "bobby").await;

    let create = |password: &str| CreateUserRequest {
        username: "carol".into(),
        password: password.into(),
        role: UserRole::User.into(),
        request_id: request_id(),
    };
    app.admin.ok(create(PASSWORD)).await;
    for _ in 0..5 {
        app.admin.refused("REQUEST_ID_REUSED", create(WRONG)).await;
    }
    let delay = app.admin.refused("RATE_LIMITED", create(PASSWORD)).await.retry_after();
    advance(&app, delay);
    app.admin.ok(create(PASSWORD)).await;
}
