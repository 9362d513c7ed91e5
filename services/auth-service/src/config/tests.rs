use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use configuration::testing::{Example, assert_table_complete};
use tempfile::TempDir;

use super::*;
use crate::Allowance;

const PEPPER: &str = "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TOKEN: &str = "sG7uX2kq9vT4wZ1nB8yC3eR6fH0jL5mD";

/// A folder with a signing key.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("key.pem"), SigningKey::generate_pem().unwrap().expose_secret(), 0o600);
    folder
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The settings without which there is no configuration, then others.
fn read(folder: &Path, others: &[(&str, &str)]) -> Result<Config, String> {
    let mut variables = vec![
        ("AUTH__DATABASE__URL".to_owned(), "sqlite:///data/auth.sqlite".to_owned()),
        ("AUTH__TOKEN__SIGNING_KEY_FILE".to_owned(), folder.join("key.pem").display().to_string()),
        ("AUTH__PASSWORD__PEPPERS".to_owned(), PEPPER.to_owned()),
        ("AUTH__WORKLOAD__TOKEN".to_owned(), TOKEN.to_owned()),
    ];
    for (key, value) in others {
        variables.retain(|(known, _)| known != key);
        if !value.is_empty() {
            variables.push(((*key).to_owned(), (*value).to_owned()));
        }
    }
    let read = Config::read(Layers::new("AUTH").variables(variables));
    read.map(|(config, _)| config).map_err(|problems| problems.to_string())
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let folder = folder();
    let config = read(folder.path(), &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.server.internal_listen.to_string(), "127.0.0.1:50052");
    assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:9051");
    assert_eq!(config.sessions.idle_timeout, TimeDelta::minutes(30));
    assert_eq!(config.sessions.absolute_timeout, TimeDelta::hours(24));
    assert_eq!(config.sessions.max_per_user, 20);
    assert_eq!(config.argon2.cost, Cost::MINIMUM);
    assert_eq!(config.argon2.queue_wait, Duration::from_secs(1));
    assert_eq!(config.argon2.max_parallel, std::thread::available_parallelism().unwrap().get());
    let limits = config.rate_limits.policy.unwrap();
    assert_eq!((limits.free_failures, limits.max_delay), (5, TimeDelta::minutes(15)));
    assert_eq!((limits.address_failures, limits.sign_ups_per_hour), (300, 300));
    assert!(config.rate_limits.trusted_proxies.is_empty());
    assert_eq!(config.workloads.len(), 1);
    assert_eq!(config.workloads[0].allowance, Allowance::Full);
}

#[test]
fn no_two_listeners_have_one_address() {
    let folder = folder();
    for (key, value, named) in [
        ("AUTH__SERVER__INTERNAL_LISTEN", "127.0.0.1:50051", "server.internal_listen"),
        ("AUTH__SERVER__LISTEN", "127.0.0.1:9051", "server.ops_listen"),
        ("AUTH__SERVER__OPS_LISTEN", "0.0.0.0:50052", "server.ops_listen"),
    ] {
        let problems = read(folder.path(), &[(key, value)]).unwrap_err();
        assert!(problems.contains(named) && problems.contains("another listener"), "{problems}");
    }
    let any = ["LISTEN", "INTERNAL_LISTEN", "OPS_LISTEN"].map(|key| format!("AUTH__SERVER__{key}"));
    assert!(read(folder.path(), &any.each_ref().map(|key| (key.as_str(), "127.0.0.1:0"))).is_ok());
}

#[test]
fn a_level_that_is_none_is_named_with_its_source() {
    let folder = folder();
    let problems = read(folder.path(), &[("AUTH__LOG__LEVEL", "warning")]).unwrap_err();
    for said in ["log.level", "\"warning\" is no level", "off, error, warn, info", "AUTH__LOG__LEVEL"] {
        assert!(problems.contains(said), "{said}: {problems}");
    }
}

#[test]
fn lifetimes_of_a_few_seconds_are_valid() {
    let folder = folder();
    let short = [("AUTH__SESSION__IDLE_TIMEOUT", "3s"), ("AUTH__SESSION__ABSOLUTE_TIMEOUT", "5s")];
    assert_eq!(read(folder.path(), &short).unwrap().sessions.absolute_timeout, TimeDelta::seconds(5));
}

