//! Secrets: given directly or in a file of their own, and never shown.

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::{file, from_environment, problem, value};
use crate::{Layers, Reader};

#[test]
fn a_secret_is_returned_and_never_shown() {
    let (secret, effective) =
        from_environment(&[("A__KEY", "hunter2")], |settings| settings.secret("a.key")).expect("no problems");
    assert_eq!(secret.expect("set").expose_secret(), "hunter2");
    assert_eq!(effective.to_string(), "[a]\nkey = \"********\" # environment variable AUTH__A__KEY\n");

    let refused = from_environment(&[("A__KEY", "hunter2")], |settings| {
        settings.secret("a.key");
        settings.refuse("a.key", "shorter than 32 bytes");
    });
    assert_eq!(
        problem(refused),
        "a.key = \"********\": shorter than 32 bytes (environment variable AUTH__A__KEY)"
    );
}

#[test]
fn a_placeholder_is_no_secret() {
    let placeholder = from_environment(&[("A", "ChangeMe")], |settings| settings.secret("a"));
    assert!(problem(placeholder).contains("a placeholder, not a secret"));
    let empty = from_environment(&[("A", "")], |settings| settings.secret("a"));
    assert!(problem(empty).starts_with("a: empty"));
    let in_url =
        from_environment(&[("A", "postgres://auth:changeme@db")], |settings| settings.url("a", None));
    assert_eq!(
        problem(in_url),
        "a = \"postgres://********@db\": a URL with a placeholder for a password (environment variable AUTH__A)",
    );
}

#[test]
fn secrets_and_urls_may_be_in_files() {
    let folder = TempDir::new().expect("a folder");
    let token = file(&folder, "token", "hunter2\n", 0o600).display().to_string();
    let url = file(&folder, "url", "postgres://auth:hunter2@db/auth\n", 0o600).display().to_string();

    let ((secret, url_read), effective) =
        from_environment(&[("A__TOKEN_FILE", &token), ("A__URL_FILE", &url)], |settings| {
            assert!(settings.is_set("a.missing") == settings.is_set("a.token"), "no file stands in yet");
            let values = (settings.secret("a.token"), settings.url("a.url", Some("sqlite://x")));
            assert!(settings.is_set("a.token"));
            values
        })
        .expect("no problems");

    assert_eq!(secret.expect("set").expose_secret(), "hunter2");
    assert_eq!(url_read.as_deref(), Some("postgres://auth:hunter2@db/auth"));
    assert_eq!(
        effective.to_string(),
        format!(
            "[a]\ntoken = \"********\" # file {token}, named by environment variable AUTH__A__TOKEN_FILE\n\
             url = \"postgres://********@db/auth\" # file {url}, named by environment variable AUTH__A__URL_FILE\n",
        ),
    );
}

#[test]
fn a_secret_given_twice_in_one_layer_is_a_contradiction() {
    let read = from_environment(&[("A", "one"), ("A_FILE", "/two")], |settings| settings.secret("a"));
    assert_eq!(
        problem(read),
        "a: also given as environment variable AUTH__A_FILE (environment variable AUTH__A)"
    );
}

#[test]
fn a_secret_of_the_environment_wins_over_a_file_named_below() {
    let below = [("a_file".to_owned(), "/nowhere".to_owned())];
    let read = Layers::new("AUTH")
        .defaults("the all-in-one", below)
        .variables([("AUTH__A".to_owned(), "hunter2".to_owned())])
        .read(|settings| settings.secret("a"));
    assert_eq!(value(read).expect("set").expose_secret(), "hunter2");
}

#[test]
fn a_file_key_that_is_read_first_is_a_key_of_its_own() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, "token", "first\nsecond\n", 0o600);
    let read = from_environment(&[("TOKEN_FILE", &path.display().to_string())], |settings| {
        (settings.secret_file("token_file"), settings.secret("token"))
    });
    let (secret_file, secret) = value(read);
    let secret_file = secret_file.expect("set");
    assert_eq!(secret_file.path, path);
    assert_eq!(secret_file.lines().collect::<Vec<_>>(), ["first", "second"]);
    assert!(secret.is_none());
}

#[test]
#[should_panic(expected = "token_file stands in for a secret already: ask for it first")]
fn a_file_key_that_is_read_too_late_is_an_error_of_the_program() {
    drop(from_environment(&[], |settings| (settings.secret("token"), settings.secret_file("token_file"))));
}

#[test]
fn a_secret_file_that_everyone_can_read_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let open = file(&folder, "open", "hunter2", 0o644).display().to_string();
    let expected = format!("the file {open} holds a secret and can be read by everyone");
    for getter in [
        |settings: &mut Reader| {
            settings.secret_file("a.key_file");
        },
        |settings: &mut Reader| {
            settings.secret_files("a.key_file");
        },
        |settings: &mut Reader| {
            settings.secret("a.key");
        },
        |settings: &mut Reader| {
            settings.url("a.key", None);
        },
    ] {
        let problem = problem(from_environment(&[("A__KEY_FILE", &open)], getter));
        assert!(problem.starts_with("a.key_file") && problem.contains(&expected), "{problem}");
        assert!(!problem.contains("hunter2"));
    }
}
