//! Fuzz targets: whatever reads what comes from outside, each with what must be true whatever it reads.
//!
//! A target is a function of some bytes that panics when something is not as it must be. libFuzzer, which `tests/fuzz` starts,
//! makes the bytes: it changes those that it has, and keeps what reaches code that nothing reached before. The ordinary tests
//! run each target on what it begins with, without libFuzzer.
//!
//! Each target has a deliberate defect of the code that it is about (`fail_point::mutant`), which it has to find.

#![expect(clippy::missing_panics_doc, reason = "a panic is how a target says what it found")]

#[cfg(test)]
use overheard as _;

mod access_tokens;
mod calls;
mod calls_of_end_users;
mod calls_of_workloads;
mod calls_to_users;
mod credentials;
mod handles;
mod metadata;
mod page_tokens;
mod settings;
mod settings_of_auth;
mod settings_of_users;
mod stored_hashes;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Something that reads what comes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What is read.
    pub name: &'static str,
    /// Reads it, and panics if what it makes of it is not as it must be.
    pub run: fn(&[u8]),
    /// What the first inputs are changed from: some of what is valid, and of what is nearly so.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What inputs may be made of.
    pub words: &'static [&'static str],
    /// The deliberate defect that it has to find.
    pub defect: &'static str,
}

/// All of them.
pub const TARGETS: [Target; 11] = [
    access_tokens::TARGET,
    page_tokens::TARGET,
    handles::TARGET,
    credentials::TARGET,
    stored_hashes::TARGET,
    settings_of_auth::TARGET,
    settings_of_users::TARGET,
    metadata::TARGET,
    calls_of_end_users::TARGET,
    calls_of_workloads::TARGET,
    calls_to_users::TARGET,
];

static CHOSEN: OnceLock<Target> = OnceLock::new();

/// Chooses the target that `TANDEM_FUZZ_TARGET` names, and writes what it begins with into the folder of `TANDEM_FUZZ_SEEDS`:
/// `seeds/` and `words`, a dictionary. Without a name: prints all of them, each with its deliberate defect, and ends.
pub fn begin() {
    let Some(name) = std::env::var_os("TANDEM_FUZZ_TARGET") else {
        for Target { name, defect, .. } in TARGETS {
            println!("{name} {defect}");
        }
        std::process::exit(0);
    };
    let target = TARGETS.into_iter().find(|target| name == OsStr::new(target.name));
    let target = *CHOSEN.get_or_init(|| target.expect("the name of a target"));
    if let Some(folder) = std::env::var_os("TANDEM_FUZZ_SEEDS") {
        write_seeds(&target, Path::new(&folder)).expect("a folder to write to");
    }
}

/// Runs the target that was chosen.
pub fn run(input: &[u8]) {
    let target = CHOSEN.get().expect("`begin` was called");
    (target.run)(input);
}

fn write_seeds(target: &Target, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("seeds"))?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        fs::write(folder.join(format!("seeds/{number}")), seed)?;
    }
    fs::write(folder.join("words"), dictionary(target.words))
}

/// As libFuzzer reads it: a word between quotes on each line.
fn dictionary(words: &[&str]) -> String {
    words.iter().fold(String::new(), |mut lines, word| {
        lines.push('"');
        for byte in word.bytes() {
            let plain = byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
            let written =
                if plain { write!(lines, "{}", char::from(byte)) } else { write!(lines, "\\x{byte:02X}") };
            written.expect("a text takes whatever is written to it");
        }
        lines.push_str("\"\n");
        lines
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_target_passes_what_it_begins_with_and_each_beginning_of_it() {
        for Target { name, run, seeds, .. } in TARGETS {
            let seeds = seeds();
            assert!(seeds.len() > 1, "{name} begins with nothing");
            for seed in seeds {
                for length in [0, 1, seed.len() / 2, seed.len().saturating_sub(1), seed.len()] {
                    run(&seed[..length.min(seed.len())]);
                }
            }
        }
    }

    #[test]
    fn targets_and_defects_have_names_of_their_own() {
        let names: BTreeSet<_> = TARGETS.iter().flat_map(|target| [target.name, target.defect]).collect();
        assert_eq!(names.len(), 2 * TARGETS.len());
    }

    #[test]
    fn a_dictionary_has_a_word_on_each_line_whatever_is_in_it() {
        assert_eq!(dictionary(&["exp", "a\"b\\c\n é"]), "\"exp\"\n\"a\\x22b\\x5Cc\\x0A\\x20\\xC3\\xA9\"\n");
    }
}
