//! `overheard FOLDER REPORT`: looks for secrets in what the tests of a run said, logged into a folder and printed into nextest's
//! report.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, report] = arguments.as_slice() else {
        eprintln!("usage: overheard FOLDER REPORT");
        return ExitCode::from(2);
    };
    let findings = match overheard::look(Path::new(folder), Path::new(report)) {
        Ok(findings) => findings,
        Err(unreadable) => {
            eprintln!("{unreadable}");
            return ExitCode::FAILURE;
        }
    };
    for (target, tests) in &findings.said_in_detail {
        println!("in detail, which nobody can hear, {target} says secrets: in {tests} tests");
    }
    for flaw in &findings.flaws {
        println!("{flaw}");
    }
    println!(
        "{} tests were overheard: {} lines for operators, {} that no level shows, {} secrets, {} flaws",
        findings.tests,
        findings.heard,
        findings.unheard,
        findings.secrets,
        findings.flaws.len()
    );
    if findings.flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
