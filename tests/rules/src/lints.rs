//! Which packages take the lints of the workspace, `unsafe_code = "forbid"` among them.

use std::path::Path;
use std::{fs, io};

use crate::Violation;

/// Have one unsafe place each, which their sources expect by name: a call into the C library, and what is called before `main`.
const HAVE_THEIR_OWN: [&str; 2] = ["shared/heap", "tests/overheard"];

/// Every package in these folders, and the folders themselves, that has other lints than the workspace.
pub fn of_their_own(workspace: &Path, folders: &[&str]) -> io::Result<Vec<Violation>> {
    let mut pending: Vec<String> = folders.iter().map(ToString::to_string).collect();
    let mut violations = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(workspace.join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                pending.push(path);
            } else if entry.file_name() == "Cargo.toml"
                && !may_have(&folder, &fs::read_to_string(entry.path())?)
            {
                violations.push(Violation::new(&path, "does not take the lints of the workspace"));
            }
        }
    }
    Ok(violations)
}

fn may_have(folder: &str, manifest: &str) -> bool {
    let lints = if HAVE_THEIR_OWN.contains(&folder) {
        "\nunsafe_code = \"deny\"\n"
    } else {
        "[lints]\nworkspace = true\n"
    };
    manifest.contains(lints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_the_workspaces_but_for_what_is_named() {
        let (taken, own) = ("[lints]\nworkspace = true\n", "[lints.rust]\nunsafe_code = \"deny\"\n");
        assert!(may_have("shared/api", taken));
        assert!(!may_have("shared/api", own) && !may_have("shared/api", ""));
        assert!(may_have("shared/heap", own) && may_have("tests/overheard", own));
        assert!(!may_have("shared/heap", "[lints.rust]\nunsafe_code = \"allow\"\n"));
    }
}
