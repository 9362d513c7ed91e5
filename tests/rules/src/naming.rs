//! What a source file may be called and how long it may grow.

use crate::{Source, Violation};

/// Names that say nothing about what is inside, so that everything ends up inside.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "util", "utils", "impls"];

/// A file that is longer does more than one job. Tests at its end are not counted.
const MOST_LINES: usize = 450;

/// What is wrong with the file's name.
#[must_use]
pub fn bad_name(source: &Source) -> Vec<Violation> {
    let names = source.names();
    let mut violations = Vec::new();
    if names.last() == Some(&"mod") {
        violations.push(Violation::new(&source.path, "a module is foo.rs beside foo/, never foo/mod.rs"));
    }
    for name in names.iter().filter(|name| EMPTY_NAMES.contains(name)) {
        let what = format!("`{name}` says nothing about what is inside: name the thing");
        violations.push(Violation::new(&source.path, what));
    }
    violations
}

/// Whether the file is too long to be read at a sitting.
#[must_use]
pub fn too_long(source: &Source) -> Option<Violation> {
    if source.is_test() {
        return None;
    }
    let lines = source.text.lines().take_while(|line| line.trim_start() != "#[cfg(test)]").count();
    (lines > MOST_LINES).then(|| {
        let what =
            format!("{lines} lines before its tests, more than {MOST_LINES}: it does more than one job");
        Violation::new(&source.path, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_rs_is_refused() {
        assert_eq!(bad_name(&Source::new("shared/x/src/layer/mod.rs", "")).len(), 1);
        assert_eq!(bad_name(&Source::new("shared/x/src/layer.rs", "")), []);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        assert_eq!(bad_name(&Source::new("shared/x/src/utils.rs", "")).len(), 1);
        assert_eq!(bad_name(&Source::new("shared/common/src/lib.rs", "")).len(), 1);
        assert_eq!(bad_name(&Source::new("shared/x/src/common_passwords.rs", "")), []);
    }

    #[test]
    fn long_files_are_refused() {
        let path = "shared/x/src/lib.rs";
        assert!(too_long(&Source::new(path, "let x = 1;\n".repeat(451))).is_some());
        assert!(too_long(&Source::new(path, "let x = 1;\n".repeat(450))).is_none());
    }

    #[test]
    fn tests_do_not_make_a_file_long() {
        let text = format!("{}#[cfg(test)]\n{}", "//\n".repeat(450), "//\n".repeat(200));
        assert!(too_long(&Source::new("shared/x/src/lib.rs", text)).is_none());
        let tests = Source::new("shared/x/tests/it/main.rs", "//\n".repeat(451));
        assert!(too_long(&tests).is_none());
    }
}
