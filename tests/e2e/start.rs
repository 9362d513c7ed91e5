//! Real processes that must not start, and what they say about it. What is about files is tested with files, whatever
//! engine the run is about.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use e2e::{Engine, Processes, Service, Settings};

use crate::crashes::BINARIES;

/// The output of a service that was asked to serve, which it must refuse to.
async fn refusal(pair: &Processes, service: Service) -> String {
    let output = pair.command_output(service, &["serve"]).await;
    said(&output)
}

fn said(output: &Output) -> String {
    assert!(!output.status.success(), "it did not refuse");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

async fn prepared(settings: Settings) -> Processes {
    Processes::prepared(BINARIES, settings).await
}

#[tokio::test]
async fn a_data_file_that_is_none_is_named_and_left_as_it_is() {
    for service in [Service::Auth, Service::Users] {
        let pair = prepared(Settings::on(Engine::Sqlite)).await;
        let data = pair.data().file(service);
        let shopping = "this is a shopping list and no database ".repeat(200);
        fs::write(&data, &shopping).expect("written");
        let said = refusal(&pair, service).await;
        assert!(said.contains(&data.display().to_string()) && said.contains("not a"), "{said}");
        assert_eq!(fs::read_to_string(&data).expect("still there"), shopping);
    }
}

#[tokio::test]
async fn a_data_file_that_is_damaged_is_named() {
    for service in [Service::Auth, Service::Users] {
        let pair = prepared(Settings::on(Engine::Sqlite)).await;
        let migrated = pair.command_output(service, &["migrate"]).await;
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let data = pair.data().file(service);
        let mut bytes = fs::read(&data).expect("the data");
        for byte in bytes.iter_mut().skip(100).take(8_000) {
            *byte = 0xA5;
        }
        fs::write(&data, bytes).expect("written");
        let said = refusal(&pair, service).await;
        assert!(said.contains(&data.display().to_string()), "{said}");
    }
}

#[tokio::test]
async fn a_folder_that_is_missing_is_named_and_not_made() {
    let (auth, users) = ("sqlite:///nowhere/at/all/auth.sqlite", "sqlite:///nowhere/at/all/users.sqlite");
    let settings = Settings::on(Engine::Sqlite).auth("DATABASE__URL", auth).users("DATABASE__URL", users);
    let pair = prepared(settings).await;
    for (service, path) in [(Service::Auth, auth), (Service::Users, users)] {
        let said = refusal(&pair, service).await;
        assert!(said.contains(&path["sqlite://".len()..]), "{said}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let url = "postgres://tandem:secret-of-tandem@127.0.0.1:1/accounts";
    let pair = prepared(Settings::default().auth("DATABASE__URL", url).users("DATABASE__URL", url)).await;
    for service in [Service::Auth, Service::Users] {
        let said = refusal(&pair, service).await;
        assert!(said.contains("127.0.0.1:1") && said.contains("accounts"), "{said}");
        assert!(!said.contains("secret-of-tandem"), "{said}");
    }
}

#[tokio::test]
async fn a_schema_that_is_missing_asks_for_migrate() {
    let settings =
        Settings::default().auth("DATABASE__AUTO_MIGRATE", "false").users("DATABASE__AUTO_MIGRATE", "false");
    let pair = prepared(settings).await;
    for service in [Service::Auth, Service::Users] {
        let said = refusal(&pair, service).await;
        assert!(said.contains("migrate"), "{said}");
    }
}

#[tokio::test]
async fn a_signing_key_that_is_missing_corrupt_or_readable_by_others_is_named() {
    let pair = prepared(Settings::default()).await;
    let key = pair.home().join("signing-key.pem");
    let right = fs::read_to_string(&key).expect("a key");
    let corrupt = right.replacen('M', "!", 1);
    for bad in ["", "garbage", &corrupt, &right[..right.len() / 2]] {
        let _ = pair.write("signing-key.pem", bad);
        let said = refusal(&pair, Service::Auth).await;
        assert!(said.contains("token.signing_key_file") && said.contains("signing-key.pem"), "{said}");
        assert!(!said.contains("MC4CAQAw"), "the key itself is not shown: {said}");
    }
    let _ = pair.write("signing-key.pem", &right);
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("set");
    let said = refusal(&pair, Service::Auth).await;
    assert!(said.contains("signing-key.pem"), "{said}");
    fs::remove_file(&key).expect("removed");
    let said = refusal(&pair, Service::Auth).await;
    assert!(said.contains("signing-key.pem"), "{said}");
}

#[tokio::test]
async fn a_pepper_that_is_missing_short_or_corrupt_is_named() {
    let pair = prepared(Settings::default()).await;
    for bad in ["", "p1:c2hvcnQ=", "p1:!!!!", "no-colon", "way-too-long-an-id:AAAA"] {
        let _ = pair.write("peppers", bad);
        let said = refusal(&pair, Service::Auth).await;
        assert!(said.contains("password.peppers"), "{bad:?}: {said}");
        assert!(!said.contains("c2hvcnQ="), "the pepper itself is not shown: {said}");
    }
    fs::remove_file(pair.home().join("peppers")).expect("removed");
    let said = refusal(&pair, Service::Auth).await;
    assert!(said.contains("password.peppers") && said.contains("/peppers"), "{said}");
}

#[tokio::test]
async fn a_workload_token_that_is_missing_or_short_is_named() {
    let pair = prepared(Settings::default()).await;
    let _ = pair.write("full-token", "short");
    assert!(refusal(&pair, Service::Auth).await.contains("workload.clients"), "auth-service");
    assert!(refusal(&pair, Service::Users).await.contains("identity_provider.token_file"), "users-service");
    fs::remove_file(pair.home().join("full-token")).expect("removed");
    assert!(refusal(&pair, Service::Auth).await.contains("full-token"), "auth-service");
    assert!(refusal(&pair, Service::Users).await.contains("full-token"), "users-service");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for (service, setting, key) in [
        (Service::Auth, "SERVER__LISTEN", "server.listen"),
        (Service::Auth, "SERVER__INTERNAL_LISTEN", "server.internal_listen"),
        (Service::Auth, "SERVER__OPS_LISTEN", "server.ops_listen"),
        (Service::Users, "SERVER__LISTEN", "server.listen"),
        (Service::Users, "SERVER__OPS_LISTEN", "server.ops_listen"),
    ] {
        let settings = match service {
            Service::Auth => Settings::default().auth(setting, &address),
            Service::Users => Settings::default().users(setting, &address),
        };
        let said = refusal(&prepared(settings).await, service).await;
        assert!(said.contains(key) && said.contains(&address) && said.contains("in use"), "{said}");
    }
}

#[tokio::test]
async fn whoever_cannot_say_where_it_listens_says_why() {
    for service in [Service::Auth, Service::Users] {
        let pair = prepared(Settings::on(Engine::Sqlite)).await;
        let full = File::options().write(true).open("/dev/full").expect("a device");
        let output = pair.command_into(service, &["serve"], full.into()).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = said(&output);
        assert!(said.contains("standard output cannot be written: No space left"), "{said}");
    }
}

#[tokio::test]
async fn a_file_that_another_process_serves_is_left_to_it() {
    let mut pair = prepared(Settings::on(Engine::Sqlite)).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    for service in [Service::Auth, Service::Users] {
        let said = said(&pair.elsewhere(service, &["serve"]).await);
        assert!(said.contains(&pair.data().file(service).display().to_string()), "{said}");
        assert!(said.contains("in use by process"), "{said}");
    }
    let said = said(&pair.elsewhere(Service::Auth, &["after-restore"]).await);
    assert!(said.contains("in use by process"), "{said}");
}

#[tokio::test]
async fn a_setting_that_is_unknown_or_has_no_meaning_here_is_refused_by_name() {
    for (key, value, named) in [
        ("SERVER__LISTENS", "127.0.0.1:1", "server.listens"),
        ("SESSION__IDLE_TIMEOUT", "soon", "session.idle_timeout"),
        ("SESSION__IDLE_TIMEOUT", "25h", "session.idle_timeout"),
        ("SESSION__REFRESH_THRESHOLD_RATIO", "1.5", "session.refresh_threshold_ratio"),
        ("PASSWORD__MIN_LENGTH", "7", "password.min_length"),
        ("RATE_LIMIT__ENABLED", "perhaps", "rate_limit.enabled"),
        ("RATE_LIMIT__TRUSTED_PROXIES", "nginx", "rate_limit.trusted_proxies"),
        ("SERVER__TLS_CERT_FILE", "/tls/x.pem", "server.tls_cert_file"),
        ("SERVER__LISTEN", "0.0.0.0:0", "server.listen"),
        ("DATABASE__URL", "mysql://localhost/x", "database.url"),
        ("DATABASE__REPLICA_URL", "postgres://localhost/x", "database.replica_url"),
        ("DATABASE__MAX_CONNECTIONS", "0", "database.max_connections"),
    ] {
        let pair = prepared(Settings::default().auth(key, value)).await;
        let said = refusal(&pair, Service::Auth).await;
        assert!(said.contains(named), "{key}={value}: {said}");
        assert!(said.contains(&format!("AUTH__{key}")), "where it came from: {said}");
    }
    for (key, value, named) in [
        ("SERVER__LISTENS", "127.0.0.1:1", "server.listens"),
        ("IDENTITY_PROVIDER__URL", "dns:///localhost", "identity_provider.url"),
        ("IDENTITY_PROVIDER__CA_FILE", "/tls/x.pem", "identity_provider.ca_file"),
        ("DATABASE__REPLICA_URL", "postgres://localhost/x", "database.replica_url"),
        ("DATABASE__DIRECT_URL", "postgres://localhost/x", "database.direct_url"),
        ("DATABASE__PREPARED_STATEMENTS", "false", "database.prepared_statements"),
    ] {
        // The last ones are refused where the data is in a file.
        let pair = prepared(Settings::on(Engine::Sqlite).users(key, value)).await;
        let said = refusal(&pair, Service::Users).await;
        assert!(said.contains(named), "{key}={value}: {said}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_said_at_once() {
    let settings = Settings::default()
        .auth("SESSION__IDLE_TIMEOUT", "soon")
        .auth("PASSWORD__MIN_LENGTH", "many")
        .auth("NO__SUCH_KEY", "x");
    let pair = prepared(settings).await;
    let _ = pair.write("peppers", "garbage");
    let said = refusal(&pair, Service::Auth).await;
    for key in ["session.idle_timeout", "password.min_length", "no.such_key", "password.peppers"] {
        assert!(said.contains(key), "{key}: {said}");
    }
}
