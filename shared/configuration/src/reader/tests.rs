//! Every rule of the getters, as seen through [`Layers::read`].

mod secrets;

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Effective, Layers, Problems, Reader};

/// Reads with the given environment variables (`AUTH__` is put in front).
fn from_environment<T>(
    variables: &[(&str, &str)],
    settings: impl FnOnce(&mut Reader) -> T,
) -> Result<(T, Effective), Problems> {
    let variables = variables.iter().map(|(name, value)| (format!("AUTH__{name}"), (*value).to_owned()));
    Layers::new("AUTH").variables(variables).read(settings)
}

/// Reads with the given file.
fn from_file<T>(toml: &str, settings: impl FnOnce(&mut Reader) -> T) -> Result<(T, Effective), Problems> {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "auth.toml", toml, 0o644);
    Layers::new("AUTH").file(&path).read(settings)
}

fn file(folder: &TempDir, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("write");
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
    path
}

fn value<T>(read: Result<(T, Effective), Problems>) -> T {
    read.unwrap_or_else(|problems| panic!("no problems expected:\n{problems}")).0
}

/// The report, which must be about one problem.
fn problem<T>(read: Result<(T, Effective), Problems>) -> String {
    let problems = read.err().expect("a problem");
    assert_eq!(problems.iter().count(), 1, "{problems}");
    problems.to_string().trim().to_owned()
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_key_that_nobody_sets_has_its_default() {
    let read = from_environment(&[], |settings| {
        assert_eq!(settings.text("a.text", "default"), "default");
        assert_eq!(settings.optional_text("a.optional"), None);
        assert!(settings.boolean("a.flag", true));
        assert_eq!(settings.integer::<u32>("a.number", 7, 1..=9), 7);
        assert_eq!(settings.ratio("a.ratio", 0.25).to_string(), "0.25");
        assert_eq!(settings.duration("a.time", "1m", SECOND..=DAY), SECOND * 60);
        assert!(settings.list("a.list").is_empty());
        assert_eq!(settings.one_of("a.choice", "two", &[("one", 1), ("two", 2)]), 2);
        assert_eq!(settings.address("a.address", "127.0.0.1:0"), SocketAddr::from(([127, 0, 0, 1], 0)));
        assert_eq!(settings.path("a.path", "data"), PathBuf::from("data"));
        assert_eq!(settings.optional_path("a.optional_path"), None);
        assert!(settings.paths("a.paths").is_empty());
        assert!(settings.secret("a.token").is_none());
        assert_eq!(settings.url("a.url", Some("sqlite://x")).as_deref(), Some("sqlite://x"));
        assert_eq!(settings.url("a.optional_url", None), None);
        assert!(settings.secret_file("a.secret_file").is_none());
        assert!(settings.secret_files("a.secret_files").is_empty());
        assert!(settings.tables("a.tables", |_| ()).is_empty());
    });
    value(read);
}

#[test]
fn the_environment_gives_every_type_as_text() {
    let read = from_environment(
        &[
            ("A__TEXT", "12345"),
            ("A__FLAG", "True"),
            ("A__NUMBER", "8"),
            ("A__RATIO", "0.5"),
            ("A__TIME", "1h 30m"),
            ("A__LIST", "one, two,three"),
            ("A__CHOICE", "one"),
            ("A__ADDRESS", "[::1]:50051"),
            ("A__PATHS", "/a,/b"),
        ],
        |settings| {
            assert_eq!(settings.text("a.text", "default"), "12345");
            assert!(settings.boolean("a.flag", false));
            assert_eq!(settings.integer::<u16>("a.number", 1, 1..=9), 8);
            assert_eq!(settings.ratio("a.ratio", 0.9).to_string(), "0.5");
            assert_eq!(settings.duration("a.time", "1s", SECOND..=DAY), SECOND * 5400);
            assert_eq!(settings.list("a.list"), ["one", "two", "three"]);
            assert_eq!(settings.one_of("a.choice", "two", &[("one", 1), ("two", 2)]), 1);
            assert_eq!(settings.address("a.address", "127.0.0.1:0").port(), 50051);
            assert_eq!(settings.paths("a.paths"), [PathBuf::from("/a"), PathBuf::from("/b")]);
        },
    );
    value(read);
}

#[test]
fn a_file_gives_typed_values_and_texts_that_parse() {
    let toml = r#"
        [a]
        text = 12345
        flag = false
        written_flag = "false"
        number = 8
        written_number = "9"
        ratio = 0.5
        time = "250ms"
        list = ["one, with a comma", "two", 3]
        written_list = "one,two"
    "#;
    let read = from_file(toml, |settings| {
        assert_eq!(settings.text("a.text", "default"), "12345");
        assert!(!settings.boolean("a.flag", true));
        assert!(!settings.boolean("a.written_flag", true));
        assert_eq!(settings.integer::<u8>("a.number", 1, 1..=9), 8);
        assert_eq!(settings.integer::<i64>("a.written_number", 1, 1..=9), 9);
        assert_eq!(settings.ratio("a.ratio", 0.9).to_string(), "0.5");
        assert_eq!(settings.duration("a.time", "1s", Duration::ZERO..=DAY), Duration::from_millis(250));
        assert_eq!(settings.list("a.list"), ["one, with a comma", "two", "3"]);
        assert_eq!(settings.list("a.written_list"), ["one", "two"]);
    });
    value(read);
}

#[test]
fn every_problem_is_reported_at_once_with_key_value_and_source() {
    let variables = [
        ("SESSION__IDLE_TIMEOUT", "abc"),
        ("PASSWORD__MIN_LENGTH", "3"),
        ("LOG__FORMAT", "xml"),
        ("LOG__COLOUR", "red"),
    ];
    let problems = from_environment(&variables, |settings| {
        assert_eq!(settings.duration("session.idle_timeout", "30m", SECOND..=DAY), SECOND * 1800);
        assert_eq!(settings.integer::<usize>("password.min_length", 15, 8..=256), 15);
        settings.one_of("log.format", "auto", &[("auto", ()), ("json", ()), ("text", ())]);
    })
    .expect_err("problems");
    assert_eq!(
        problems.to_string(),
        "  session.idle_timeout = \"abc\": not a duration such as 30m \
           (environment variable AUTH__SESSION__IDLE_TIMEOUT)\n  \
           password.min_length = \"3\": out of range 8..=256 (environment variable AUTH__PASSWORD__MIN_LENGTH)\n  \
           log.format = \"xml\": not one of auto, json, text (environment variable AUTH__LOG__FORMAT)\n  \
           log.colour: unknown key (environment variable AUTH__LOG__COLOUR)\n",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_a_problem() {
    let check = |toml: &str, getter: fn(&mut Reader), expected: &str| {
        let problem = problem(from_file(&format!("[a]\nkey = {toml}"), getter));
        assert!(problem.starts_with(expected), "{problem}");
    };
    check(
        "[1]",
        |r| {
            r.text("a.key", "default");
        },
        "a.key = [\"1\"]: not a text",
    );
    check(
        "2026-01-01",
        |r| {
            r.text("a.key", "default");
        },
        "a.key = a date: not a text",
    );
    check("''", |r| drop(r.text("a.key", "default")), "a.key = \"\": empty");
    check("' '", |r| drop(r.optional_text("a.key")), "a.key = \" \": empty");
    check(
        "1",
        |r| {
            r.boolean("a.key", true);
        },
        "a.key = 1: neither true nor false",
    );
    check(
        "1.0",
        |r| {
            r.integer::<i64>("a.key", 1, 0..=9);
        },
        "a.key = 1.0: not a whole number",
    );
    check(
        "300",
        |r| {
            r.integer::<u8>("a.key", 1, 0..=999);
        },
        "a.key = 300: out of range 0..=999",
    );
    check(
        "30",
        |r| {
            r.duration("a.key", "1s", SECOND..=DAY);
        },
        "a.key = 30: not a duration such as 30m",
    );
    check(
        "'2days'",
        |r| {
            r.duration("a.key", "1s", SECOND..=DAY);
        },
        "a.key = \"2days\": out of range 1s..=1day",
    );
    check(
        "[true]",
        |r| {
            r.list("a.key");
        },
        "a.key = a list of something other than texts: not a list of texts",
    );
    check(
        "'a,,b'",
        |r| {
            r.list("a.key");
        },
        "a.key = \"a,,b\": an item of the list is empty",
    );
    check(
        "'localhost:1'",
        |r| {
            r.address("a.key", "[::]:0");
        },
        "a.key = \"localhost:1\": not an address",
    );
    check("''", |r| drop(r.path("a.key", "data")), "a.key = \"\": empty");
    check(
        "'nowhere'",
        |r| {
            r.url("a.key", None);
        },
        "a.key = \"nowhere\": not a URL",
    );
    check(
        "'two://a b'",
        |r| {
            r.url("a.key", None);
        },
        "a.key = \"two://a b\": not a URL",
    );
}

#[test]
fn a_ratio_is_neither_nothing_nor_all() {
    for ratio in ["0", "1", "0.0", "1.0", "-0.5", "nan", "inf", "half"] {
        let problem = problem(from_environment(&[("A", ratio)], |settings| settings.ratio("a", 0.5)));
        assert!(problem.contains("not a number between 0 and 1"), "{problem}");
    }
}

#[test]
fn an_empty_variable_is_an_empty_list() {
    assert!(value(from_environment(&[("A", "")], |settings| settings.list("a"))).is_empty());
}

#[test]
#[should_panic(expected = "the built-in default 300 of a is out of range 1..=9")]
fn a_default_that_breaks_its_own_rule_is_an_error_of_the_program() {
    drop(from_environment(&[("A", "5")], |settings| settings.integer::<u8>("a", 300, 1..=9)));
}

#[test]
fn a_misspelled_key_is_refused_with_the_one_that_was_meant_and_without_its_value() {
    let read =
        from_environment(&[("WORKLOAD__TOKN", "hunter2")], |settings| settings.secret("workload.token"));
    assert_eq!(
        problem(read),
        "workload.tokn: unknown key, did you mean workload.token? (environment variable AUTH__WORKLOAD__TOKN)",
    );
}

#[test]
fn an_empty_section_is_fine_if_it_exists() {
    let settings = |settings: &mut Reader| settings.text("session.name", "default");
    value(from_file("[session]", settings));
    assert!(problem(from_file("[sesion]", settings)).starts_with("sesion: unknown key"));
}

#[test]
fn a_value_where_a_section_should_be_is_refused() {
    let read = from_file("session = 1", |settings| settings.text("session.name", "default"));
    assert!(problem(read).starts_with("session: unknown key"));
}

#[test]
fn tables_of_file_and_environment_are_read_by_number() {
    let folder = TempDir::new().expect("a folder");
    let path = file(
        &folder,
        "auth.toml",
        "[[workload.clients]]\nname = 'users'\n[[workload.clients]]\nname = 'billing'\nallow = 'verify'\n",
        0o644,
    );
    let (clients, effective) = Layers::new("AUTH")
        .file(&path)
        .variables([
            ("AUTH__WORKLOAD__CLIENTS__0__ALLOW".to_owned(), "verify".to_owned()),
            ("AUTH__WORKLOAD__CLIENTS__10__NAME".to_owned(), "mail".to_owned()),
        ])
        .read(|settings| {
            assert!(settings.is_set("workload.clients"));
            settings.tables("workload.clients", |client| {
                let allow = client.one_of("allow", "full", &[("full", 'f'), ("verify", 'v')]);
                (client.text("name", "default"), allow)
            })
        })
        .expect("no problems");

    let expected =
        [("users", 'v'), ("billing", 'v'), ("mail", 'f')].map(|(name, allow)| (name.to_owned(), allow));
    assert_eq!(clients, expected);

    let printed: toml::Table = effective.to_string().parse().expect("TOML");
    let names: Vec<_> = printed["workload"]["clients"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|client| client["name"].as_str())
        .collect();
    assert_eq!(names, [Some("users"), Some("billing"), Some("mail")]);
}

#[test]
fn a_problem_in_a_table_names_the_table() {
    let toml = "[[clients]]\nname = 'a'\n[[clients]]\nnam = 'b'\n";
    let problems = from_file(toml, |settings| {
        settings.tables("clients", |client| {
            let name = client.optional_text("name");
            if name.is_none() {
                client.refuse("name", "must be set");
            }
        });
    })
    .expect_err("problems")
    .to_string();
    assert!(problems.contains("  clients.1.name: must be set (not set)\n"), "{problems}");
    assert!(problems.contains("  clients.1.nam: unknown key, did you mean clients.1.name?"), "{problems}");
}

#[test]
fn an_empty_list_is_a_list_of_no_tables_and_a_text_is_none() {
    let tables = |settings: &mut Reader| settings.tables("clients", |client| client.text("name", "default"));
    assert!(value(from_file("clients = []", tables)).is_empty());
    assert_eq!(value(from_file("[[clients]]", tables)), ["default"]);
    let problem = problem(from_file("clients = 'users'", tables));
    assert!(problem.starts_with("clients: not a list of tables: write [[clients]]"), "{problem}");
}

#[test]
fn the_effective_configuration_is_toml_that_reads_back() {
    let settings = |settings: &mut Reader| {
        settings.text("log.level", "in\"fo\n");
        settings.boolean("server.reflection", true);
        settings.ratio("session.ratio", 0.5);
        settings.integer::<u32>("server.limit", 5, 1..=9);
        settings.optional_path("server.ca_file");
        settings.list("server.proxies");
        settings.text("top", "level");
        settings.text("top", "level");
    };
    let ((), effective) =
        from_environment(&[("SERVER__PROXIES", "10.0.0.0/8,::1")], settings).expect("no problems");
    assert_eq!(
        effective.to_string(),
        "top = \"level\" # built-in default\n\
         \n[log]\nlevel = \"in\\\"fo\\n\" # built-in default\n\
         \n[server]\nreflection = true # built-in default\nlimit = 5 # built-in default\n\
         # ca_file is not set\nproxies = \"10.0.0.0/8,::1\" # environment variable AUTH__SERVER__PROXIES\n\
         \n[session]\nratio = 0.5 # built-in default\n",
    );
    value(from_file(&effective.to_string(), settings));
}
