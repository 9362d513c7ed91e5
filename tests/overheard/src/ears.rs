//! The side of the test: hears what is said in its process.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use test_kit::LEAST;

use crate::place::Place;

/// What this process was told.
static SECRETS: OnceLock<Mutex<Secrets>> = OnceLock::new();

struct Secrets {
    known: HashSet<String>,
    file: File,
}

/// From now on, if it is wanted and this is a test; nothing otherwise.
pub(crate) extern "C" fn listen() {
    let (Some(folder), Some(binary), Some(test)) =
        (variable("TANDEM_OVERHEARD"), variable("NEXTEST_BINARY_ID"), variable("NEXTEST_TEST_NAME"))
    else {
        return;
    };
    let place = Place::of(Path::new(&folder), &binary, &test);
    let file = |path: &Path| OpenOptions::new().append(true).create(true).open(path).expect("a new file");
    let secrets = Secrets { known: HashSet::new(), file: file(&place.secrets) };
    SECRETS.get_or_init(|| Mutex::new(secrets));
    fail_point::confide_in(remember);
    telemetry::overhear(file(&place.heard), file(&place.unheard)).expect("the first log of a process");
}

#[expect(clippy::disallowed_methods, reason = "where tests are heard is no setting of the services")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn remember(what: &'static str, secret: &str) {
    let Some(secrets) = SECRETS.get() else { return };
    let mut secrets = secrets.lock().unwrap_or_else(PoisonError::into_inner);
    for part in parts(secret) {
        if secrets.known.insert(part.to_owned()) {
            let line = serde_json::json!([what, part]);
            writeln!(secrets.file, "{line}").expect("there is room");
        }
    }
}

/// What of it can be looked for: each line of a file but headings of PEM, of a URL its password.
fn parts(secret: &str) -> impl Iterator<Item = &str> {
    let parts = secret.lines().map(str::trim).filter(|line| !line.starts_with("-----")).map(|line| {
        let Some((_, after_scheme)) = line.split_once("://") else { return line };
        let user_and_password = after_scheme.rsplit_once('@').map_or("", |(before, _)| before);
        user_and_password.split_once(':').map_or("", |(_, password)| password)
    });
    parts.filter(|part| is_one(part))
}

/// Fewer different bytes are no secret, and are found anywhere: tests make passwords of one letter.
const LEAST_DIFFERENT: usize = 6;

/// Nor is an id, or most of one: whoever sends anything anywhere sends those of users as passwords.
fn is_one(part: &str) -> bool {
    let different: HashSet<u8> = part.bytes().collect();
    let is_an_id = part.contains('-') && part.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    part.len() >= LEAST && different.len() >= LEAST_DIFFERENT && !is_an_id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_looked_for_line_by_line_and_urls_by_their_password() {
        let found = |secret: &'static str| parts(secret).collect::<Vec<_>>();
        let key = "-----BEGIN PRIVATE KEY-----\nthe body of a key\n-----END PRIVATE KEY-----\n";
        assert_eq!(found(key), ["the body of a key"]);
        assert_eq!(found("the first token\n  the second token\r\n"), ["the first token", "the second token"]);
        assert_eq!(found("postgres://user:its own password@host/database"), ["its own password"]);
        assert!(found("http://auth-service.internal:50052").is_empty());
    }

    #[test]
    fn what_is_found_anywhere_is_no_secret() {
        let dull = "aaaaaaaaaaaaaaaaaaaaa";
        for none in ["", "hunter2", "elevenbytes", dull, "abababababab", "0198f0c2-7d1e-7cc3-98a4-0000"] {
            assert_eq!(parts(none).next(), None, "{none}");
        }
        assert_eq!(parts("twelve bytes").count(), 1);
        assert_eq!(parts("0123456789abcdef").count(), 1);
    }
}
