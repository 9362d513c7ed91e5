//! Deliberate defects (`fail_point::mutant`): each that a table of the tests names is in the code, and each in the code is looked
//! for. One that went away with a line of the code would otherwise be missed only by whoever runs the longest tests.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};

use crate::{Source, Violation};

/// Defects that are looked for and not there, or there and not looked for.
#[must_use]
pub fn not_both_there_and_looked_for(sources: &[Source]) -> Vec<Violation> {
    let mut found = Found::default();
    let mut violations = Vec::new();
    for source in sources {
        match source.text.parse() {
            Ok(tokens) => found.look(&source.path, tokens),
            Err(error) => violations.push(Violation::new(&source.path, format!("not Rust: {error}"))),
        }
    }
    let Found { there, looked_for } = found;
    for (name, place) in looked_for.iter().filter(|(name, _)| !there.contains_key(*name)) {
        violations.push(Violation::new(place, format!("looks for the defect {name}, which there is not")));
    }
    for (name, place) in there.iter().filter(|(name, _)| !looked_for.contains_key(*name)) {
        violations.push(Violation::new(place, format!("has the defect {name}, for which nothing looks")));
    }
    violations
}

/// The names of defects, with a place of each.
#[derive(Default)]
struct Found {
    /// `mutant("…")`
    there: BTreeMap<String, String>,
    /// `name: "…"`, `defect: "…"` or `"…" breaks`
    looked_for: BTreeMap<String, String>,
}

impl Found {
    fn look(&mut self, path: &str, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            let words = |from: usize| tokens[from..=at].iter().map(ToString::to_string).collect::<Vec<_>>();
            match token {
                TokenTree::Group(group) => {
                    if at > 0 && words(at - 1)[0] == "mutant" {
                        let name = name(&group.stream().to_string());
                        self.there.extend(name.map(|name| (name, path.to_owned())));
                    }
                    self.look(path, group.stream());
                }
                TokenTree::Literal(literal) => {
                    let is_field = at > 1
                        && matches!(&words(at - 2)[..2], [field, colon] if is_field(field) && colon == ":");
                    let breaks = tokens.get(at + 1).is_some_and(|next| next.to_string() == "breaks");
                    if is_field || breaks {
                        let name = name(&literal.to_string());
                        self.looked_for.extend(name.map(|name| (name, path.to_owned())));
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

fn is_field(word: &str) -> bool {
    matches!(word, "name" | "defect")
}

/// What it is of, a full stop, and what is wrong, in quotes.
fn name(literal: &str) -> Option<String> {
    let name = literal.strip_prefix('"')?.strip_suffix('"')?;
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let (of, wrong) = name.split_once('.')?;
    (is_word(of) && is_word(wrong)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(code: &str, table: &str) -> Vec<String> {
        let sources = [Source::new("services/x.rs", code), Source::new("tests/y.rs", table)];
        not_both_there_and_looked_for(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_looked_for_is_there_and_what_is_there_is_looked_for() {
        let code = "if mutant(\"log_in.twice\") {}";
        assert!(violations(code, "Mutant { name: \"log_in.twice\", is: \"…\" }").is_empty());
        assert!(violations(code, "Target { defect: \"log_in.twice\", run }").is_empty());
        assert!(violations(code, "it_is_done_twice: \"log_in.twice\" breaks I1;").is_empty());
        let [missing] = &violations("", "Mutant { name: \"log_in.twice\", is: \"…\" }")[..] else {
            panic!()
        };
        assert!(missing.contains("tests/y.rs") && missing.contains("log_in.twice"), "{missing}");
        let [unseen] = &violations(code, "")[..] else { panic!() };
        assert!(unseen.contains("services/x.rs") && unseen.contains("log_in.twice"), "{unseen}");
    }

    #[test]
    fn other_names_and_comments_are_no_defects() {
        assert!(violations("// mutant(\"log_in.twice\")", "").is_empty());
        assert!(violations("", "Field { name: \"username\", of: \"x.y\" }").is_empty());
    }
}
