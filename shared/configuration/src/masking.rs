//! What may be shown of values that hold secrets, and which secrets are none.

/// What is printed in place of a secret.
pub(crate) const MASK: &str = "********";

/// Words that stand where a secret should: from examples, templates, and our own masked output.
const PLACEHOLDERS: [&str; 11] = [
    "changeme",
    "change-me",
    "change_me",
    "change me",
    "secret",
    "password",
    "example",
    "placeholder",
    "todo",
    "xxx",
    "…",
];

/// Whether a text only holds the place of a secret that somebody should have chosen.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let template =
        text.starts_with('<') && text.ends_with('>') || text.starts_with("${") && text.ends_with('}');
    template || text.chars().all(|c| c == '*' || c == '.') || PLACEHOLDERS.contains(&text.as_str())
}

/// The password inside of a URL, if there is one.
pub(crate) fn url_password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (userinfo, _) = rest.rsplit_once('@')?;
    userinfo.split_once(':').map(|(_, password)| password)
}

/// A URL that may be shown: user and password masked, and so are query parameters that hold passwords.
///
/// Everything up to the last `@` counts as userinfo, wherever a parser would end it: a password with a raw
/// `/` or `?` in it must not be shown because it is written wrongly.
pub(crate) fn masked_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (userinfo, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{MASK}@"), rest),
        None => (String::new(), rest),
    };
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, format!("?{}", masked_query(query))),
        None => (rest, String::new()),
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{userinfo}{place}{query}")
}

fn masked_query(query: &str) -> String {
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}={MASK}"),
            _ => parameter.to_owned(),
        })
        .collect();
    parameters.join("&")
}

#[cfg(test)]
mod tests {
    use super::{is_placeholder, masked_url, url_password};

    #[test]
    fn a_url_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("postgres://auth:hunter2@db:5432/auth", "postgres://********@db:5432/auth"),
            ("postgres://auth@db/auth", "postgres://********@db/auth"),
            ("postgres://auth:p/w?x@db/auth", "postgres://********@db/auth"),
            ("postgres://auth:a@b@db/auth", "postgres://********@db/auth"),
            ("postgres://db/auth?user=a&password=hunter2", "postgres://db/auth?user=a&password=********"),
            ("auth:hunter2@db", "********@db"),
            ("sqlite://./data/auth.sqlite", "sqlite://./data/auth.sqlite"),
            ("dns:///auth:50052", "dns:///auth:50052"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }

    #[test]
    fn the_password_of_a_url_is_found() {
        assert_eq!(url_password("postgres://auth:changeme@db/auth"), Some("changeme"));
        assert_eq!(url_password("postgres://auth@db/auth"), None);
        assert_eq!(url_password("http://auth:50052"), None);
    }

    #[test]
    fn what_examples_put_in_place_of_a_secret_is_none() {
        for text in [
            "",
            "  ",
            "changeme",
            "ChangeMe",
            " change-me ",
            "secret",
            "password",
            "example",
            "<token>",
            "${TOKEN}",
            "…",
            "...",
            "********",
        ] {
            assert!(is_placeholder(text), "{text:?}");
        }
        assert!(!is_placeholder("q4bq0hXnTf2n8k0VJ6m0tA"));
        assert!(!is_placeholder("a secret sentence"));
    }
}
