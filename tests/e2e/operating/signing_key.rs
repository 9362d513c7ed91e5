//! Replacing the signing key.

use std::path::Path;
use std::time::Duration;

use api::auth::GetCurrentSessionRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use e2e::{Caller, Person, Processes, Service, Settings, sign_up};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::commands::{file, program, published, ran, restarted_in_turn};
use super::load::{Load, Restarts};
use crate::crashes::BINARIES;

/// `session.idle_timeout`, which is waited for: long enough for all restarts to be done in it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// The id of the key that signed a token.
fn key_of(token: &str) -> String {
    let (header, _) = token.split_once('.').expect("a header");
    let header = BASE64.decode(header).expect("base64");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    header["kid"].as_str().expect("a key's id").to_owned()
}

/// `auth-service keys generate`, and the new key's path.
async fn generated(pair: &Processes) -> String {
    let new = file(pair, "signing-key-2.pem").display().to_string();
    ran(pair, Service::Auth, &["keys", "generate", "--out", &new]).await;
    new
}

/// The public half of a key, with which nobody can sign. Like every file that a setting of a key names, it must not be
/// readable by everybody.
async fn public_half(key: &Path) -> String {
    let public = key.with_extension("pub").display().to_string();
    let command = format!("umask 077 && openssl pkey -in {} -pubout -out {public}", key.display());
    program("sh", &["-c", &command]).await;
    public
}

async fn person(anonymous: &Caller, username: &str) -> Person {
    anonymous.ok(sign_up(username)).await;
    Person::log_in(anonymous, username).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_replaced_without_a_failed_call_or_log_in() {
    let idle = format!("{}s", IDLE_TIMEOUT.as_secs());
    let settings = Settings::default().unlimited().auth("SESSION__IDLE_TIMEOUT", &idle);
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let load = Load::begin(&pair, Restarts::OfAuthService).await;
    let old = file(&pair, "signing-key.pem");
    let old_id = published(&pair).await[0][0].clone();

    // 1. A new key.
    let new = generated(&pair).await;
    // 2. Every process knows it.
    pair.tell(Service::Auth, "TOKEN__VERIFICATION_KEY_FILES", &new);
    restarted_in_turn(&mut pair, Service::Auth).await;
    let new_id = published(&pair).await[0][1].clone();
    assert_eq!(published(&pair).await, vec![[old_id.clone(), new_id.clone()]; pair.replicas()]);
    load.goes_on().await;
    let before = person(&pair.anonymous, "before").await;
    assert_eq!(key_of(&before.token), old_id);

    // 3. Every process signs with it, and knows the old one's public half.
    let old = public_half(&old).await;
    pair.tell(Service::Auth, "TOKEN__SIGNING_KEY_FILE", &new);
    pair.tell(Service::Auth, "TOKEN__VERIFICATION_KEY_FILES", &old);
    restarted_in_turn(&mut pair, Service::Auth).await;
    let switched = Instant::now();
    assert_eq!(published(&pair).await, vec![[new_id.clone(), old_id.clone()]; pair.replicas()]);
    for replica in 0..pair.replicas() {
        let after = Person::log_in(&pair.anonymous.of_replica(replica), "before").await;
        assert_eq!(key_of(&after.token), new_id);
        let before = pair.anonymous.of_replica(replica).bearer(&before.token);
        before.ok(GetCurrentSessionRequest {}).await;
    }
    load.goes_on().await;

    // 4. What the old key signed last is over.
    sleep_until(switched + IDLE_TIMEOUT).await;
    pair.anonymous.bearer(&before.token).refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    // 5. Nobody knows the old key.
    pair.tell(Service::Auth, "TOKEN__VERIFICATION_KEY_FILES", "");
    restarted_in_turn(&mut pair, Service::Auth).await;
    assert_eq!(published(&pair).await, vec![[new_id]; pair.replicas()]);
    load.goes_on().await;
    println!("a signing key was replaced: {}", load.end().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_that_not_every_replica_knows_shuts_out_whoever_comes_to_the_others() {
    let mut pair = Processes::start_with(BINARIES, Settings::replicated(2)).await;
    let old = file(&pair, "signing-key.pem").display().to_string();
    let new = generated(&pair).await;
    // The third step without the second.
    pair.tell(Service::Auth, "TOKEN__SIGNING_KEY_FILE", &new);
    pair.tell(Service::Auth, "TOKEN__VERIFICATION_KEY_FILES", &old);
    pair.end_one(Service::Auth, 0).await;
    pair.run(Service::Auth, None).await;
    pair.ready().await;
    let person = person(&pair.anonymous.of_replica(0), "early").await;
    person.ok(GetCurrentSessionRequest {}).await;
    let elsewhere = pair.anonymous.of_replica(1).bearer(&person.token);
    elsewhere.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_signing_key_that_goes_too_early_or_was_stolen_takes_every_token_of_it_along() {
    let mut pair = Processes::start(BINARIES).await;
    let before = person(&pair.anonymous, "before").await;
    let new = generated(&pair).await;
    pair.tell(Service::Auth, "TOKEN__SIGNING_KEY_FILE", &new);
    restarted_in_turn(&mut pair, Service::Auth).await;
    for replica in 0..pair.replicas() {
        let before = pair.anonymous.of_replica(replica).bearer(&before.token);
        before.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    }
    Person::log_in(&pair.anonymous, "before").await.ok(GetCurrentSessionRequest {}).await;
}
