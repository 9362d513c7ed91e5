//! Where what was overheard of a test is.

use std::path::{Path, PathBuf};

/// The files of one test. No two tests have the same.
pub(crate) struct Place {
    /// What operators can hear at the level `trace`.
    pub(crate) heard: PathBuf,
    /// What no level shows them.
    pub(crate) unheard: PathBuf,
    /// The secrets: on each line what it is and the secret, as a list in JSON.
    pub(crate) secrets: PathBuf,
}

impl Place {
    /// Of a test, as nextest names its binary and itself.
    pub(crate) fn of(folder: &Path, binary: &str, test: &str) -> Self {
        let name = format!("{binary} {test}").replace('/', ".");
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        Self { heard: file("heard"), unheard: file("unheard"), secrets: file("secrets") }
    }
}
