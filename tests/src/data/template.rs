//! Databases with a schema already: each service's is made once for all tests on a server, and copied.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;

use database::testing::TestDatabase;

use crate::Service;
use crate::home::Folder;

/// A database of a service's newest schema.
pub(super) async fn copy(server: Option<&str>, service: Service, folder: &Folder) -> TestDatabase {
    let name = match service {
        Service::Auth => "auth",
        Service::Users => "users",
    };
    // A server may outlive a migration, so the name says which ones are in it.
    let template = format!("tandem_{name}_{:016x}", migrations(name));
    TestDatabase::from_template(server, &template, async |url| folder.migrate(service, url).await).await
}

/// A number that is another one whenever a migration is.
fn migrations(service: &str) -> u64 {
    let folder = Path::new(env!("TANDEM_WORKSPACE")).join("migrations").join(service).join("postgres");
    let entries = fs::read_dir(folder).expect("the migrations");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a migration").path()).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).expect("a migration").hash(&mut hasher);
    }
    hasher.finish()
}
