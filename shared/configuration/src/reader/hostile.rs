//! Settings that nobody should write: whatever they are, they are refused or are within their bounds, and no secret shows.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use test_kit::hostile::{cases, cases_of, damaged_text, text};

use crate::{Effective, Layers, Problems, Reader};

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_hours(1);

const FILE: &str = r#"
    [a]
    text = 12345
    flag = false
    number = 8
    ratio = 0.5
    time = "250ms"
    list = ["one, with a comma", "two", 3]
    choice = "one"
    address = "[::1]:50051"
    path = "/a"
    url = "sqlite:///data/x"
    token = "sG7uX2kq9vT4wZ1nB8yC3eR6fH0jL5mD"
"#;

/// Asks for every type, and says whether what comes is within its bounds.
fn is_within_bounds(settings: &mut Reader) -> bool {
    settings.text("a.text", "default");
    settings.boolean("a.flag", true);
    let number = settings.integer::<u32>("a.number", 7, 1..=9);
    let ratio = settings.ratio("a.ratio", 0.25);
    let time = settings.duration("a.time", "1s", SHORTEST..=LONGEST);
    settings.list("a.list");
    let choice = settings.one_of("a.choice", "two", &[("one", 1), ("two", 2)]);
    settings.address("a.address", "127.0.0.1:0");
    settings.path("a.path", "data");
    settings.url("a.url", Some("sqlite://x"));
    let token = settings.secret("a.token");
    (1..=9).contains(&number)
        && ratio > 0.0
        && ratio < 1.0
        && (SHORTEST..=LONGEST).contains(&time)
        && (1..=2).contains(&choice)
        && token.is_none_or(|token| !token.expose_secret().is_empty())
}

fn is_fine(read: Result<(bool, Effective), Problems>) -> bool {
    // What is refused is never used.
    read.map_or(true, |(is_within_bounds, _)| is_within_bounds)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn whatever_the_environment_says_is_refused_or_within_bounds(
        values in proptest::collection::vec(
            (
                select(vec![
                    "TEXT", "FLAG", "NUMBER", "RATIO", "TIME", "LIST", "CHOICE", "ADDRESS", "PATH", "URL", "TOKEN",
                ]),
                prop_oneof![
                    text(),
                    damaged_text("250ms"),
                    damaged_text("0.5"),
                    damaged_text("[::1]:50051"),
                    damaged_text("postgres://user:secret@host:5432/name?a=b"),
                ],
            ),
            1..5,
        )
    ) {
        let variables = values.into_iter().map(|(name, value)| (format!("AUTH__A__{name}"), value));
        prop_assert!(is_fine(Layers::new("AUTH").variables(variables).read(is_within_bounds)));
    }

    #[test]
    fn a_key_that_there_is_not_is_refused_whatever_it_is_called(
        name in "[A-Z0-9_]{1,12}", value in text()
    ) {
        let variables = [(format!("AUTH__OTHER__{name}"), value)];
        prop_assert!(Layers::new("AUTH").variables(variables).read(is_within_bounds).is_err());
    }

    #[test]
    fn a_secret_shows_in_no_report(secret in "[a-zA-Z0-9]{24,40}", others in text()) {
        let variables = [
            ("AUTH__A__TOKEN".to_owned(), secret.clone()),
            ("AUTH__A__NUMBER".to_owned(), others.clone()),
            ("AUTH__A__URL".to_owned(), format!("postgres://user:{secret}@host/name")),
        ];
        let shown = match Layers::new("AUTH").variables(variables).read(is_within_bounds) {
            Ok((_, effective)) => format!("{effective} {effective:?}"),
            Err(problems) => format!("{problems} {problems:?}"),
        };
        prop_assert!(!shown.contains(&secret) || others.contains(&secret), "{}", shown);
    }
}

proptest! {
    #![proptest_config(cases_of(500))]

    #[test]
    fn whatever_is_in_a_file_is_refused_or_within_bounds(content in prop_oneof![4 => damaged_text(FILE), 1 => text()]) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("auth.toml");
        fs::write(&path, content).expect("write");
        prop_assert!(is_fine(Layers::new("AUTH").file(&path).read(is_within_bounds)));
    }
}
