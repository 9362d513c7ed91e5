//! What no process may say, whatever the test is about: the secrets that go through it. The test remembers every password that
//! its calls send and every token that they bring (fields marked `debug_redact` in the protobuf), and the secrets that the
//! services are started with. At its end it looks for them in what the services logged, in the most talkative way there is, and in everything else that was heard
//! of them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Value};
use serde_json::Value as Json;
use telemetry::{Log, LogFormat, LogSettings};
use test_kit::{Canaries, LEAST};
use tonic::Status;
use tonic::metadata::MetadataMap;

/// There is one test in a process, so this is its. Nothing of a run that looks by itself.
static IS_WATCHING: AtomicBool = AtomicBool::new(false);
static SECRETS: Mutex<Canaries> = Mutex::new(Canaries::NONE);
/// Where it was said, and what.
static HEARD: Mutex<Vec<(String, Vec<u8>)>> = Mutex::new(Vec::new());

static MESSAGES: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    for package in [api::descriptors::AUTH, api::descriptors::IDENTITY, api::descriptors::USERS] {
        pool.decode_file_descriptor_set(package).expect("what reflection shows");
    }
    pool
});

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers from now on.
pub(crate) fn watch() {
    IS_WATCHING.store(true, Ordering::Relaxed);
    locked(&SECRETS).add_hashes();
}

/// Remembers a secret, unless it is so short that it could be found anywhere.
pub(crate) fn remember(what: &str, secret: &str) {
    if secret.len() >= LEAST && IS_WATCHING.load(Ordering::Relaxed) {
        locked(&SECRETS).add(what, secret);
    }
}

/// Remembers a token, of which the last part alone is what nobody else can make.
fn remember_token(token: &str) {
    remember("a token", token);
    remember("the signature of a token", token.rsplit('.').next().unwrap_or_default());
}

/// Remembers the secrets in a file of the kinds that services read: private keys, peppers, tokens, passwords. Certificates,
/// settings and addresses are none.
pub(crate) fn remember_those_of_a_file(name: &str, content: &str) {
    let is_pem = content.contains("-----BEGIN ");
    let are_settings = Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if are_settings || is_pem && !content.contains("PRIVATE KEY") || content.contains("://") {
        return;
    }
    for part in content.split(['\n', ',']).filter(|part| !part.starts_with("-----")) {
        // Of a pepper, the part after its name.
        remember(name, part.rsplit(':').next().unwrap_or(part).trim());
    }
}

/// Remembers the secrets that are in an answer.
pub(crate) fn remember_those_of<M: prost::Message>(name: &str, answer: &M) {
    remember_those_in(name, answer, is_secret);
}

/// Remembers the passwords that are in a request. A token there is known if it is any good, and tests make up thousands that are
/// not.
pub(crate) fn remember_passwords_of<M: prost::Message>(name: &str, request: &M) {
    remember_those_in(name, request, |field| is_secret(field) && field.name() != "access_token");
}

fn remember_those_in<M: prost::Message>(name: &str, message: &M, which: fn(&FieldDescriptor) -> bool) {
    if IS_WATCHING.load(Ordering::Relaxed) {
        let kind = MESSAGES.get_message_by_name(name).unwrap_or_else(|| panic!("there is no {name}"));
        let bytes = message.encode_to_vec();
        let message = DynamicMessage::decode(kind, bytes.as_slice()).expect("what was just encoded");
        remember_fields(&message, which);
    }
}

fn remember_fields(message: &DynamicMessage, which: fn(&FieldDescriptor) -> bool) {
    for (field, value) in message.fields() {
        match value {
            Value::String(token) if field.name() == "access_token" && which(&field) => remember_token(token),
            Value::String(secret) if which(&field) => remember(field.full_name(), secret),
            Value::Message(inner) => remember_fields(inner, which),
            Value::List(inner) => {
                inner.iter().filter_map(Value::as_message).for_each(|inner| remember_fields(inner, which));
            }
            _ => {}
        }
    }
}

fn is_secret(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|set| *set == Value::Bool(true))
}

/// Remembers the token that renews another, if there is one.
pub(crate) fn remember_renewed(metadata: &MetadataMap) {
    let renewed = metadata.get("x-session-token").and_then(|token| token.to_str().ok());
    remember_token(renewed.unwrap_or_default());
}

/// Notes what was said to somebody.
pub(crate) fn hear(place: &str, said: impl Into<Vec<u8>>) {
    if IS_WATCHING.load(Ordering::Relaxed) {
        locked(&HEARD).push((place.to_owned(), said.into()));
    }
}

/// Notes what an error says, and remembers what comes with it.
pub(crate) fn hear_error(error: &Status) {
    remember_renewed(error.metadata());
    hear("an error", [error.message().as_bytes(), error.details()].concat());
}

