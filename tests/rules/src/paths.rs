//! Which paths a Rust source mentions: `use` trees taken apart, and every `a::b` elsewhere, macros' arguments included.

use std::iter::Peekable;
use std::vec::IntoIter;

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// A path in a source, such as `crate::grpc::wire`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The names between the `::`, in order; `*` for a glob.
    pub names: Vec<String>,
    /// The line it begins at, from 1.
    pub line: usize,
}

impl Mention {
    /// Whether the path leads into the crate `name` (or, in edition 2024, something else of that name in scope).
    #[must_use]
    pub fn is_of_crate(&self, name: &str) -> bool {
        self.names.first().is_some_and(|first| first == name)
    }

    /// Whether the path leads through something called `name`.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|part| part == name)
    }

    /// Whether the path begins with these names.
    #[must_use]
    pub fn starts_with(&self, names: &[&str]) -> bool {
        self.names.len() >= names.len() && self.names.iter().zip(names).all(|(ours, theirs)| ours == theirs)
    }
}

impl std::fmt::Display for Mention {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names.join("::"))
    }
}

/// The text is not a sequence of Rust tokens.
#[derive(Debug)]
pub struct NotRust(LexError);

impl std::fmt::Display for NotRust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not Rust: {}", self.0)
    }
}

/// Every path of at least two names, and everything a `use` imports.
pub fn mentions(source: &str) -> Result<Vec<Mention>, NotRust> {
    let mut found = Vec::new();
    walk(source.parse().map_err(NotRust)?, &mut found);
    Ok(found)
}

type Tokens = Peekable<IntoIter<TokenTree>>;

fn tokens(stream: TokenStream) -> Tokens {
    stream.into_iter().collect::<Vec<_>>().into_iter().peekable()
}

fn walk(stream: TokenStream, found: &mut Vec<Mention>) {
    let mut tokens = tokens(stream);
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => walk(group.stream(), found),
            TokenTree::Ident(word) if word == "use" => use_tree(&mut tokens, &[], found),
            TokenTree::Ident(word) => {
                let line = word.span().start().line;
                let mut names = vec![word.to_string()];
                while separator(&mut tokens) {
                    let Some(TokenTree::Ident(next)) = tokens.peek() else {
                        break;
                    };
                    names.push(next.to_string());
                    tokens.next();
                }
                if names.len() > 1 {
                    found.push(Mention { names, line });
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Takes a `::` if there is one.
fn separator(tokens: &mut Tokens) -> bool {
    let is_colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(p)) if p.as_char() == ':');
    let mut ahead = tokens.clone();
    let first = ahead.next();
    if is_colon(first.as_ref()) && is_colon(ahead.peek()) {
        tokens.next();
        tokens.next();
        return true;
    }
    false
}

/// One branch of a `use` tree: `a::b`, `a::{b, c}`, `a::*`, `a as b`. Stops before `,` and `;`.
fn use_tree(tokens: &mut Tokens, before: &[String], found: &mut Vec<Mention>) {
    let mut names = before.to_vec();
    let mut line = None;
    separator(tokens);
    while let Some(token) = tokens.peek().cloned() {
        line.get_or_insert_with(|| token.span().start().line);
        match token {
            TokenTree::Ident(word) if word != "as" => names.push(word.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => names.push("*".to_owned()),
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                tokens.next();
                return branches(group.stream(), &names, found);
            }
            // `as other`, the end of the tree, or the `use<'a>` of a return type, which imports nothing.
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) | TokenTree::Group(_) => break,
        }
        tokens.next();
        if !separator(tokens) {
            break;
        }
    }
    if names.len() > before.len() {
        found.push(Mention { names, line: line.unwrap_or_default() });
    }
}

fn branches(stream: TokenStream, before: &[String], found: &mut Vec<Mention>) {
    let mut tokens = tokens(stream);
    while tokens.peek().is_some() {
        use_tree(&mut tokens, before, found);
        // Whatever is left of the branch (`as name`), and its comma.
        for token in tokens.by_ref() {
            if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',') {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let found = mentions(source).expect("the example is Rust");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        assert_eq!(
            paths("use crate::{grpc::{self, wire as w}, sqlite};\npub use ::tonic::*;"),
            ["crate::grpc::self", "crate::grpc::wire", "crate::sqlite", "tonic::*"]
        );
    }

    #[test]
    fn a_bare_crate_is_seen_in_a_use() {
        assert_eq!(paths("use sqlx;"), ["sqlx"]);
        assert_eq!(paths("use {api as pb, http};"), ["api", "http"]);
    }

    #[test]
    fn paths_are_seen_in_bodies_and_macros() {
        assert_eq!(
            paths("fn f() -> api::users::User { info!(\"{}\", sqlx::Row::len(x)) }"),
            ["api::users::User", "sqlx::Row::len"]
        );
    }

    #[test]
    fn generic_arguments_end_a_path() {
        assert_eq!(paths("let v = std::vec::Vec::<u8>::new();"), ["std::vec::Vec"]);
    }

    #[test]
    fn comments_and_strings_are_no_paths() {
        assert_eq!(
            paths("//! sqlx::query\n/* sqlx::a */ const A: &str = \"sqlx::b\";"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_capturing_use_imports_nothing() {
        assert_eq!(paths("fn f<'a>() -> impl Sized + use<'a> {}"), Vec::<String>::new());
    }

    #[test]
    fn lines_are_counted_from_one() {
        let found = mentions("\nuse a::b;\n\nfn f() { c::d() }").expect("the example is Rust");
        assert_eq!(found.iter().map(|m| m.line).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn text_that_is_not_rust_is_an_error() {
        assert!(mentions("fn f() {").is_err());
    }
}
