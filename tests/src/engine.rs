//! Where the services keep their data. Every test runs on the engine under test and knows nothing of it but what is
//! here.

use std::fs;
use std::path::{Path, PathBuf};

/// A database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file for each service, in the test's own folder.
    Sqlite,
}

impl Engine {
    /// The engine that this run is about.
    #[must_use]
    pub const fn under_test() -> Self {
        Self::Sqlite
    }

    /// What `database.url` of a service is.
    #[must_use]
    pub fn url(self, home: &Path, service: &str) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", self.data(home, service).display()),
        }
    }

    /// Keeps a copy of what a service that is not running has stored.
    pub fn back_up(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => {
                let data = self.data(home, service);
                fs::copy(&data, data.with_extension("backup")).expect("the data can be copied");
            }
        }
    }

    /// Puts the copy in the place of what a service that is not running has stored.
    pub fn restore(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => {
                let data = self.data(home, service);
                fs::copy(data.with_extension("backup"), &data).expect("the copy can be put back");
            }
        }
    }

    /// Makes a service that is not running forget everything.
    pub fn erase(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => fs::remove_file(self.data(home, service)).expect("the data can be removed"),
        }
    }

    /// The file of a service.
    #[must_use]
    pub fn data(self, home: &Path, service: &str) -> PathBuf {
        match self {
            Self::Sqlite => home.join(format!("{service}.sqlite")),
        }
    }
}