/// Notes a log, and fails if there is a line in it that is no JSON. Of a test that has failed already it shows the end
/// instead: why may stand there.
pub(crate) fn hear_log(place: &str, log: Vec<u8>) {
    if thread::panicking() {
        let from = log.len().saturating_sub(4000);
        return eprintln!("{place} ends with:\n{}", String::from_utf8_lossy(&log[from..]));
    }
    assert!(!String::from_utf8_lossy(&log).contains("lines of the log were lost"), "{place} is not whole");
    // Who is killed may not have come to the end of the last line.
    let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for line in log[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let is_object = serde_json::from_slice::<Json>(line).is_ok_and(|line| line.is_object());
        assert!(is_object, "{place} has a line that is no JSON: {}", String::from_utf8_lossy(line));
    }
    hear(place, log);
}

/// Fails if a secret is in anything that was heard.
pub(crate) fn look_into_what_was_heard() {
    if !thread::panicking() {
        let heard = std::mem::take(&mut *locked(&HEARD));
        locked(&SECRETS).look_into(heard.iter().map(|(place, said)| (place.as_str(), said.as_slice())));
    }
}

/// What the services say that run in the process of the test.
static SAID_HERE: OnceLock<(File, Log)> = OnceLock::new();

/// Lets the services that run in this process log, in the most talkative way there is.
pub(crate) fn log_here() {
    SAID_HERE.get_or_init(|| {
        let file = tempfile::tempfile().expect("a file");
        let settings = LogSettings { level: "trace".to_owned(), format: LogFormat::Json };
        let into = file.try_clone().expect("the same file");
        (file, telemetry::init_log_into(into, &settings, grpc_kit::call::fields).expect("the first log"))
    });
}

/// As [`hear_log`], of the services that run in this process.
pub(crate) fn hear_log_here() {
    let Some((file, log)) = SAID_HERE.get() else { return };
    log.flush();
    let length = file.metadata().expect("a file").len();
    let mut said = vec![0; usize::try_from(length).expect("in memory")];
    file.read_exact_at(&mut said, 0).expect("what was written");
    hear_log("the log of the pair", said);
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use api::auth::{LogInRequest, LogInResponse};
    use api::identity::{AuthenticateRequest, AuthenticateResponse, RenewedToken};
    use tonic::Code;

    use super::*;
    use crate::Call;

    /// Whether a secret is found in what was said.
    fn is_found(said: &str) -> bool {
        hear("it", said);
        catch_unwind(look_into_what_was_heard).is_err()
    }

    #[test]
    fn what_goes_through_calls_and_comes_with_errors_is_known() {
        watch();
        let request =
            LogInRequest { username: "the.username".into(), password: "a password of its own".into() };
        remember_passwords_of(LogInRequest::NAME, &request);
        let answer = LogInResponse { access_token: "a token that is new".into(), session: None };
        remember_those_of(LogInRequest::ANSWER, &answer);
        let renewed = RenewedToken { access_token: "a token that renews".into(), ..Default::default() };
        let answer = AuthenticateResponse { renewed_token: Some(renewed), ..Default::default() };
        remember_those_of(AuthenticateRequest::ANSWER, &answer);
        let made_up = AuthenticateRequest { access_token: "a token made up".into(), skip_renewal: false };
        remember_passwords_of(AuthenticateRequest::NAME, &made_up);
        let mut status = Status::new(Code::Unavailable, "it is not a password");
        status.metadata_mut().insert("x-session-token", "a token in metadata".parse().expect("ASCII"));
        hear_error(&status);
        for secret in
            ["a password of its own", "a token that is new", "a token that renews", "a token in metadata"]
        {
            assert!(is_found(&format!("so: {secret}!")), "{secret}");
        }
        for other in ["the.username", "a token made up", "a password of", "anything else"] {
            assert!(!is_found(other), "{other}");
        }
        hear_error(&Status::new(Code::Internal, "for a password of its own"));
        assert!(is_found("nothing"), "an error says it");
    }

    #[test]
    fn what_is_in_the_files_of_secrets_is_known_and_what_is_in_others_is_none() {
        watch();
        let key = "-----BEGIN PRIVATE KEY-----\nthe body of a key\n-----END PRIVATE KEY-----\n";
        remember_those_of_a_file("key.pem", key);
        remember_those_of_a_file("peppers", "p2:the second pepper,p1:the first pepper\n");
        remember_those_of_a_file("a-token", "the new token of it\n");
        remember_those_of_a_file(
            "ca.pem",
            &key.replace("PRIVATE KEY", "CERTIFICATE").replace("key", "certificate"),
        );
        remember_those_of_a_file("url", "http://an.address.of.it\n");
        remember_those_of_a_file("some.toml", "level = \"of no secret\"\n");
        for secret in ["the body of a key", "the second pepper", "the first pepper", "the new token of it"] {
            assert!(is_found(&format!("so: {secret}!")), "{secret}");
        }
        for other in ["the body of a certificate", "http://an.address.of.it", "level = \"of no secret\""] {
            assert!(!is_found(other), "{other}");
        }
    }

    #[test]
    fn every_line_of_a_log_is_json_but_one_that_was_cut_off() {
        hear_log("it", b"{\"a\":1}\n{\"b\":2}\n{\"c".to_vec());
        for broken in ["a\n", "{\"a\":1}\n7\n", "{\"a\":1\n{\"b\":2}\n"] {
            assert!(catch_unwind(|| hear_log("it", broken.into())).is_err(), "{broken}");
        }
    }
}
