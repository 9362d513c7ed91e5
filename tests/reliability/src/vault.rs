//! The secrets of a run. Each has a mark in it, so that one look finds any of them where none may be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::shapes;

use crate::history::Secret;

/// The password of the super admin that the kit makes.
pub const OF_THE_SUPER_ADMIN: Secret = Secret(0);

/// Passwords by their numbers.
#[derive(Clone, Debug)]
pub struct Vault {
    mark: String,
}

impl Vault {
    /// One whose passwords nobody else has.
    #[must_use]
    pub fn new() -> Self {
        Self { mark: format!("kQ7{}", uuid::Uuid::from_u128(rand::random()).simple()) }
    }

    /// The password of a number.
    #[must_use]
    pub fn password(&self, Secret(number): Secret) -> String {
        if Secret(number) == OF_THE_SUPER_ADMIN {
            return e2e::PASSWORD.to_owned();
        }
        format!("{}-{number:06}", self.mark)
    }

    /// How any of the passwords would look in a text: as it is, as `Debug` shows bytes, and inside of base64.
    #[must_use]
    pub fn traces(&self) -> Vec<String> {
        shapes(self.mark.as_bytes())
    }
}

/// How what is in a file with a secret would look: each line that is no heading, without its name, and what it says in base64.
#[must_use]
pub fn traces_of(file: &str) -> Vec<String> {
    let lines = file.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    let secrets = lines.map(|line| line.split_once(':').map_or(line, |(_, secret)| secret));
    let shapes_of = |secret: &str| {
        let said = STANDARD.decode(secret).unwrap_or_default();
        let said = if said.len() < LEAST { Vec::new() } else { shapes(&said) };
        [shapes(secret.as_bytes()), said].concat()
    };
    secrets.filter(|secret| secret.len() >= LEAST).flat_map(shapes_of).collect()
}

/// Fewer bytes may be anywhere.
const LEAST: usize = 8;

impl Default for Vault {
    fn default() -> Self {
        Self::new()
    }
}

/// The first line in which one of these is, without the line's own secret: where it stands and what is around it.
#[must_use]
pub fn found(traces: &[String], text: &str) -> Option<String> {
    let (at, trace) = traces.iter().find_map(|trace| Some((text.find(trace.as_str())?, trace)))?;
    let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
    let line = text[from..].lines().next().unwrap_or_default();
    Some(line.replace(trace.as_str(), "(the secret)").chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_password_is_found_in_every_shape_and_in_no_other_text() {
        let vault = Vault::new();
        let password = vault.password(Secret(7));
        let hides = |text: &str| found(&vault.traces(), text).is_none();
        for before in ["", "x", "xy"] {
            let inside = format!("{before}{password}");
            assert!(!hides(&inside) && !hides(&format!("{:?}", inside.as_bytes())));
            assert!(!hides(&STANDARD_NO_PAD.encode(&inside)) && !hides(&URL_SAFE_NO_PAD.encode(&inside)));
        }
        assert!(hides("nothing of it"));
        let shown = found(&vault.traces(), &format!("first\nsecond {password}\nthird")).unwrap();
        assert_eq!(shown, "second (the secret)-000007");
    }

    #[test]
    fn what_is_in_the_files_with_secrets_is_found_and_nothing_else() {
        let (pepper, key) = (STANDARD.encode([7; 32]), STANDARD.encode([9; 48]));
        let traces = traces_of(&format!("p1:{pepper}\n-----BEGIN PRIVATE KEY-----\n{key}\n"));
        let hides = |text: &str| found(&traces, text).is_none();
        assert!(!hides(&format!("a {pepper} b")) && !hides(&format!("{:?}", [7_u8; 32])));
        assert!(!hides(&key) && !hides(&format!("{:?}", [9_u8; 48])));
        assert!(hides("p1 and -----BEGIN PRIVATE KEY-----"));
    }
}
