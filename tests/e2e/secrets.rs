//! No secret is ever said: whatever is called, with whatever input, in the most talkative way there is.

mod every_call;
mod witness;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use api::Rpc;
use api::auth::LogInRequest;
use e2e::{Binaries, Caller, Canaries, Collector, Engine, Pair, Processes, Scrape, Service, Settings};
use serde_json::Value;

use self::witness::{Somebody, Witness};
use crate::crashes::BINARIES;

const BOTH: [Service; 2] = [Service::Auth, Service::Users];

#[tokio::test]
async fn no_secret_is_said_in_logs_metrics_traces_and_errors() {
    // All calls in one future are too large for a stack.
    Box::pin(run()).await;
}

async fn run() {
    let mut canaries = Canaries::default();
    let collector = Collector::start().await;
    let collectors_token = canaries.hatch("the collector's token");
    let settings = Settings::default()
        .logging("trace")
        .traced_by(&collector.endpoint())
        .variable("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer {collectors_token}"))
        .database_password(&canaries.hatch("the password of the database"))
        .unlimited()
        // Tokens are renewed after less than a second.
        .auth("SESSION__IDLE_TIMEOUT", "1m")
        .auth("SESSION__REFRESH_THRESHOLD_RATIO", "0.99");
    let mut pair = Processes::start_with(BINARIES, settings).await;
    add_files(&pair, &mut canaries);

    let mut witness = Witness::new(&pair, canaries);
    let (boss, said_by_commands) = commands(&mut witness).await;
    for rpc in Rpc::ALL {
        Box::pin(every_call::make(rpc, &mut witness, &boss)).await;
    }
    let (errors, canaries) = witness.dismiss();

    let mut metrics = String::new();
    for operations in pair.auth_ops().chain([pair.ops(Service::Users)]) {
        metrics.push_str(Scrape::of(operations).await.text());
    }
    for service in [Service::Users, Service::Auth] {
        let ends = pair.terminate(service).await;
        assert!(ends.iter().all(|end| end.code() == Some(0)), "{ends:?}");
    }

    // That each of these says something at all, and all that it can.
    assert!(errors.len() > 1000);
    assert!(metrics.contains("grpc_server_handled_total"));
    let spans = collector.spans();
    assert!(BOTH.map(name).iter().all(|name| spans.iter().any(|span| span.service == *name)));
    let exports = collector.metadata();
    assert!(exports.iter().all(|sent| sent.get("authorization").is_some()), "the canary flew");

    canaries.look_into([
        ("an error", errors.as_slice()),
        ("a metric", metrics.as_bytes()),
        ("a span", &collector.bytes()),
        ("a command", &said_by_commands),
    ]);
    assert!(pair.log(Service::Users).contains(r#""level":"DEBUG""#), "it talks as much as it can");
    for service in BOTH {
        let log = pair.log(service);
        assert!(log.contains(r#""target":"security""#) && log.contains(r#""message":"call""#));
        for line in log.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
        }
        canaries.look_into([(name(service), log.as_bytes())]);
        // What passwords are stored as.
        assert!(!log.contains("$argon2") && !log.contains("argon2id$"), "{service:?} shows a hash");
    }
}

const fn name(service: Service) -> &'static str {
    match service {
        Service::Auth => "auth-service",
        Service::Users => "users-service",
    }
}

/// Everything that the two are given in files.
fn add_files(pair: &Processes, canaries: &mut Canaries) {
    let read = |name: &str| fs::read_to_string(pair.home().join(name)).expect("a secret");
    for name in ["full-token", "verify-token"] {
        canaries.add(name, read(name).trim());
    }
    canaries.add("the pepper", read("peppers").split_once(':').expect("an id before it").1.trim());
    let pem = read("signing-key.pem");
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        canaries.add("the signing key", line);
    }
}

