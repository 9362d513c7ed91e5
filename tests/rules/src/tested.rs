//! Which test shows what: the page that says so has a row for each key that an example file of a service shows and for no other,
//! and names only tests that there are. Whether a test shows what it is named for only its reader can tell.

use std::collections::BTreeSet;

use crate::{Source, Violation};

/// What the page leaves out, or names though it is not there. `examples` are the services, as the page calls them, each with
/// its example file.
#[must_use]
pub fn not_as_the_page_says(page: &Source, examples: &[(&str, &str)], sources: &[Source]) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for row in rows(&page.text) {
        let is_of = |service: &str| row.of == service || row.of == "both";
        let services: Vec<_> =
            examples.iter().map(|(service, _)| *service).filter(|service| is_of(service)).collect();
        for key in quoted(row.key) {
            if services.is_empty() {
                wrong.push(format!("has a row for {key} of no service"));
            }
            named.extend(services.iter().map(|service| (*service, key.to_owned())));
        }
        if quoted(row.test).next().is_none() && !row.test.starts_with("none") {
            wrong.push(format!("has a row with neither a test nor none: {}", row.test));
        }
        let missing = quoted(row.test).filter(|test| !is_there(test, sources));
        wrong.extend(missing.map(|test| format!("names the test {test}, which there is not")));
    }
    let shown: BTreeSet<_> = examples
        .iter()
        .flat_map(|(service, example)| keys(example).into_iter().map(move |key| (*service, key)))
        .collect();
    wrong.extend(shown.difference(&named).map(|(of, key)| format!("has no row for {key} of {of}")));
    let unknown = named.difference(&shown);
    wrong.extend(unknown.map(|(of, key)| format!("has a row for {key} of {of}, which has no such key")));
    wrong.into_iter().map(|what| Violation::new(&page.path, what)).collect()
}

/// A row of a table that has a column `test`. Without a column `key` or `of` it has nothing there.
struct Row<'page> {
    key: &'page str,
    of: &'page str,
    test: &'page str,
}

