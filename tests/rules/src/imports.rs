//! Who may name whom inside a package: what the compiler cannot see because the parts share a crate.

use crate::{Mention, Source, Violation, mentions};

/// A rule on the paths that one source mentions.
struct ImportRule {
    /// Which sources it is about.
    about: fn(&Source) -> bool,
    /// Which paths they must not mention.
    forbidden: fn(&Mention) -> bool,
    /// Why.
    because: &'static str,
}

/// The module folders that hold a store, one for each engine.
const STORES: [&str; 2] = ["postgres", "sqlite"];

/// Where the standard library leads out of the process. `std::net::IpAddr` is a value and stays allowed.
const DOORS: [&[&str]; 8] = [
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net", "TcpListener"],
    &["std", "net", "TcpStream"],
    &["std", "net", "UdpSocket"],
    &["std", "process"],
    &["std", "thread"],
];

const RULES: [ImportRule; 5] = [
    ImportRule {
        about: |source| is_service(source) && source.is_in_module("grpc"),
        forbidden: |path| STORES.iter().any(|store| path.names(store)),
        because: "the gRPC adapter and the stores never meet: only lib.rs sees both",
    },
    ImportRule {
        about: |source| is_service(source) && is_store(source),
        forbidden: |path| path.names("grpc") || path.is_of_crate("grpc_kit") || path.is_of_crate("tonic"),
        because: "a store knows nothing of gRPC: only lib.rs sees both",
    },
    ImportRule {
        about: |source| !may_name_generated_types(source),
        forbidden: |path| path.is_of_crate("api"),
        because: "generated types stay at the edge: shared/api, grpc modules, the port's client adapter and tests",
    },
    ImportRule {
        about: |source| !may_name_sqlx(source),
        forbidden: |path| path.is_of_crate("sqlx"),
        because: "only the stores and shared/database say sqlx",
    },
    ImportRule {
        about: is_core,
        forbidden: |path| DOORS.iter().any(|door| path.starts_with(door)),
        because: "a core does no I/O and reads no environment: it asks a port",
    },
];

/// What the source mentions although it may not.
#[must_use]
pub fn forbidden_imports(source: &Source) -> Vec<Violation> {
    let paths = match mentions(&source.text) {
        Ok(paths) => paths,
        Err(error) => return vec![Violation::new(&source.path, error.to_string())],
    };
    RULES
        .iter()
        .filter(|rule| (rule.about)(source))
        .flat_map(|rule| {
            paths.iter().filter(|path| (rule.forbidden)(path)).map(|path| {
                let place = format!("{}:{}", source.path, path.line);
                Violation::new(place, format!("`{path}`: {}", rule.because))
            })
        })
        .collect()
}

fn is_service(source: &Source) -> bool {
    source.path.starts_with("services/") && !is_core(source)
}

fn is_core(source: &Source) -> bool {
    matches!(source.names()[..], ["services", _, "core", "src", ..])
}

fn is_store(source: &Source) -> bool {
    STORES.iter().any(|store| source.is_in_module(store))
}

fn may_name_generated_types(source: &Source) -> bool {
    source.path.starts_with("shared/api/")
        || source.is_test()
        || is_service(source) && (source.is_in_module("grpc") || source.is_in_module("identity_provider"))
}

fn may_name_sqlx(source: &Source) -> bool {
    source.path.starts_with("shared/database/") || source.is_test() || is_service(source) && is_store(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> usize {
        forbidden_imports(&Source::new(path, text)).len()
    }

    #[test]
    fn the_grpc_adapter_cannot_see_a_store() {
        let path = "services/users-service/src/grpc/users.rs";
        assert_eq!(broken(path, "use crate::sqlite::SqliteStore;"), 1);
        assert_eq!(broken(path, "fn f() { super::super::postgres::PgStore::open() }"), 1);
        assert_eq!(broken(path, "use crate::grpc::wire;"), 0);
    }

    #[test]
    fn a_store_cannot_see_the_grpc_adapter() {
        let path = "services/users-service/src/sqlite.rs";
        assert_eq!(broken(path, "use crate::{grpc, config};"), 1);
        assert_eq!(broken(path, "fn f() -> tonic::Status {}"), 1);
        assert_eq!(broken(path, "use users_core::ports::Store;"), 0);
    }

    #[test]
    fn the_root_sees_both() {
        let text = "mod grpc; mod sqlite; use crate::grpc::Api; use crate::sqlite::SqliteStore;";
        assert_eq!(broken("services/users-service/src/lib.rs", text), 0);
    }

    #[test]
    fn generated_types_stay_at_the_edge() {
        let text = "use api::users::User;";
        assert_eq!(broken("services/users-service/src/projector.rs", text), 1);
        assert_eq!(broken("services/users-service/core/src/domain/user.rs", text), 1);
        assert_eq!(broken("services/users-service/src/grpc/wire.rs", text), 0);
        assert_eq!(broken("services/users-service/src/identity_provider.rs", text), 0);
        assert_eq!(broken("tests/src/lib.rs", text), 0);
    }

    #[test]
    fn only_the_stores_say_sqlx() {
        let text = "fn f() { sqlx::query(\"select 1\") }";
        assert_eq!(broken("services/auth-service/src/grpc/auth.rs", text), 1);
        assert_eq!(broken("services/auth-service/src/lib.rs", text), 1);
        assert_eq!(broken("shared/grpc-kit/src/ops.rs", text), 1);
        assert_eq!(broken("services/auth-service/src/sqlite/accounts.rs", text), 0);
        assert_eq!(broken("shared/database/src/schema.rs", text), 0);
    }

    #[test]
    fn a_core_does_no_io() {
        let path = "services/auth-service/core/src/domain/password.rs";
        assert_eq!(broken(path, "use std::fs;"), 1);
        assert_eq!(broken(path, "fn f() { std::env::var(\"HOME\"); }"), 1);
        assert_eq!(broken(path, "use std::{fmt, net::TcpStream};"), 1);
        assert_eq!(broken(path, "use std::{error::Error, net::IpAddr};"), 0);
    }

    #[test]
    fn a_source_that_is_not_rust_is_reported() {
        assert_eq!(broken("shared/identity/src/lib.rs", "fn f( {"), 1);
    }
}
