//! Replacing the pepper.

use std::fs;

use api::auth::LogInRequest;
use api::users::SetUserPasswordRequest;
use e2e::{PASSWORD, Person, Processes, Service, Settings, by_name, sign_up};
use tonic::Code;

use super::commands::{file, program, queried, random, replaced, restarted_in_turn};
use super::load::{Load, Restarts};
use crate::crashes::BINARIES;

/// How many accounts have a hash that was made with this pepper.
async fn hashed_with(pair: &Processes, pepper: &str) -> usize {
    // As the stored hash says it.
    let id = program("sh", &["-c", &format!("printf %s {pepper} | base64 | tr -d =")]).await;
    let count = format!("select count(*) from accounts where password_hash like '%,keyid={id}$%'");
    queried(pair, Service::Auth, &count).await.parse().expect("a number")
}

fn log_in(username: &str) -> LogInRequest {
    LogInRequest { username: username.to_owned(), password: PASSWORD.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pepper_is_replaced_without_a_failed_log_in_and_can_go_when_no_hash_needs_it() {
    let mut pair = Processes::start_with(BINARIES, Settings::default().unlimited()).await;
    let root = pair.super_admin().await;
    pair.anonymous.ok(sign_up("sleeper")).await;
    let load = Load::begin(&pair, Restarts::OfAuthService).await;
    let peppers = file(&pair, "peppers");
    let old = fs::read_to_string(&peppers).expect("peppers");
    let (everybody, none) = (hashed_with(&pair, "p1").await, hashed_with(&pair, "p2").await);
    assert_eq!(none, 0);

    // 1. Every process knows the new one.
    let new = format!("p2:{}", random().await);
    replaced(&peppers, &format!("{old},{new}"));
    restarted_in_turn(&mut pair, Service::Auth).await;
    load.goes_on().await;
    assert_eq!((hashed_with(&pair, "p1").await, hashed_with(&pair, "p2").await), (everybody, 0));
    // 2. Every process hashes with it.
    replaced(&peppers, &format!("{new},{old}"));
    restarted_in_turn(&mut pair, Service::Auth).await;
    load.goes_on().await;

    // 3. Whoever logs in gets a new hash, and nobody else.
    let left = hashed_with(&pair, "p1").await;
    assert!(left < everybody, "visitors have come");
    for username in ["superadmin", "stayer0", "stayer1"] {
        Person::log_in(&pair.anonymous, username).await;
    }
    assert_eq!((hashed_with(&pair, "p1").await, hashed_with(&pair, "p2").await), (1, everybody - 1));
    // 4. Whoever does not come is given another password.
    let user = by_name("sleeper");
    root.ok(SetUserPasswordRequest { user, password: "another long secret".into() }).await;
    assert_eq!((hashed_with(&pair, "p1").await, hashed_with(&pair, "p2").await), (0, everybody));

    // 5. Nobody knows the old one.
    replaced(&peppers, &new);
    restarted_in_turn(&mut pair, Service::Auth).await;
    load.goes_on().await;
    println!("a pepper was replaced: {}", load.end().await);
    let request = LogInRequest { username: "sleeper".into(), password: "another long secret".into() };
    pair.anonymous.ok(request).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pepper_that_not_every_replica_knows_shuts_out_whoever_comes_to_the_others() {
    let mut pair = Processes::start_with(BINARIES, Settings::replicated(2)).await;
    let peppers = file(&pair, "peppers");
    let old = fs::read_to_string(&peppers).expect("peppers");
    // The second step without the first.
    replaced(&peppers, &format!("p2:{},{old}", random().await));
    pair.end_one(Service::Auth, 0).await;
    pair.run(Service::Auth, None).await;
    pair.ready().await;
    pair.anonymous.of_replica(0).ok(sign_up("early")).await;
    pair.anonymous.of_replica(0).ok(log_in("early")).await;
    let elsewhere = pair.anonymous.of_replica(1).raw(log_in("early")).await;
    assert_eq!(elsewhere.expect_err("an unknown pepper").code(), Code::Internal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pepper_that_goes_too_early_can_come_back() {
    let mut pair = Processes::start(BINARIES).await;
    pair.anonymous.ok(sign_up("sleeper")).await;
    let peppers = file(&pair, "peppers");
    let old = fs::read_to_string(&peppers).expect("peppers");
    let new = format!("p2:{}", random().await);
    replaced(&peppers, &new);
    restarted_in_turn(&mut pair, Service::Auth).await;
    assert_eq!(hashed_with(&pair, "p1").await, 1, "as the third step would have told");
    let refused = pair.anonymous.raw(log_in("sleeper")).await.expect_err("its pepper is gone");
    assert_eq!(refused.code(), Code::Internal);
    replaced(&peppers, &format!("{new},{old}"));
    restarted_in_turn(&mut pair, Service::Auth).await;
    pair.anonymous.ok(log_in("sleeper")).await;
    assert_eq!(hashed_with(&pair, "p1").await, 0);
}
