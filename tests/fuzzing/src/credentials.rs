//! Usernames and passwords: what is accepted is by the rules, said again here in other words, and what is by the rules of names is
//! accepted.
//!
//! An input is a name and, on the lines after it, a password.

use std::sync::LazyLock;

use auth_core::domain::PasswordPolicy;
use identity::{RawPassword, Username, UsernamePrefix};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "credentials",
    run,
    seeds,
    words: &[
        "\n",
        ".",
        "_",
        "-",
        "alice",
        "tandem",
        "TANDEM",
        "password",
        "qwertyuiop",
        "1234567890",
        "é",
        "İ",
        "ß",
        "\u{202e}",
        "\u{1F980}",
        "\0",
        "abcabcabc",
    ],
    defect: "usernames.any_end",
};

static POLICY: LazyLock<PasswordPolicy> = LazyLock::new(|| PasswordPolicy::new(15));

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (name, password) = text.split_once('\n').unwrap_or((&text, ""));
    let username = Username::parse(name).ok();
    assert_eq!(username.is_some(), is_a_name(name), "the name {name:?}");
    if let Some(username) = &username {
        assert_eq!((username.as_str(), username.canonical()), (name, name.to_lowercase().as_str()));
    }
    let prefix = UsernamePrefix::parse(name).ok();
    assert_eq!(prefix.is_some(), name.len() <= 20 && name.bytes().all(is_of_names), "the prefix {name:?}");
    is_fit(username.as_ref(), password);
}

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

/// Words of letters and digits, with one of `. _ -` between any two.
fn is_a_name(name: &str) -> bool {
    let words = name.split(['.', '_', '-']);
    (5..=20).contains(&name.len())
        && words
            .into_iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_fit(username: Option<&Username>, password: &str) {
    let length = password.chars().count();
    let raw = RawPassword::parse(password.to_owned());
    assert_eq!(raw.is_ok(), length <= 256, "a password of {length} code points");
    let Ok(raw) = raw else { return };
    assert_eq!(raw.expose(), password, "it is used as it was received");
    let Ok(accepted) = POLICY.check(raw) else { return };
    assert_eq!(accepted.raw().expose(), password, "it is used as it was received");
    let lowercase = password.to_lowercase();
    assert!(length >= 15 && !lowercase.contains("tandem"), "{password:?}");
    let first = password.chars().next();
    assert!(password.chars().any(|character| Some(character) != first), "{password:?} is one character");
    if let Some(username) = username
        && accepted.for_user(username).is_ok()
    {
        assert!(!lowercase.contains(username.canonical()), "{password:?} contains the name");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let long = "\u{1F980}".repeat(256);
    let texts = [
        "alice\ncorrect horse battery staple",
        "Ann.B-o_b9\nalicealicealicealice",
        "a2345678901234567890\n123456789012345678",
        "user.name\nqwertyuiopasdfghjkl",
        "Alice",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    seeds.push(format!("bobby\n{long}").into_bytes());
    seeds
}