fn rows(page: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut head = Vec::new();
    for line in page.lines() {
        let Some(line) = line.strip_prefix('|') else {
            head.clear();
            continue;
        };
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if head.is_empty() {
            head = cells;
            continue;
        }
        let cell = |name: &str| {
            let place = head.iter().position(|title| *title == name);
            place.and_then(|place| cells.get(place)).copied()
        };
        let is_rule = line.bytes().all(|byte| matches!(byte, b'-' | b'|'));
        if let Some(test) = cell("test").filter(|_| !is_rule) {
            let (key, of) = (cell("key").unwrap_or_default(), cell("of").unwrap_or_default());
            rows.push(Row { key, of, test });
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// A test is where it is, in which modules, and what it is called: `e2e tls::a_handshake_is_made` or
/// `python limits_test.test_health`. It is looked for in the file of these modules; the last of them may be written inside it.
fn is_there(test: &str, sources: &[Source]) -> bool {
    let Some((place, path)) = test.split_once(' ') else { return false };
    let mut modules: Vec<&str> = path.split("::").flat_map(|part| part.split('.')).collect();
    let Some(name) = modules.pop() else { return false };
    let heads = [format!("fn {name}("), format!("fn {name}<"), format!("def {name}(")];
    sources.iter().any(|source| {
        let is_of_these = modules_in(place, source).is_some_and(|of_file| {
            let inside = modules.strip_prefix(of_file.as_slice());
            inside.is_some_and(|inside| inside.iter().all(|module| has_module(source, module)))
        });
        is_of_these && heads.iter().any(|head| source.text.contains(head.as_str()))
    })
}

/// The modules that a file is of, in a place as the page calls it; nothing if it is not there.
fn modules_in<'source>(place: &str, source: &'source Source) -> Option<Vec<&'source str>> {
    let folders = match place {
        "e2e" => vec!["tests/e2e/".to_owned()],
        "python" => vec!["tests/python/".to_owned()],
        "compose" => vec!["tests/containers/".to_owned()],
        package => ["services", "shared"]
            .iter()
            .flat_map(|group| ["src", "tests/it"].map(|of_it| format!("{group}/{package}/{of_it}/")))
            .chain([format!("tests/{package}/src/"), format!("tests/{package}/tests/")])
            .collect(),
    };
    let file = folders.iter().find_map(|folder| source.path.strip_prefix(folder.as_str()))?;
    let file = file.strip_suffix(".rs").or_else(|| file.strip_suffix(".py"))?;
    Some(file.split('/').filter(|name| !matches!(*name, "lib" | "main" | "it")).collect())
}

fn has_module(source: &Source, module: &str) -> bool {
    source.text.contains(&format!("mod {module} {{"))
}

/// The keys of an example file, set or behind `# `, with the section that they are in.
fn keys(example: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut section = "";
    for line in example.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.strip_prefix("# ").unwrap_or(line).split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            keys.push(format!("{section}.{key}"));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "| key | of | test |\n|---|---|---|\n\
                        | `log.level` | both | `e2e log::it_is_said` |\n\
                        | `workload.clients.name` | auth | none |\n\n\
                        | step | test | client |\n|---|---|---|\n\
                        | the end | `python ends.test_it_ends` | grpcio |\n";

    fn said(page: &str) -> Vec<String> {
        let auth = "# Prose, with an a = b.\n[log]\n# level = \"x\"\n[[workload.clients]]\nname = \"x\"\n";
        let examples = [("auth", auth), ("users", "[log]\nlevel = \"x\"\n")];
        let sources = [
            Source::new("tests/e2e/log.rs", "async fn it_is_said() {}"),
            Source::new("shared/log/src/lib.rs", "fn in_vain() {} mod tests { fn it_is_written() {} }"),
            Source::new("shared/log/tests/it/main.rs", "fn it_is_read() {}"),
            Source::new("tests/looks/tests/it.rs", "fn it_looks() {}"),
            Source::new("tests/python/ends.py", "def test_it_ends(self):"),
        ];
        let wrong = not_as_the_page_says(&Source::new("page.md", page), &examples, &sources);
        wrong.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn a_page_that_names_every_key_and_tests_that_there_are_is_right() {
        assert_eq!(said(PAGE), [""; 0]);
    }

    #[test]
    fn a_key_without_a_row_and_a_row_without_a_key_are_named() {
        let without = PAGE.replace("| both |", "| auth |");
        assert_eq!(said(&without), ["has no row for log.level of users"]);
        let unknown = PAGE.replace("| auth |", "| both |");
        assert_eq!(said(&unknown), ["has a row for workload.clients.name of users, which has no such key"]);
        let nobodys = format!("{PAGE}\n{}", PAGE.replace("| both |", "| nobody |"));
        assert_eq!(said(&nobodys), ["has a row for log.level of no service"]);
    }

    #[test]
    fn a_test_that_there_is_not_is_named_whatever_it_is_written_in() {
        let in_rust = PAGE.replace("it_is_said", "it_is_sung");
        assert_eq!(said(&in_rust), ["names the test e2e log::it_is_sung, which there is not"]);
        let in_python = PAGE.replace("test_it_ends", "test_it_begins");
        assert_eq!(said(&in_python), ["names the test python ends.test_it_begins, which there is not"]);
    }

    #[test]
    fn a_test_is_looked_for_where_it_is_said_to_be() {
        for there in ["e2e log::it_is_said", "log tests::it_is_written", "log it_is_read", "looks it_looks"] {
            let page = PAGE.replace("e2e log::it_is_said", there);
            assert_eq!(said(&page), [""; 0], "{there}");
        }
        for elsewhere in [
            "it_is_said",
            "e2e it_is_said",
            "e2e logs::it_is_said",
            "e2e log::tests::it_is_said",
            "log log::it_is_said",
            "log it_is_said",
            "logs tests::it_is_written",
            "log tests::more::it_is_written",
            "python log.it_is_said",
        ] {
            let page = PAGE.replace("e2e log::it_is_said", elsewhere);
            assert_eq!(said(&page), [format!("names the test {elsewhere}, which there is not")]);
        }
    }

    #[test]
    fn a_row_says_so_where_there_is_no_test() {
        let silent = PAGE.replace("| none |", "| by hand |");
        assert_eq!(said(&silent), ["has a row with neither a test nor none: by hand"]);
    }
}