#[test]
fn certificates_are_tried_and_what_is_missing_is_named() {
    let folder = folder();
    let secret = folder.path().join("no-certificate");
    write(&secret, "no certificate at all", 0o600);
    let secret = secret.display().to_string();
    for (given, why) in [
        (&[("AUTH__SERVER__TLS_CERT_FILE", &*secret)][..], "needs server.tls_key_file as well"),
        (
            &[("AUTH__SERVER__TLS_CERT_FILE", &*secret), ("AUTH__SERVER__TLS_KEY_FILE", &*secret)],
            "no-certificate holds no certificate in PEM",
        ),
        (
            &[("AUTH__SERVER__INTERNAL_CLIENT_CA_FILE", &*secret)],
            "needs server.internal_tls_cert_file as well",
        ),
        (
            &[
                ("AUTH__WORKLOAD__CLIENTS__0__NAME", "shop"),
                ("AUTH__WORKLOAD__CLIENTS__0__SAN", "spiffe://x/y"),
            ],
            "shop is known by its certificate, which needs server.internal_client_ca_file",
        ),
        (&[("AUTH__WORKLOAD__CLIENTS__0__NAME", "shop")], "shop has neither a token_file nor a san"),
    ] {
        let refused = read(folder.path(), given).unwrap_err();
        assert!(refused.contains(why), "{given:?}: {refused}");
    }
}

#[test]
fn a_server_is_a_database_as_a_file_is() {
    let folder = folder();
    let url = ("AUTH__DATABASE__URL", "postgres://auth:hunter2hunter2@pooler:6432/auth");
    let direct_url = ("AUTH__DATABASE__DIRECT_URL", "postgres://auth:hunter2hunter2@db/auth");
    let unprepared = ("AUTH__DATABASE__PREPARED_STATEMENTS", "false");
    let database = read(folder.path(), &[url, direct_url, unprepared]).unwrap().database;
    assert_eq!(database.engine.place(), "PostgreSQL at pooler:6432, database auth");
    assert!(!format!("{database:?}").contains("hunter2"), "{database:?}");

    let replica_url = ("AUTH__DATABASE__REPLICA_URL", "postgres://auth:hunter2hunter2@replica/auth");
    let refused = read(folder.path(), &[url, replica_url]).unwrap_err();
    assert!(refused.contains("AUTH__DATABASE__REPLICA_URL") && !refused.contains("hunter2"), "{refused}");
    let garbled = ("AUTH__DATABASE__URL", "postgres://auth:hunter2hunter2@pooler:port/auth");
    let refused = read(folder.path(), &[garbled]).unwrap_err();
    assert!(refused.contains("AUTH__DATABASE__URL") && !refused.contains("hunter2"), "{refused}");
    for (key, value) in [direct_url, unprepared] {
        let refused = read(folder.path(), &[(key, value)]).unwrap_err();
        assert!(refused.contains("names a SQLite file") && refused.contains(key), "{refused}");
    }
}