/// The commands that know secrets; returns the super admin that they make and what they say.
async fn commands(witness: &mut Witness<'_>) -> (Somebody, Vec<u8>) {
    let pair = witness.pair;
    let mut said = Vec::new();
    let mut run = async |service, arguments: &[&str]| {
        let output = pair.command_output(service, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        said.extend([output.stdout, output.stderr].concat());
    };
    let [first, second] = [(); 2].map(|()| witness.canaries.hatch("the password of a super admin"));
    let file = |name: &str, password: &str| pair.write(name, password).display().to_string();
    let arguments = ["--username", "the.boss", "--password-file"];
    let first_file = file("first", &first);
    run(Service::Users, &[&["bootstrap-super-admin"], &arguments[..], &[&first_file]].concat()).await;
    let second_file = file("second", &second);
    run(Service::Users, &[&["reset-super-admin-password"], &arguments[..], &[&second_file]].concat()).await;
    for service in BOTH {
        run(service, &["config", "print"]).await;
    }
    let generated = pair.home().join("generated").display().to_string();
    let another =
        ["bootstrap-super-admin", "--force", "--username", "another.boss", "--password-out", &generated];
    run(Service::Users, &another).await;
    let generated = fs::read_to_string(generated).expect("a password");
    witness.canaries.add("a generated password", generated.trim());
    (witness.log_in("the.boss", second).await, said)
}

/// Somebody who asks for every detail hears of it from our own code only.
#[tokio::test]
async fn libraries_are_not_heard_in_detail_whatever_the_level() {
    let settings = Settings::on(Engine::Sqlite).logging("trace,h2=trace,hyper=trace,tonic=trace,sqlx=trace");
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let caller: &Caller = &pair.anonymous;
    caller.refused("UNAUTHENTICATED", api::auth::LogOutRequest {}).await;
    for service in BOTH {
        pair.terminate(service).await;
        for line in pair.log(service).lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let detail = ["DEBUG", "TRACE"].iter().any(|level| line["level"] == *level);
            let target = line["target"].as_str().expect("a target");
            let ours = ["auth_", "users_", "grpc", "database", "credentials"];
            assert!(!detail || ours.iter().any(|ours| target.starts_with(ours)), "{line}");
        }
    }
}

/// Says a secret by way of services that log whatever a caller takes for the id of its call.
async fn say_a_secret(anonymous: &Caller) {
    let password = Canaries::default().hatch("a password");
    let request = LogInRequest { username: "nobody.at.all".into(), password: password.clone() };
    let caller = anonymous.with("x-request-id", &password);
    caller.raw(request).await.expect_err("it is nobody's");
}

/// What every other test stands on.
#[tokio::test]
async fn a_test_in_which_a_secret_is_said_fails() {
    let pair = Pair::start().await;
    say_a_secret(&pair.anonymous).await;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pair))).is_err());
}

#[tokio::test]
async fn a_test_in_which_a_process_says_a_secret_fails() {
    let pair = Processes::start(BINARIES).await;
    say_a_secret(&pair.anonymous).await;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pair))).is_err());
}

/// What a service might be that shows a hash as the last thing that it does, after the drain.
const SAYS_A_HASH_AT_ITS_END: &str = r#"#!/bin/sh
trap 'sleep 0.5; echo "{\"message\":\"\$argon2id\$\"}" >&2; exit' TERM
for listener in public internal operations; do echo "$listener listens on it"; done
while :; do sleep 0.05; done
"#;

#[tokio::test]
async fn a_test_in_which_a_process_says_a_secret_as_it_ends_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let auth = folder.path().join("auth-service");
    fs::write(&auth, SAYS_A_HASH_AT_ITS_END).expect("written");
    fs::set_permissions(&auth, Permissions::from_mode(0o700)).expect("a program");
    let binaries = Binaries { auth: auth.display().to_string().leak(), ..BINARIES };
    let mut pair = Processes::prepared(binaries, Settings::on(Engine::Sqlite)).await;
    pair.run(Service::Auth, None).await;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pair))).is_err());
}
