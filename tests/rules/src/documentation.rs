//! Where a reader must be told what a part is before any code: at every crate's root and at every module that is a
//! folder. (A missing comment on a single public item is the compiler's to report.)

use crate::{Source, Violation};

/// The roots and folder modules that begin with something else than `//!`.
#[must_use]
pub fn unopened(sources: &[Source]) -> Vec<Violation> {
    sources
        .iter()
        .filter(|source| is_root(source) || has_folder(source, sources))
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| {
            Violation::new(&source.path, "begins without `//!`: say what it is and what it does not know")
        })
        .collect()
}

fn is_root(source: &Source) -> bool {
    matches!(source.inside_crate()[..], ["lib" | "main"] | ["bin", _])
        || source.path.ends_with("/build.rs")
        || source.path.ends_with("/main.rs")
}

fn has_folder(source: &Source, sources: &[Source]) -> bool {
    let folder = source.path.trim_end_matches(".rs").to_owned() + "/";
    sources.iter().any(|other| other.path.starts_with(&folder))
}

/// The tests that a page names and that are not there. A test is a sentence: a name of five words or more.
#[must_use]
pub fn tests_that_are_not_there(place: &str, page: &str, sources: &[Source]) -> Vec<Violation> {
    let named = page.split('`').skip(1).step_by(2).filter(|name| is_a_sentence(name));
    let is_there = |name: &str| sources.iter().any(|source| source.text.contains(&format!("fn {name}(")));
    let missing = named.filter(|name| !is_there(name));
    missing.map(|name| Violation::new(place, format!("names the test {name}, which there is not"))).collect()
}

fn is_a_sentence(name: &str) -> bool {
    name.matches('_').count() >= 4 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_tests_that_there_are() {
        let sources = [Source::new("tests/x.rs", "#[test] fn what_was_said_is_so() {}")];
        let missing = |page: &str| tests_that_are_not_there("page.md", page, &sources).len();
        assert_eq!(missing("See `what_was_said_is_so` and `request_id`."), 0);
        assert_eq!(missing("See `what_was_said_is_so_not`."), 1);
    }

    fn places(sources: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = sources.iter().map(|(path, text)| Source::new(*path, *text)).collect();
        unopened(&sources).into_iter().map(|violation| violation.place).collect()
    }

    #[test]
    fn a_crate_opens_with_what_it_is() {
        assert_eq!(places(&[("shared/x/src/lib.rs", "use a;")]), ["shared/x/src/lib.rs"]);
        assert_eq!(places(&[("shared/x/src/lib.rs", "//! The x.")]), Vec::<String>::new());
        assert_eq!(places(&[("shared/x/tests/it/main.rs", "mod a;")]), ["shared/x/tests/it/main.rs"]);
    }

    #[test]
    fn a_module_that_is_a_folder_opens_with_what_it_is() {
        let rooms = [("shared/x/src/layer.rs", "mod room;"), ("shared/x/src/layer/room.rs", "use a;")];
        assert_eq!(places(&rooms), ["shared/x/src/layer.rs"]);
    }

    #[test]
    fn a_private_leaf_may_speak_through_its_type() {
        assert_eq!(places(&[("shared/x/src/name.rs", "use a;")]), Vec::<String>::new());
    }
}