#[test]
fn every_problem_is_named_at_once_with_its_source_and_without_secrets() {
    let folder = folder();
    write(&folder.path().join("key.pem"), "garbage", 0o600);
    let refused = read(
        folder.path(),
        &[
            ("AUTH__SESSION__IDLE_TIMEOUT", "soon"),
            ("AUTH__PASSWORD__MIN_LENGTH", "7"),
            ("AUTH__PASSWORD__PEPPERS", "p1:c2hvcnQ="),
            ("AUTH__WORKLOAD__TOKEN", "too-short-to-be-one"),
            ("AUTH__SERVER__LISTEN", "0.0.0.0:50051"),
            ("AUTH__SERVER__LISTEM", "127.0.0.1:1"),
        ],
    )
    .unwrap_err();
    for part in [
        "AUTH__SESSION__IDLE_TIMEOUT",
        "AUTH__PASSWORD__MIN_LENGTH",
        "at least 32 bytes",
        "shorter than 32 bytes",
        "allow_plaintext",
        "AUTH__SERVER__LISTEM",
        "key.pem is not in PEM form",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(!refused.contains("c2hvcnQ") && !refused.contains("too-short-to-be-one"), "{refused}");
}

#[test]
fn what_must_be_given_is_asked_for() {
    let folder = folder();
    for key in [
        "AUTH__DATABASE__URL",
        "AUTH__TOKEN__SIGNING_KEY_FILE",
        "AUTH__PASSWORD__PEPPERS",
        "AUTH__WORKLOAD__TOKEN",
    ] {
        assert!(read(folder.path(), &[(key, "")]).is_err(), "{key}");
    }
}

#[test]
fn a_key_that_the_world_can_read_is_refused() {
    let folder = folder();
    let key = folder.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = read(folder.path(), &[]).unwrap_err();
    assert!(refused.contains("key.pem"), "{refused}");
}

#[test]
fn a_token_file_may_hold_several_tokens_and_clients_have_their_own() {
    let folder = folder();
    let tokens = folder.path().join("tokens");
    write(&tokens, &format!("{TOKEN}\nanother-{TOKEN}\n"), 0o600);
    let config = read(
        folder.path(),
        &[
            ("AUTH__WORKLOAD__TOKEN", ""),
            ("AUTH__WORKLOAD__CLIENTS__0__NAME", "shop"),
            ("AUTH__WORKLOAD__CLIENTS__0__TOKEN_FILE", tokens.to_str().unwrap()),
            ("AUTH__WORKLOAD__CLIENTS__0__ALLOW", "verify"),
        ],
    )
    .unwrap();
    let [shop] = &config.workloads[..] else { panic!("{:?}", config.workloads) };
    assert_eq!(
        (shop.name.as_str(), shop.tokens.as_ref().map_or(0, crate::Tokens::len), shop.allowance),
        ("shop", 2, Allowance::Verify)
    );
}

#[test]
fn several_peppers_are_known_and_the_first_is_current() {
    let folder = folder();
    let both = format!("new:{},{PEPPER}", &PEPPER[3..]);
    let peppers = read(folder.path(), &[("AUTH__PASSWORD__PEPPERS", &both)]).unwrap().argon2.peppers;
    assert_eq!(peppers.iter().map(|pepper| pepper.id.as_str()).collect::<Vec<_>>(), ["new", "p1"]);
    assert!(!format!("{peppers:?}").contains("BAUG"));
    let twice = format!("{PEPPER},{PEPPER}");
    assert!(read(folder.path(), &[("AUTH__PASSWORD__PEPPERS", &twice)]).unwrap_err().contains("twice"));
}

fn example_file() -> PathBuf {
    Path::new(env!("TANDEM_WORKSPACE")).join("deploy/auth-service.toml")
}

/// Reads a file of settings as it stands, but for the places of the secrets that it names.
fn read_file(file: &Path, folder: &Path) -> Result<(Config, Effective), Problems> {
    let (pepper, token) = (folder.join("pepper"), folder.join("token"));
    write(&pepper, PEPPER, 0o600);
    write(&token, TOKEN, 0o600);
    let variable = |key: &str, path: &Path| (key.to_owned(), path.display().to_string());
    let layers = Layers::new("AUTH").file(file).variables([
        variable("AUTH__TOKEN__SIGNING_KEY_FILE", &folder.join("key.pem")),
        variable("AUTH__PASSWORD__PEPPERS_FILE", &pepper),
        variable("AUTH__WORKLOAD__CLIENTS__0__TOKEN_FILE", &token),
    ]);
    Config::read(layers)
}

#[test]
fn the_example_file_is_valid() {
    let folder = folder();
    let (config, _) = read_file(&example_file(), folder.path()).unwrap();
    assert_eq!(config.workloads[0].allowance, Allowance::Full);
}

#[test]
fn the_example_file_shows_every_key_and_its_default() {
    let folder = folder();
    let (_, effective) = read_file(&example_file(), folder.path()).unwrap();
    Example::read(&example_file()).assert_complete(&effective, &["password.max_parallel_hashes"]);
}

#[test]
fn the_table_of_the_readme_has_every_key_and_its_default() {
    let folder = folder();
    let (_, effective) = read_file(&example_file(), folder.path()).unwrap();
    let readme = Path::new(env!("TANDEM_WORKSPACE")).join("README.md");
    assert_table_complete(&fs::read_to_string(readme).unwrap(), "auth", &effective);
}

#[test]
fn what_stands_behind_comments_in_the_example_file_can_be_set() {
    let folder = folder();
    let everything = folder.path().join("everything.toml");
    write(&everything, &Example::read(&example_file()).with_everything_set(), 0o600);
    let problems = read_file(&everything, folder.path()).unwrap_err();
    // Nothing is wrong with any of it but that files are missing, and that some of it goes only one at a time.
    for problem in problems.iter() {
        let problem = problem.to_string();
        let expected = [
            "No such file",
            "also given as",
            "is given together with",
            "is for PostgreSQL only",
            "placeholder",
            "known by its certificate, which needs",
        ];
        assert!(expected.iter().any(|why| problem.contains(why)), "{problem}");
    }
}

#[test]
fn rate_limits_can_be_turned_off_and_proxies_are_addresses_or_networks() {
    let folder = folder();
    let off = [("AUTH__RATE_LIMIT__ENABLED", "false")];
    assert!(read(folder.path(), &off).unwrap().rate_limits.policy.is_none());
    let proxies = [("AUTH__RATE_LIMIT__TRUSTED_PROXIES", "192.0.2.7, 10.0.0.0/8,2001:db8::/32,::1")];
    let proxies = read(folder.path(), &proxies).unwrap().rate_limits.trusted_proxies;
    let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/32", "::1/128"]);
    for (key, value) in [
        ("AUTH__RATE_LIMIT__TRUSTED_PROXIES", "the proxy"),
        ("AUTH__RATE_LIMIT__TRUSTED_PROXIES", "10.0.0.0/64"),
        ("AUTH__RATE_LIMIT__TRUSTED_PROXIES", "::ffff:10.0.0.0/104"),
        ("AUTH__RATE_LIMIT__FREE_FAILURES", "0"),
        ("AUTH__RATE_LIMIT__FREE_FAILURES", "101"),
        ("AUTH__RATE_LIMIT__MAX_DELAY", "25h"),
        ("AUTH__RATE_LIMIT__ADDRESS_FAILURES", "0"),
        ("AUTH__RATE_LIMIT__SIGN_UPS_PER_HOUR", "0"),
    ] {
        let problems = read(folder.path(), &[(key, value)]).unwrap_err();
        assert!(problems.contains("rate_limit."), "{key}={value}: {problems}");
    }
}

#[test]
fn no_value_of_any_key_makes_it_panic() {
    use proptest::prelude::*;
    use test_kit::hostile::{cases_of, text};

    let folder = folder();
    let keys: Vec<String> = {
        let variables = [
            ("AUTH__DATABASE__URL".to_owned(), "sqlite:///data/auth.sqlite".to_owned()),
            ("AUTH__TOKEN__SIGNING_KEY_FILE".to_owned(), folder.path().join("key.pem").display().to_string()),
            ("AUTH__PASSWORD__PEPPERS".to_owned(), PEPPER.to_owned()),
            ("AUTH__WORKLOAD__TOKEN".to_owned(), TOKEN.to_owned()),
        ];
        let (_, effective) = Config::read(Layers::new("AUTH").variables(variables)).unwrap();
        let variable = |key: &str| format!("AUTH__{}", key.replace('.', "__").to_uppercase());
        effective.known().iter().map(|known| variable(&known.key)).collect()
    };
    assert!(keys.len() > 30, "{keys:?}");
    proptest!(cases_of(500), |(key in proptest::sample::select(keys), value in text())| {
        // Fine or not, it is an answer; a key that there is not is never fine.
        let _ = read(folder.path(), &[(&key, &value)]);
        let unknown = key + "X";
        prop_assert!(read(folder.path(), &[(&unknown, "1")]).is_err());
    });
}
