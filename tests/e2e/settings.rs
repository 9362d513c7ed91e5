//! Settings as operators give them, in a file and in the environment together, and what the commands that look at them say.

mod at_work;
mod cores;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::time::Duration;

use e2e::{Engine, Processes, Service, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::crashes::BINARIES;

/// What a command said that must fail, without what stands before the list of problems.
fn problems(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("panicked"), "{said}");
    let mut lines = said.lines().filter(|line| !line.is_empty());
    assert!(lines.next().is_some_and(|first| first.ends_with("these settings cannot be used:")), "{said}");
    lines.map(str::to_owned).collect()
}

/// That these are the problems, each in a line of its own that has all these words.
fn assert_said(problems: &[String], expected: &[&[&str]]) {
    for words in expected {
        let said = problems.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
        assert_eq!(said, 1, "{words:?} in\n{}", problems.join("\n"));
    }
    assert_eq!(problems.len(), expected.len(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn all_mistakes_of_auth_service_are_said_at_once_each_with_its_key_and_its_place() {
    let settings = Settings::on(Engine::Sqlite)
        .auth("PASSWORD__MIN_LENGTH", "7")
        .auth("SERVER__LISTEN", "0.0.0.0:50051")
        .auth("RATE_LIMIT__ENABLED", "perhaps")
        .auth("DATABASE__URL_FILE", "/somewhere/else")
        .auth("NO__SUCH_KEY", "hunter2hunter2");
    let pair = Processes::prepared(BINARIES, settings).await;
    let file = pair.write(
        "auth.toml",
        "[session]\nidle_timeout = \"soon\"\nmax_per_user = 0\nrefresh_threshold_ratio = 1.5\n\
         [token]\nissuer = \"\"\nverification_key_files = [\"/nowhere/old.pem\"]\n\
         [rate_limit]\ntrusted_proxies = [\"nginx\"]\n\
         [log]\nformat = \"xml\"\nlevle = \"hunter2hunter2\"\n",
    );
    // Secrets that are none, each in its own way: short, readable by everyone, a folder, nothing.
    let _ = pair.write("peppers", "p1:c2hvcnQ=");
    fs::set_permissions(pair.home().join("signing-key.pem"), Permissions::from_mode(0o644)).expect("set");
    fs::remove_file(pair.home().join("full-token")).expect("removed");
    fs::create_dir(pair.home().join("full-token")).expect("made");
    let _ = pair.write("verify-token", "\n");

    let file = file.display().to_string();
    let said = pair.command_output(Service::Auth, &["--config", &file, "config", "check"]).await;
    let problems = problems(&said);
    let at = |line: u32| format!("(file {file}, line {line})");
    assert_said(
        &problems,
        &[
            &[
                "password.min_length = \"7\": out of range",
                "(environment variable AUTH__PASSWORD__MIN_LENGTH)",
            ],
            &["server.listen = \"0.0.0.0:50051\": plaintext beyond loopback", "AUTH__SERVER__LISTEN"],
            &["rate_limit.enabled = \"perhaps\": neither true nor false", "AUTH__RATE_LIMIT__ENABLED"],
            &[
                "database.url: also given as environment variable AUTH__DATABASE__URL_FILE",
                "AUTH__DATABASE__URL)",
            ],
            &["no.such_key: unknown key", "AUTH__NO__SUCH_KEY"],
            &["session.idle_timeout = \"soon\": not a duration", &at(2)],
            &["session.max_per_user = 0: out of range", &at(3)],
            &["session.refresh_threshold_ratio = 1.5: not a number between 0 and 1", &at(4)],
            &["token.issuer = \"\": empty", &at(6)],
            &[
                "token.verification_key_files = [\"/nowhere/old.pem\"]",
                "cannot be read: No such file",
                &at(7),
            ],
            &["rate_limit.trusted_proxies = [\"nginx\"]", &at(9)],
            &["log.format = \"xml\": not one of auto, json, text", &at(11)],
            &["log.levle: unknown key, did you mean log.level?", &at(12)],
            &["password.peppers = \"********\": a pepper must have at least 32 bytes", "peppers, named by"],
            &["token.signing_key_file", "can be read by everyone", "AUTH__TOKEN__SIGNING_KEY_FILE"],
            &[
                "workload.clients.0.token_file",
                "full-token cannot be read",
                "AUTH__WORKLOAD__CLIENTS__0__TOKEN_FILE",
            ],
            &[
                "workload.clients.1.token_file",
                "verify-token is empty",
                "AUTH__WORKLOAD__CLIENTS__1__TOKEN_FILE",
            ],
            &["workload.clients: users-service has neither a token_file nor a san"],
            &["workload.clients: shop has neither a token_file nor a san"],
        ],
    );
    let all = problems.join("\n");
    assert!(!all.contains("hunter2") && !all.contains("c2hvcnQ="), "{all}");
}

#[tokio::test]
async fn all_mistakes_of_users_service_are_said_at_once_each_with_its_key_and_its_place() {
    let settings = Settings::on(Engine::Sqlite)
        .users("SERVER__LISTEN", "localhost:1")
        .users("DATABASE__MAX_CONNECTIONS", "many")
        .users("IDENTITY_PROVIDER__TIMEOUT", "1h")
        .users("IDENTITY_PROVIDER__TOKEN", "changeme")
        .users("SESSION__IDLE_TIMEOUT", "1h")
        .users("DATABASE__AUTO_MIGRATE", "")
        .users("LOG__LEVEL", "");
    let pair = Processes::prepared(BINARIES, settings).await;
    let file = pair.write(
        "users.toml",
        "server = 7\n[database]\nauto_migrate = 1\nreplica_url = \"postgres://users:hunter2@replica/users\"\n\
         [log]\nlevel = \"a=b=c\"\n",
    );
    let file = file.display().to_string();
    let said = pair.command_output(Service::Users, &["--config", &file, "config", "check"]).await;
    let problems = problems(&said);
    let at = |line: u32| format!("(file {file}, line {line})");
    assert_said(
        &problems,
        &[
            &["server.listen = \"localhost:1\": not an address", "USERS__SERVER__LISTEN"],
            &["database.max_connections = \"many\": not a whole number", "USERS__DATABASE__MAX_CONNECTIONS"],
            &["identity_provider.timeout = \"1h\": out of range", "USERS__IDENTITY_PROVIDER__TIMEOUT"],
            &["identity_provider.token = \"********\": a placeholder", "USERS__IDENTITY_PROVIDER__TOKEN)"],
            &["identity_provider.token = \"********\": is given together with identity_provider.token_file"],
            &["session.idle_timeout: unknown key", "USERS__SESSION__IDLE_TIMEOUT"],
            &["server: unknown key", &at(1)],
            &["database.auto_migrate = 1: neither true nor false", &at(3)],
            &["database.replica_url = \"postgres://********@replica/users\": is for PostgreSQL only", &at(4)],
            &["log.level = \"a=b=c\"", &at(6)],
        ],
    );
    assert!(!problems.join("\n").contains("hunter2"));
}

#[tokio::test]
async fn mistakes_in_the_variables_of_opentelemetry_are_said_with_those_of_the_file_and_the_environment() {
    let settings = Settings::on(Engine::Sqlite)
        .auth("SERVER__DRAIN", "soon")
        .users("SERVER__DRAIN", "soon")
        .traced_by("collector:4317")
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        .variable("OTEL_TRACES_SAMPLER", "xray")
        .variable("OTEL_TRACES_SAMPLER_ARG", "50%");
    let pair = Processes::prepared(BINARIES, settings).await;
    let file = pair.write("some.toml", "[log]\nformat = \"xml\"\n").display().to_string();
    for service in [Service::Auth, Service::Users] {
        for command in [&["config", "check"][..], &["serve"]] {
            let arguments = [&["--config", &file], command].concat();
            let problems = problems(&pair.command_output(service, &arguments).await);
            assert_said(
                &problems,
                &[
                    &["server.drain = \"soon\": not a duration", "__SERVER__DRAIN)"],
                    &["log.format = \"xml\": not one of auto, json, text", &format!("(file {file}, line 2)")],
                    &["variable OTEL_EXPORTER_OTLP_ENDPOINT: has to begin with http://"],
                    &["variable OTEL_EXPORTER_OTLP_PROTOCOL: \"http/protobuf\" is not supported, but grpc"],
                    &["variable OTEL_TRACES_SAMPLER: \"xray\" is not supported"],
                    &["variable OTEL_TRACES_SAMPLER_ARG: \"50%\" is not supported"],
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named_beside_the_mistakes_of_the_environment() {
    let settings = Settings::on(Engine::Sqlite).auth("LOG__FORMAT", "xml").users("LOG__FORMAT", "xml");
    let pair = Processes::prepared(BINARIES, settings).await;
    let bad = pair.write("bad.toml", "[log]\nlevel = hunter2 hunter2\n");
    let binary = pair.home().join("binary.toml");
    fs::write(&binary, [0xff, 0xfe]).expect("written");
    let folder = pair.home().to_path_buf();
    for service in [Service::Auth, Service::Users] {
        for (path, why) in [
            (&bad, "not TOML, line 2"),
            (&binary, "cannot be read"),
            (&folder, "cannot be read: Is a directory"),
            (&pair.home().join("nowhere.toml"), "cannot be read: No such file"),
        ] {
            let path = path.display().to_string();
            let said = pair.command_output(service, &["config", "check", "--config", &path]).await;
            let problems = problems(&said);
            assert_said(&problems, &[&["file ", &path, why], &["log.format = \"xml\"", "__LOG__FORMAT"]]);
            assert!(!problems.join("\n").contains("hunter2"), "{problems:?}");
        }
        let empty = pair.write("empty.toml", "").display().to_string();
        let said = pair.command_output(service, &["config", "check", "--config", &empty]).await;
        assert_said(&problems(&said), &[&["log.format = \"xml\"", "__LOG__FORMAT"]]);
    }
}

#[tokio::test]
async fn the_settings_are_printed_with_where_each_came_from_and_read_back() {
    let url = "postgres://tandem:hunter2hunter2@db.example/tandem?sslmode=disable&password=hunter2hunter2";
    let settings = Settings::on(Engine::Sqlite).auth("DATABASE__URL", url).users("DATABASE__URL", url);
    let pair = Processes::prepared(BINARIES, settings).await;
    let file = pair.write("some.toml", "[server]\ndrain = \"7s\"\n[log]\nlevel = \"debug\"\n");
    let path = file.display().to_string();
    for (service, prefix) in [(Service::Auth, "AUTH"), (Service::Users, "USERS")] {
        let output = pair.command_output(service, &["config", "print", "--config", &path]).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).expect("text");
        for line in [
            "reflection = true # built-in default".to_owned(),
            format!("drain = \"5s\" # environment variable {prefix}__SERVER__DRAIN"),
            format!("level = \"trace\" # environment variable {prefix}__LOG__LEVEL"),
            format!(
                "url = \"postgres://********@db.example/tandem?sslmode=disable&password=********\" \
                 # environment variable {prefix}__DATABASE__URL"
            ),
            "# tls_cert_file is not set".to_owned(),
        ] {
            assert!(printed.lines().any(|printed| printed == line), "no {line} in:\n{printed}");
        }
        assert!(!printed.contains("hunter2"), "{printed}");
        // What was printed is a file of settings, but for the secrets.
        let again = pair.write("printed.toml", &printed).display().to_string();
        let checked = pair.command_output(service, &["config", "check", "--config", &again]).await;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[tokio::test]
async fn a_command_line_that_is_wrong_is_told_from_settings_that_are() {
    let pair = Processes::prepared(BINARIES, Settings::on(Engine::Sqlite)).await;
    for service in [Service::Auth, Service::Users] {
        for arguments in [&["serves"][..], &["config"], &["serve", "--no-such-option"], &[]] {
            let output = pair.command_output(service, arguments).await;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        }
        for arguments in [&["--help"][..], &["--version"], &["config", "--help"], &["serve", "--help"]] {
            let output = pair.command_output(service, arguments).await;
            assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
        }
    }
}

/// What the healthcheck of a service says of an operations listener that answers like this, a piece at a time.
async fn checked(
    service: Service,
    pieces: &'static [&'static str],
    pause: Duration,
) -> (Option<i32>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answering = tokio::spawn(async move {
        #[expect(clippy::disallowed_methods, reason = "no server of ours")]
        let (mut peer, _) = listener.accept().await.expect("a peer");
        // All of it: to close with something unread is to reset the connection.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(peer.read_u8().await.expect("a request"));
        }
        for piece in pieces {
            if peer.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
        if pieces.is_empty() {
            std::future::pending::<()>().await;
        }
    });
    let pair = Processes::prepared(BINARIES, operated_at(service, &address)).await;
    let output = timeout(Duration::from_secs(20), pair.command_output(service, &["healthcheck"]));
    let output = output.await.expect("it does not hang");
    answering.abort();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The settings of a service that operators look at here.
fn operated_at(service: Service, address: &str) -> Settings {
    let settings = Settings::on(Engine::Sqlite);
    match service {
        Service::Auth => settings.auth("SERVER__OPS_LISTEN", address),
        Service::Users => settings.users("SERVER__OPS_LISTEN", address),
    }
}

async fn a_healthcheck_is_no_more_patient_than_a_probe(service: Service) {
    let at_once = Duration::ZERO;
    let (code, said) = checked(service, &["HTTP/1.1 200 OK\r\n\r\nok"], at_once).await;
    assert_eq!(code, Some(0), "{said}");
    let unavailable = &["HTTP/1.1 503 Service Unavailable\r\n\r\ndraining"];
    let (code, said) = checked(service, unavailable, at_once).await;
    assert!(code == Some(1) && said.contains("is not ready: draining"), "{said}");
    let (code, said) = checked(service, &["something else"], at_once).await;
    assert!(code == Some(1) && said.contains("is not ready"), "{said}");
    let (code, said) = checked(service, &[], at_once).await;
    assert!(code == Some(1) && said.contains("does not answer"), "it hangs: {said}");
    let (code, said) = checked(service, &["H"; 100], Duration::from_millis(500)).await;
    assert!(code == Some(1) && said.contains("does not answer"), "it never comes to an end: {said}");
}

async fn a_healthcheck_of_nobody_says_so(service: Service) {
    let pair = Processes::prepared(BINARIES, operated_at(service, "127.0.0.1:1")).await;
    let output = pair.command_output(service, &["healthcheck"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("127.0.0.1:1 does not answer"), "{said}");
}

for_each_service!(a_healthcheck_is_no_more_patient_than_a_probe, a_healthcheck_of_nobody_says_so);

/// Whoever owns the tables need not be shown a pepper, a key or a token.
#[tokio::test]
async fn migrations_need_no_settings_but_those_of_the_database() {
    for (binary, prefix) in [(BINARIES.auth, "AUTH"), (BINARIES.users, "USERS")] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("data.sqlite");
        let migrate = async |variable: &str, value: &str| {
            let mut command = Command::new(binary);
            command.arg("migrate").env_clear().env(format!("{prefix}__{variable}"), value);
            command.env(format!("{prefix}__LOG__LEVEL"), "wrong=in=any=case");
            let output = command.output().await.expect("it runs");
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (migrated, said) = migrate("DATABASE__URL", &format!("sqlite://{}", file.display())).await;
        assert!(migrated && file.exists(), "{said}");
        let (migrated, said) = migrate("DATABASE__URLS", "sqlite:///nowhere").await;
        assert!(!migrated && said.contains("database.urls") && said.contains("database.url"), "{said}");
    }
}
