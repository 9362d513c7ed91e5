use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use configuration::testing::{Example, assert_table_complete};
use database::Engine;

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn read(extra: &[(&str, &str)]) -> Result<Config, String> {
    let given =
        [("USERS__DATABASE__URL", "sqlite:///data/users"), ("USERS__IDENTITY_PROVIDER__TOKEN", TOKEN)];
    let overridden = |key: &str| extra.iter().any(|(other, _)| *other == key);
    let base = given.iter().filter(|(key, _)| !overridden(key));
    let variables = base.chain(extra).filter(|(_, value)| !value.is_empty());
    let variables: Vec<_> = variables.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let read = Config::read(Layers::new("USERS").variables(variables));
    read.map(|(config, _)| config).map_err(|problems| problems.to_string())
}

#[test]
fn no_two_listeners_have_one_address() {
    let problems = read(&[("USERS__SERVER__OPS_LISTEN", "127.0.0.1:50053")]).unwrap_err();
    assert!(problems.contains("server.ops_listen") && problems.contains("another listener"), "{problems}");
}

#[test]
fn a_url_and_a_token_are_all_that_must_be_given() {
    let config = read(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:50053");
    assert_eq!(config.server.ops_listen.to_string(), "127.0.0.1:9053");
    assert_eq!(config.identity_provider.url, "http://127.0.0.1:50052");
    assert_eq!(config.identity_provider.timeout, Duration::from_secs(2));
    assert_eq!(config.database.engine.place(), "/data/users");
}

#[test]
fn what_is_missing_is_said_at_once() {
    let problems =
        read(&[("USERS__DATABASE__URL", ""), ("USERS__IDENTITY_PROVIDER__TOKEN", "")]).unwrap_err();
    assert!(problems.contains("database.url") && problems.contains("identity_provider.token"), "{problems}");
}

#[test]
fn the_provider_is_an_url_or_a_name_with_a_port() {
    const URL: &str = "USERS__IDENTITY_PROVIDER__URL";
    for fit in
        ["http://127.0.0.1:1", "https://auth:1", "dns:///localhost:1", "dns:///127.0.0.1:1", "dns:///[::1]:1"]
    {
        assert!(read(&[(URL, fit)]).is_ok(), "{fit}: {:?}", read(&[(URL, fit)]).err());
    }
    for unfit in [
        "dns:///auth",
        "dns:///auth:0x",
        "dns:///:1",
        "dns:///",
        "dns:///auth:1/path",
        "dns:///me@auth:1",
        "dns://1.1.1.1/auth:1",
        "unix:///run/auth",
        "ftp://auth:1",
    ] {
        let refused = read(&[(URL, unfit)]).unwrap_err();
        assert!(refused.contains("must be http") && refused.contains(URL), "{unfit}: {refused}");
    }
}

#[test]
fn certificates_are_tried_and_what_is_missing_is_named() {
    for (key, value, why) in [
        ("USERS__SERVER__TLS_CERT_FILE", "/nowhere/cert", "needs server.tls_key_file as well"),
        ("USERS__SERVER__TLS_KEY_FILE", "/nowhere/key", "needs server.tls_cert_file as well"),
        ("USERS__SERVER__TLS_KEY_FILE", "/nowhere/key", "the file /nowhere/key cannot be read"),
        ("USERS__IDENTITY_PROVIDER__CA_FILE", "/nowhere/ca", "the file /nowhere/ca cannot be read"),
        (
            "USERS__IDENTITY_PROVIDER__CA_FILE",
            "/nowhere/ca",
            "must be https://HOST:PORT or dns:///NAME:PORT, because a certificate is given",
        ),
        (
            "USERS__IDENTITY_PROVIDER__CLIENT_CERT_FILE",
            "/nowhere/cert",
            "needs identity_provider.client_key_file as well",
        ),
        (
            "USERS__IDENTITY_PROVIDER__CLIENT_KEY_FILE",
            "/nowhere/key",
            "needs identity_provider.client_cert_file as well",
        ),
    ] {
        let refused = read(&[(key, value)]).unwrap_err();
        assert!(refused.contains(why), "{key}: {refused}");
    }
}

#[test]
fn a_token_is_shown_to_nobody_on_the_way_unless_that_is_asked_for() {
    const URL: &str = "USERS__IDENTITY_PROVIDER__URL";
    for here in ["http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1"] {
        assert!(read(&[(URL, here)]).is_ok(), "{here}");
    }
    for elsewhere in [
        "http://auth:50052",
        "http://10.0.0.1:50052",
        "http://localhost.test:1",
        "dns:///auth:50052",
        "dns:///10.0.0.1:1",
    ] {
        let refused = read(&[(URL, elsewhere)]).unwrap_err();
        assert!(refused.contains("would send the token in plaintext"), "{elsewhere}: {refused}");
        assert!(read(&[(URL, elsewhere), ("USERS__SERVER__ALLOW_PLAINTEXT", "true")]).is_ok(), "{elsewhere}");
    }
}

#[test]
fn what_is_unsafe_or_unknown_is_refused_for_its_own_reason() {
    for (key, value, why) in [
        ("USERS__SERVER__LISTEN", "0.0.0.0:50053", "allow_plaintext"),
        ("USERS__IDENTITY_PROVIDER__TOKEN", "too-short", "shorter than 32 bytes"),
        ("USERS__IDENTITY_PROVIDER__TOKEN", "changeme", "placeholder"),
        ("USERS__SERVER__LISTENS", "127.0.0.1:1", "unknown key"),
    ] {
        let refused = read(&[(key, value)]).unwrap_err();
        assert!(refused.contains(why), "{key}: {refused}");
    }
}

const PASSWORD: &str = "hunter2hunter2";

#[test]
fn a_server_may_have_a_pooler_in_front_and_a_replica_beside_it() {
    let config = read(&[
        ("USERS__DATABASE__URL", "postgres://users:hunter2hunter2@pooler:6432/tandem"),
        ("USERS__DATABASE__DIRECT_URL", "postgres://users:hunter2hunter2@primary/tandem"),
        ("USERS__DATABASE__REPLICA_URL", "postgres://users:hunter2hunter2@replica/tandem"),
        ("USERS__DATABASE__PREPARED_STATEMENTS", "false"),
    ])
    .unwrap();
    assert_eq!(config.database.engine.place(), "PostgreSQL at pooler:6432, database tandem");
    let Engine::Postgres { primary, replica } = config.database.engine else { panic!("a server") };
    assert_eq!(primary.direct.expect("a server").get_host(), "primary");
    assert!(!primary.prepared_statements);
    assert_eq!(replica.unwrap().connect.get_host(), "replica");
}

#[test]
fn a_file_has_neither_and_no_message_has_a_password() {
    for (key, value) in [
        ("USERS__DATABASE__REPLICA_URL", "postgres://users:hunter2hunter2@replica/tandem"),
        ("USERS__DATABASE__DIRECT_URL", "postgres://users:hunter2hunter2@primary/tandem"),
        ("USERS__DATABASE__PREPARED_STATEMENTS", "false"),
        ("USERS__DATABASE__URL", "mysql://users:hunter2hunter2@primary/tandem"),
        ("USERS__DATABASE__URL", "postgres://users:hunter2hunter2@primary:port/tandem"),
    ] {
        let refused = read(&[(key, value)]).unwrap_err();
        assert!(refused.contains(key), "the source is named: {refused}");
        assert!(!refused.contains(PASSWORD), "{refused}");
    }
}

#[test]
fn the_effective_settings_show_no_password() {
    let url = ("USERS__DATABASE__URL".to_owned(), format!("postgres://users:{PASSWORD}@primary/tandem"));
    let token = ("USERS__IDENTITY_PROVIDER__TOKEN".to_owned(), TOKEN.to_owned());
    let (_, effective) = Config::read(Layers::new("USERS").variables([url, token])).unwrap();
    let shown = effective.to_string();
    assert!(shown.contains("primary/tandem") && !shown.contains(PASSWORD), "{shown}");
}

#[test]
fn plaintext_beyond_loopback_can_be_allowed() {
    let allowed = [("USERS__SERVER__LISTEN", "0.0.0.0:50053"), ("USERS__SERVER__ALLOW_PLAINTEXT", "true")];
    assert!(read(&allowed).is_ok());
}

#[test]
fn the_token_is_shown_nowhere() {
    let shown = format!("{:?}", read(&[]).unwrap());
    assert!(!shown.contains(TOKEN), "{shown}");
}

fn example_file() -> PathBuf {
    Path::new(env!("TANDEM_WORKSPACE")).join("deploy/users-service.toml")
}

/// Reads a file of settings as it stands, but for the place of the token that it names.
fn read_file(file: &Path) -> Result<(Config, Effective), Problems> {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let variable = ("USERS__IDENTITY_PROVIDER__TOKEN_FILE".to_owned(), token.display().to_string());
    Config::read(Layers::new("USERS").file(file).variables([variable]))
}

#[test]
fn the_example_file_is_valid() {
    read_file(&example_file()).unwrap();
}

#[test]
fn the_example_file_shows_every_key_and_its_default() {
    let (_, effective) = read_file(&example_file()).unwrap();
    Example::read(&example_file()).assert_complete(&effective, &[]);
}

#[test]
fn the_table_of_the_readme_has_every_key_and_its_default() {
    let (_, effective) = read_file(&example_file()).unwrap();
    let readme = Path::new(env!("TANDEM_WORKSPACE")).join("README.md");
    assert_table_complete(&fs::read_to_string(readme).unwrap(), "users", &effective);
}

#[test]
fn what_stands_behind_comments_in_the_example_file_can_be_set() {
    let folder = tempfile::tempdir().unwrap();
    let everything = folder.path().join("everything.toml");
    fs::write(&everything, Example::read(&example_file()).with_everything_set()).unwrap();
    let problems = read_file(&everything).unwrap_err();
    // Nothing is wrong with any of it but that files are missing, and that some of it goes only one at a time.
    for problem in problems.iter() {
        let problem = problem.to_string();
        let expected = [
            "No such file",
            "also given as",
            "is given together with",
            "is for PostgreSQL only",
            "placeholder",
            "because a certificate is given",
        ];
        assert!(expected.iter().any(|why| problem.contains(why)), "{problem}");
    }
}

#[test]
fn no_value_of_any_key_makes_it_panic() {
    use proptest::prelude::*;
    use test_kit::hostile::{cases_of, text};

    let keys: Vec<String> = {
        let variables = [
            ("USERS__DATABASE__URL".to_owned(), "sqlite:///data/users".to_owned()),
            ("USERS__IDENTITY_PROVIDER__TOKEN".to_owned(), TOKEN.to_owned()),
        ];
        let (_, effective) = Config::read(Layers::new("USERS").variables(variables)).unwrap();
        let variable = |key: &str| format!("USERS__{}", key.replace('.', "__").to_uppercase());
        effective.known().iter().map(|known| variable(&known.key)).collect()
    };
    assert!(keys.len() > 20, "{keys:?}");
    proptest!(cases_of(500), |(key in proptest::sample::select(keys), value in text())| {
        // Fine or not, it is an answer; a key that there is not is never fine.
        let _ = read(&[(&key, &value)]);
        let unknown = key + "X";
        prop_assert!(read(&[(&unknown, "1")]).is_err());
    });
}
