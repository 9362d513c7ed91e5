//! The side of whoever looks: at everything that was heard in a run, after it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};
use serde_json::Value;
use test_kit::{Canaries, LEAST};

use crate::place::Place;

/// Its tests look by themselves, and log elsewhere.
const LOOKS_BY_ITSELF: &str = "e2e";

/// What there was, and what must not have been.
#[derive(Debug, Default)]
pub struct Findings {
    /// How many tests were heard.
    pub tests: usize,
    /// How many lines of logs operators could have read.
    pub heard: usize,
    /// How many lines libraries said in detail.
    pub unheard: usize,
    /// How many secrets there were to be found.
    pub secrets: usize,
    /// Where libraries say secrets in detail, and in how many tests: why no operator can hear them.
    pub said_in_detail: BTreeMap<String, usize>,
    /// What must not have been.
    pub flaws: Vec<String>,
}

/// Looks at what the tests of a run said: the report of nextest names them and has what they printed, and the folder has what they
/// logged. That there is nothing to be seen is a flaw.
pub fn look(folder: &Path, report: &Path) -> Result<Findings, Unreadable> {
    let text = read(report)?;
    let report = Document::parse(&text).map_err(|error| Unreadable::Report(report.to_owned(), error))?;
    let mut findings = Findings::default();
    for test in report.descendants().filter(|node| node.has_tag_name("testcase")) {
        let binary = test.attribute("classname").unwrap_or_default();
        if binary.split("::").next() != Some(LOOKS_BY_ITSELF) {
            findings.look_at(folder, binary, test)?;
        }
    }
    for (count, of_what) in
        [(findings.tests, "tests"), (findings.heard, "lines of a log"), (findings.secrets, "secrets")]
    {
        if count == 0 {
            findings.flaws.push(format!("there are no {of_what}: nothing was looked at"));
        }
    }
    Ok(findings)
}

/// Something is not there, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A file.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The report.
    #[error("{0}: {1}")]
    Report(PathBuf, roxmltree::Error),
}

fn read(path: &Path) -> Result<String, Unreadable> {
    fs::read_to_string(path).map_err(|error| Unreadable::File(path.to_owned(), error))
}

impl Findings {
    fn look_at(&mut self, folder: &Path, binary: &str, test: Node<'_, '_>) -> Result<(), Unreadable> {
        let name = test.attribute("name").unwrap_or_default();
        let place = Place::of(folder, binary, name);
        if !place.heard.exists() {
            self.flaws.push(format!("{binary} {name} was not heard: its crate has no `use overheard as _;`"));
            return Ok(());
        }
        let (heard, unheard, secrets) = (read(&place.heard)?, read(&place.unheard)?, read(&place.secrets)?);
        let printed: String =
            test.descendants().filter(Node::is_text).filter_map(|text| text.text()).collect();
        self.tests += 1;
        self.heard += heard.lines().count();
        self.unheard += unheard.lines().count();
        self.secrets += secrets.lines().count();

        let no_json = heard.lines().chain(unheard.lines()).filter(|line| !is_object(line));
        self.flaws.extend(no_json.map(|line| format!("{binary} {name} logs what is no JSON: {line}")));
        let canaries = canaries(&secrets);
        let said = [("its log", heard.as_bytes()), ("its output", printed.as_bytes())];
        let found = canaries.found_in(said);
        self.flaws.extend(found.map(|(_, found)| format!("{binary} {name}: {found}")));
        let in_detail = unheard.lines().map(|line| (line, line.as_bytes()));
        let targets: BTreeSet<_> = canaries.found_in(in_detail).map(|(line, _)| target(line)).collect();
        for target in targets {
            *self.said_in_detail.entry(target).or_default() += 1;
        }
        Ok(())
    }
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object())
}

fn target(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    line["target"].as_str().unwrap_or_default().to_owned()
}

/// The secrets as they are, and as they look where `Debug` or JSON escapes what is in them.
fn canaries(secrets: &str) -> Canaries {
    let mut canaries = Canaries::default();
    canaries.add_hashes();
    for line in secrets.lines() {
        let (what, secret): (String, String) = serde_json::from_str(line).expect("what was written so");
        let by_debug = format!("{secret:?}").trim_matches('"').to_owned();
        for shape in [in_json(&secret), in_json(&by_debug), by_debug, secret] {
            if shape.len() >= LEAST {
                canaries.add(&what, &shape);
            }
        }
    }
    canaries
}

fn in_json(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}
