//! Which package of the workspace may depend on which.
//!
//! `identity <- *-core <- *-service -> {api, grpc-kit, …}`: the arrows are the compiler's, that nobody adds a wrong
//! one is this module's.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Violation;

/// A package of the workspace and what its manifest names.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Everything it depends on, in the manifest's order.
    pub dependencies: Vec<Dependency>,
}

/// A line of a manifest.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// The package depended on.
    pub name: String,
    /// What for.
    pub kind: Kind,
    /// Whether a feature has to ask for it.
    pub optional: bool,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The package itself.
    Normal,
    /// Its tests.
    Dev,
    /// Its build script.
    Build,
}

/// What a core may be made of: values, errors and arithmetic. Nothing here opens a file or a socket.
const CORE_MAY_USE: [&str; 8] =
    ["base64", "chrono", "fail-point", "identity", "passwords", "secrecy", "thiserror", "uuid"];

/// What the fakes of a core may use as well, behind its feature `testing`.
const FAKES_MAY_USE: [&str; 2] = ["tokio", "uuid"];

/// Packages that only the named ones may depend on (tests included, so that the exception is visible here).
const OWNED: [(&str, &[&str]); 8] = [
    ("heap", &["grpc-kit"]),
    ("rusqlite", &["database"]),
    ("sqlx", &["auth-service", "benches", "database", "users-service"]),
    ("sqlx-core", &["database"]),
    ("tonic-prost-build", &["api", "grpc-kit"]),
    ("protox", &["api", "grpc-kit"]),
    ("auth-service", &["benches", "e2e", "fuzzing", "tandem"]),
    ("users-service", &["benches", "e2e", "fuzzing", "tandem"]),
];

/// Who sees both services.
const SEE_BOTH: [&str; 5] = ["benches", "e2e", "fuzzing", "simulation", "tandem"];

/// Every dependency that a rule forbids.
#[must_use]
pub fn forbidden_dependencies(packages: &[Package]) -> Vec<Violation> {
    packages
        .iter()
        .flat_map(|package| package.dependencies.iter().map(move |dependency| (package, dependency)))
        .filter_map(|(package, dependency)| {
            let why = why_forbidden(package, dependency)?;
            let what = format!("may not depend on {}: {why}", dependency.name);
            Some(Violation::new(&package.name, what))
        })
        .collect()
}

fn why_forbidden(package: &Package, dependency: &Dependency) -> Option<String> {
    let (from, to) = (package.name.as_str(), dependency.name.as_str());
    if is_core(from) && dependency.kind != Kind::Dev && !core_may_use(dependency) {
        return Some("a core is values and decisions; I/O is an adapter's, behind a port".to_owned());
    }
    if let (Some(one), Some(other)) = (context(from), context(to))
        && one != other
    {
        return Some("the two contexts never depend on each other's crates: they meet at api".to_owned());
    }
    if !SEE_BOTH.contains(&from) && context(from).is_none() && context(to).is_some() {
        return Some("a shared crate knows no service".to_owned());
    }
    let (_, owners) = OWNED.iter().find(|(owned, _)| *owned == to)?;
    (!owners.contains(&from)).then(|| format!("only {} may", owners.join(", ")))
}

fn is_core(package: &str) -> bool {
    package.ends_with("-core")
}

fn core_may_use(dependency: &Dependency) -> bool {
    let name = dependency.name.as_str();
    CORE_MAY_USE.contains(&name) || dependency.optional && FAKES_MAY_USE.contains(&name)
}

/// The bounded context that a package belongs to.
fn context(package: &str) -> Option<&str> {
    ["auth", "users"].into_iter().find(|context| {
        [format!("{context}-core"), format!("{context}-service")].contains(&package.to_owned())
    })
}

/// The packages of the workspace, as cargo itself understands the manifests.
pub fn packages(workspace: &Path) -> Result<Vec<Package>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(workspace)
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    list(&metadata["packages"])?.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package, String> {
    Ok(Package {
        name: text(&value["name"])?,
        dependencies: list(&value["dependencies"])?.iter().map(dependency).collect::<Result<_, _>>()?,
    })
}

fn dependency(value: &Value) -> Result<Dependency, String> {
    Ok(Dependency {
        name: text(&value["name"])?,
        kind: match value["kind"].as_str() {
            None => Kind::Normal,
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            Some(other) => return Err(format!("an unknown kind of dependency: {other}")),
        },
        optional: value["optional"] == Value::Bool(true),
    })
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("not a list: {value}"))
}

fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("not a text: {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(from: &str, to: &str, kind: Kind, optional: bool) -> bool {
        let dependency = Dependency { name: to.to_owned(), kind, optional };
        let package = Package { name: from.to_owned(), dependencies: vec![dependency] };
        !forbidden_dependencies(&[package]).is_empty()
    }

    #[test]
    fn a_core_depends_on_nothing_that_does_io() {
        assert!(broken("auth-core", "tonic", Kind::Normal, false));
        assert!(broken("users-core", "tokio", Kind::Normal, false));
        assert!(broken("users-core", "reqwest", Kind::Build, false));
        assert!(!broken("users-core", "tokio", Kind::Normal, true), "the fakes may");
        assert!(!broken("users-core", "tokio", Kind::Dev, false), "tests may");
        assert!(!broken("auth-core", "identity", Kind::Normal, false));
    }

    #[test]
    fn the_contexts_never_meet() {
        assert!(broken("users-service", "auth-core", Kind::Normal, false));
        assert!(broken("auth-service", "users-service", Kind::Dev, false));
        assert!(broken("users-core", "auth-core", Kind::Dev, false));
        assert!(!broken("users-service", "users-core", Kind::Normal, false));
    }

    #[test]
    fn only_the_all_in_one_and_the_end_to_end_tests_see_both() {
        assert!(!broken("tandem", "auth-service", Kind::Normal, false));
        assert!(!broken("e2e", "users-service", Kind::Normal, false));
        assert!(broken("grpc-kit", "auth-service", Kind::Normal, false));
        assert!(broken("identity", "users-core", Kind::Normal, false));
    }

    #[test]
    fn what_has_an_owner_is_used_by_its_owner() {
        assert!(broken("grpc-kit", "sqlx", Kind::Normal, false));
        assert!(broken("auth-service", "rusqlite", Kind::Normal, false));
        assert!(broken("auth-service", "protox", Kind::Build, false));
        assert!(!broken("database", "sqlx", Kind::Normal, false));
        assert!(!broken("api", "protox", Kind::Build, false));
    }
}
