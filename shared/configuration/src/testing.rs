//! What an example file, and the table of a page about the settings, must be: complete, right, and nothing else. For the
//! tests of services, which know both the files and the settings.

#![expect(clippy::missing_panics_doc, reason = "everything here panics on whatever a test does not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::layers::parse_toml;
use crate::{Effective, Known};

/// A file of settings in which every key stands: set, or behind `# ` with its default or an example.
#[derive(Debug)]
pub struct Example {
    text: String,
}

impl Example {
    /// Reads the file.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path);
        Self { text: text.unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    /// The file with everything set that stands behind `# `.
    #[must_use]
    pub fn with_everything_set(&self) -> String {
        self.text.lines().map(|line| commented(line).unwrap_or(line).to_owned() + "\n").collect()
    }

    /// That every key of the program stands in the file and nothing else does, and that what stands behind `# ` is the
    /// default where there is one. `of_the_machine` names keys whose defaults differ from one machine to the other.
    pub fn assert_complete(&self, effective: &Effective, of_the_machine: &[&str]) {
        let everything: BTreeMap<String, String> = values(&self.with_everything_set());
        let set = values(&self.text);
        let known = leaves(effective);
        let names = |known: &[&Known]| known.iter().map(|known| known.key.clone()).collect::<BTreeSet<_>>();
        let in_file: BTreeSet<String> = everything.keys().cloned().collect();
        let missing: Vec<_> = names(&known).difference(&in_file).cloned().collect();
        assert!(missing.is_empty(), "the example file does not show {missing:?}");
        let unknown: Vec<_> = in_file.difference(&names(&known)).cloned().collect();
        assert!(unknown.is_empty(), "the program does not know {unknown:?}");
        for Known { key, default, .. } in known {
            let Some(default) = default else { continue };
            if !set.contains_key(key) && !of_the_machine.contains(&key.as_str()) {
                assert_eq!(&everything[key], default, "the default of {key}");
            }
        }
    }
}

/// That the rows of a Markdown table (keys, defaults, services, …) that are about `service` or `both` name every key, and
/// its default where a row has as many of them as keys. Files that hold the value of another key need no row.
pub fn assert_table_complete(page: &str, service: &str, effective: &Effective) {
    let mut in_table = BTreeMap::new();
    for row in page.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let ["", keys, defaults, of, ..] = cells[..] else { continue };
        if of != service && of != "both" {
            continue;
        }
        let (keys, defaults) = (quoted(keys), quoted(defaults));
        let shown = keys.len() == defaults.len();
        for (index, key) in keys.iter().enumerate() {
            in_table.insert((*key).to_owned(), shown.then(|| defaults[index].to_owned()));
        }
    }
    // A list of tables is one key for those who read about it.
    let known = effective.known().iter().filter(|known| !known.is_stand_in && !known.key.contains(".0."));
    let known: BTreeMap<_, _> = known.map(|known| (known.key.clone(), known.default.clone())).collect();
    let (in_page, in_program): (BTreeSet<_>, BTreeSet<_>) =
        (in_table.keys().collect(), known.keys().collect());
    assert_eq!(in_page, in_program, "the keys of {service}, in the table and in the program");
    for (key, shown) in &in_table {
        if let (Some(shown), Some(default)) = (shown, &known[key]) {
            assert_eq!(shown, default.trim_matches('"'), "the default of {key}");
        }
    }
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The setting in a comment, if there is one.
fn commented(line: &str) -> Option<&str> {
    let setting = line.strip_prefix("# ")?;
    let (key, _) = setting.split_once(" = ")?;
    key.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        .then_some(setting)
}

fn values(toml: &str) -> BTreeMap<String, String> {
    let values = parse_toml(toml).unwrap_or_else(|why| panic!("{why} in\n{toml}"));
    values.into_iter().filter(|(_, value)| value != "{}").collect()
}

/// The keys that have a value: a list of tables has tables instead.
fn leaves(effective: &Effective) -> Vec<&Known> {
    let known = effective.known();
    let is_list = |list: &Known| known.iter().any(|other| other.key.starts_with(&format!("{}.", list.key)));
    known.iter().filter(|known| !is_list(known)).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::Layers;

    fn effective() -> Effective {
        let table = ("AUTH__A__TABLES__0__NAME".to_owned(), "x".to_owned());
        let read = Layers::new("AUTH").variables([table]).read(|settings| {
            let _ = settings.integer::<u8>("a.number", 7, 1..=9);
            let _ = settings.url("a.url", Some("http://here"));
            let _ = settings.secret("a.token");
            let _ = settings.tables("a.tables", |table| table.text("name", "unnamed"));
        });
        read.expect("no problems").1
    }

    fn example(text: &str) -> Example {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("example.toml");
        fs::write(&path, text).expect("written");
        Example::read(&path)
    }

    const COMPLETE: &str = "# Prose, with an a = b.\n[a]\n# number = 7\nurl = \"http://there\"\n# url_file = \"x\"\n\
                            # token = \"x\"\ntoken_file = \"x\"\n[[a.tables]]\nname = \"users\"\n";

    #[test]
    fn a_complete_example_passes() {
        example(COMPLETE).assert_complete(&effective(), &[]);
    }

    #[test]
    #[should_panic(expected = "does not show [\"a.url_file\"]")]
    fn a_key_that_is_missing_is_named() {
        example(&COMPLETE.replace("# url_file = \"x\"\n", "")).assert_complete(&effective(), &[]);
    }

    #[test]
    #[should_panic(expected = "does not know [\"a.colour\"]")]
    fn a_key_that_does_not_exist_is_named() {
        example(&COMPLETE.replace("# number", "# colour = 1\n# number")).assert_complete(&effective(), &[]);
    }

    #[test]
    #[should_panic(expected = "the default of a.number")]
    fn a_default_that_is_another_is_named() {
        example(&COMPLETE.replace("number = 7", "number = 8")).assert_complete(&effective(), &[]);
    }

    #[test]
    fn a_default_of_the_machine_may_be_another() {
        let other = COMPLETE.replace("number = 7", "number = 8");
        example(&other).assert_complete(&effective(), &["a.number"]);
    }

    const TABLE: &str = "| key | default | of | |\n|---|---|---|---|\n| `a.number` | `7` | auth | x |\n\
                         | `a.url`, `a.token` | a place, none | both | x |\n| `a.tables` | none | both | x |\n\
                         | `b.other` | `1` | users | x |\n";

    #[test]
    fn a_complete_table_passes() {
        assert_table_complete(TABLE, "auth", &effective());
    }

    #[test]
    #[should_panic(expected = "in the table and in the program")]
    fn a_row_that_is_missing_is_found() {
        assert_table_complete(&TABLE.replace("`a.tables`", "`a.chairs`"), "auth", &effective());
    }

    #[test]
    #[should_panic(expected = "the default of a.number")]
    fn a_wrong_default_in_the_table_is_found() {
        assert_table_complete(&TABLE.replace("`7`", "`8`"), "auth", &effective());
    }
}
