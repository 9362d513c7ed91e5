//! The rules, applied to this workspace.

use std::path::PathBuf;

use rules::{
    Source, Violation, defects, dependencies, documentation, imports, lints, naming, source, tested,
};

fn workspace() -> PathBuf {
    PathBuf::from(env!("TANDEM_WORKSPACE"))
}

fn sources() -> Vec<Source> {
    let sources = source::all_below(&workspace(), &["services", "shared", "tests"]).expect("the sources");
    assert!(sources.len() > 50, "only {} sources found: nothing was checked", sources.len());
    sources
}

#[track_caller]
fn assert_none(violations: impl IntoIterator<Item = Violation>) {
    let lines: Vec<_> = violations.into_iter().map(|violation| violation.to_string()).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn packages_depend_only_on_what_they_may() {
    let packages = dependencies::packages(&workspace()).expect("cargo reads the manifests");
    assert!(packages.iter().any(|package| package.name == "auth-core"));
    assert_none(dependencies::forbidden_dependencies(&packages));
}

#[test]
fn packages_take_the_lints_of_the_workspace() {
    let folders = ["benches", "services", "shared", "tests"];
    assert_none(lints::of_their_own(&workspace(), &folders).expect("the manifests"));
}

#[test]
fn sources_name_only_what_they_may() {
    assert_none(sources().iter().flat_map(imports::forbidden_imports));
}

#[test]
fn files_have_names_that_mean_something() {
    assert_none(sources().iter().flat_map(naming::bad_name));
}

#[test]
fn files_do_one_job() {
    assert_none(sources().iter().filter_map(naming::too_long));
}

#[test]
fn crates_and_folders_open_with_what_they_are() {
    assert_none(documentation::unopened(&sources()));
}

#[test]
fn what_is_guaranteed_has_the_tests_that_are_named_behind_it() {
    let page = "docs/reliability.md";
    let text = std::fs::read_to_string(workspace().join(page)).expect("the page");
    assert!(text.contains("i3_a_log_in_under_way_leaves_a_session"), "no test is named: nothing was checked");
    assert_none(documentation::tests_that_are_not_there(page, &text, &sources()));
}

#[test]
fn every_setting_has_a_row_that_names_tests_that_there_are() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).expect("a file");
    let page = Source::new("docs/tested.md", read("docs/tested.md"));
    let examples = [("auth", read("deploy/auth-service.toml")), ("users", read("deploy/users-service.toml"))];
    let examples = examples.each_ref().map(|(service, example)| (*service, example.as_str()));
    let mut all = sources();
    all.extend(source::all_with_extension("py", &workspace(), &["tests"]).expect("the sources"));
    assert!(all.iter().any(|source| source.text.contains("def test_")), "no Python was found");
    assert_none(tested::not_as_the_page_says(&page, &examples, &all));
}

#[test]
fn deliberate_defects_are_there_and_looked_for() {
    let sources: Vec<_> =
        sources().into_iter().filter(|source| !source.path.starts_with("tests/rules/")).collect();
    assert!(
        sources.iter().any(|source| source.text.contains("mutant(\"")),
        "there is none: nothing was checked"
    );
    assert_none(defects::not_both_there_and_looked_for(&sources));
}
