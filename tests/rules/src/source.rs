//! The sources of a workspace, as the rules see them: Rust, but for what asks for another language.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// One source.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the workspace, with `/` between the names.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A source as found at `path`.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The folders and the file, `.rs` taken off: `["shared", "api", "src", "lib"]`.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.path.strip_suffix(".rs").unwrap_or(&self.path).split('/').collect()
    }

    /// Whether the file is the module `name` of a crate or lies in its folder.
    #[must_use]
    pub fn is_in_module(&self, name: &str) -> bool {
        self.inside_crate().first() == Some(&name)
    }

    /// Whether the file holds nothing but tests.
    #[must_use]
    pub fn is_test(&self) -> bool {
        let names = self.names();
        names.contains(&"tests")
    }

    /// The names after the crate's `src`; empty for a file that is in none.
    #[must_use]
    pub fn inside_crate(&self) -> Vec<&str> {
        self.names().into_iter().skip_while(|name| *name != "src").skip(1).collect()
    }
}

/// Every Rust source under these folders of the workspace.
pub fn all_below(workspace: &Path, folders: &[&str]) -> io::Result<Vec<Source>> {
    all_with_extension("rs", workspace, folders)
}

/// Every source under these folders whose file's name ends like this.
pub fn all_with_extension(wanted: &str, workspace: &Path, folders: &[&str]) -> io::Result<Vec<Source>> {
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| workspace.join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            let relative = path.strip_prefix(workspace).map_err(io::Error::other)?;
            let names: Vec<_> = relative.iter().map(|name| name.to_string_lossy()).collect();
            sources.push(Source::new(names.join("/"), fs::read_to_string(&path)?));
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_its_file_and_its_folder() {
        assert!(Source::new("services/auth-service/src/grpc.rs", "").is_in_module("grpc"));
        assert!(Source::new("services/auth-service/src/grpc/wire.rs", "").is_in_module("grpc"));
        assert!(!Source::new("services/auth-service/src/grpc_address.rs", "").is_in_module("grpc"));
        assert!(!Source::new("services/auth-service/core/src/domain/grpc.rs", "").is_in_module("grpc"));
    }

    #[test]
    fn tests_are_known_by_their_folder_or_name() {
        assert!(Source::new("shared/grpc-kit/tests/it/main.rs", "").is_test());
        assert!(Source::new("shared/database/src/sqlite/tests.rs", "").is_test());
        assert!(!Source::new("shared/database/src/sqlite.rs", "").is_test());
    }
}
