//! Tests that let something slip, run as nextest runs them, and what the program finds of it.

use std::process::{Command, Output};
use std::{env, fs};

use overheard as _;
use tempfile::TempDir;

const SECRET: &str = "nobody's \"secret\" of its own";

/// Each is run by another test, in a process of its own.
mod slips {
    use std::env;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::path::PathBuf;

    use fail_point::confide;

    use super::SECRET;

    #[test]
    #[ignore = "is to be found"]
    fn none() {
        confide("a password", SECRET);
        tracing::info!(target: "grpc_kit", "said by us");
        tracing::trace!(target: "h2", "said by a library");
        println!("it is {}", &SECRET[1..]);
    }

    #[test]
    #[ignore = "is to be found"]
    fn in_a_line_of_ours() {
        confide("a password", SECRET);
        tracing::trace!(target: "grpc_kit::calls", password = SECRET);
    }

    #[test]
    #[ignore = "is to be found"]
    fn in_a_line_of_a_library() {
        confide("a password", SECRET);
        tracing::info!(target: "h2", "it is {SECRET:?}");
    }

    #[test]
    #[ignore = "is to be found"]
    fn in_what_a_library_says_in_detail() {
        confide("a password", SECRET);
        tracing::debug!(target: "h2::codec", "it is {SECRET}");
    }

    #[test]
    #[ignore = "is to be found"]
    fn in_what_is_printed() {
        confide("a password", SECRET);
        println!("it is {SECRET:?}");
    }

    #[test]
    #[ignore = "is to be found"]
    fn a_line_that_is_no_json() {
        confide("a password", SECRET);
        tracing::info!(target: "grpc_kit", "said by us");
        let folder = PathBuf::from(env::var_os("TANDEM_OVERHEARD").expect("a folder"));
        let log = folder.join("it slips::a_line_that_is_no_json.heard");
        let mut log = OpenOptions::new().append(true).open(log).expect("there is a log");
        log.write_all(b"{\"level\": INFO}\n").expect("written");
    }

    #[test]
    #[ignore = "is to be found"]
    fn no_secret_to_be_found() {
        tracing::info!(target: "grpc_kit", "said by us");
    }

    #[test]
    #[ignore = "is to be found"]
    fn nothing_is_said() {
        confide("a password", SECRET);
    }
}

/// Runs one of them as nextest does. What it printed is in the report.
fn heard(folder: &TempDir, slip: &str) {
    let output = Command::new(env::current_exe().expect("a test"))
        .args(["--exact", slip, "--ignored", "--nocapture"])
        .env("TANDEM_OVERHEARD", folder.path())
        .env("NEXTEST_BINARY_ID", "it")
        .env("NEXTEST_TEST_NAME", slip)
        .output()
        .expect("it runs");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    report(folder, "it", slip, &printed.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;"));
}

/// What nextest says of a run of one test.
fn report(folder: &TempDir, binary: &str, test: &str, printed: &str) {
    let case = format!(
        "<testcase name=\"{test}\" classname=\"{binary}\"><system-out>{printed}</system-out></testcase>"
    );
    let report = format!("<testsuites><testsuite name=\"{binary}\">{case}</testsuite></testsuites>");
    fs::write(folder.path().join("report.xml"), report).expect("written");
}

fn look(folder: &TempDir) -> (bool, String) {
    let program = env!("CARGO_BIN_EXE_overheard");
    let Output { status, stdout, stderr } = Command::new(program)
        .args([folder.path(), &folder.path().join("report.xml")])
        .output()
        .expect("the program runs");
    (status.success(), String::from_utf8([stdout, stderr].concat()).expect("text"))
}

fn found(slip: &str) -> (bool, String) {
    let folder = TempDir::new().expect("a folder");
    heard(&folder, &format!("slips::{slip}"));
    look(&folder)
}

#[test]
fn a_secret_is_found_wherever_it_can_be_heard() {
    for (slip, place) in [
        ("in_a_line_of_ours", "its log"),
        ("in_a_line_of_a_library", "its log"),
        ("in_what_is_printed", "its output"),
    ] {
        let (is_well, said) = found(slip);
        assert!(
            !is_well && said.contains(&format!("it slips::{slip}: {place} shows a password as ")),
            "{said}"
        );
    }
}

#[test]
fn what_says_no_secret_is_well_and_what_libraries_say_in_detail_is_told_only() {
    let (is_well, said) = found("none");
    assert!(is_well && said.contains("1 lines for operators, 1 that no level shows, 1 secrets"), "{said}");
    let (_, said) = found("in_what_a_library_says_in_detail");
    assert!(
        said.contains("h2::codec says secrets: in 1 tests") && !said.contains("shows a password"),
        "{said}"
    );
}

#[test]
fn a_line_that_is_no_json_is_found() {
    let (is_well, said) = found("a_line_that_is_no_json");
    assert!(!is_well && said.contains("logs what is no JSON: {\"level\": INFO}"), "{said}");
}

#[test]
fn nothing_to_be_looked_at_is_a_flaw() {
    for (slip, missing) in [("nothing_is_said", "lines of a log"), ("no_secret_to_be_found", "secrets")] {
        let (is_well, said) = found(slip);
        assert!(!is_well && said.contains(&format!("there are no {missing}")), "{said}");
    }
    let folder = TempDir::new().expect("a folder");
    report(&folder, "another::it", "some_test", "");
    let (is_well, said) = look(&folder);
    assert!(!is_well && said.contains("another::it some_test was not heard"), "{said}");
    report(&folder, "e2e::e2e", "some_test", "");
    let (is_well, said) = look(&folder);
    assert!(!is_well && said.contains("there are no tests"), "{said}");
    fs::remove_file(folder.path().join("report.xml")).expect("it was there");
    assert!(!look(&folder).0);
}
