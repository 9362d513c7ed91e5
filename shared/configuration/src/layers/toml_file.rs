//! A TOML document as a flat list of dotted keys. Knows neither keys nor sources.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value as Toml};

use crate::value::Value;

/// The values of a document, each with its line. The error names the line and the rule of TOML that it breaks, not its text,
/// which may be a secret.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Value, Option<usize>)>, String> {
    let table: Table = text.parse().map_err(|error| complaint(text, &error))?;
    let mut values = Vec::new();
    for (key, value) in table {
        flatten(key, value, &mut values);
    }
    let lines = lines(text);
    let with_line = |(key, value): (String, Value)| {
        let line = lines.get(&key).copied();
        (key, value, line)
    };
    Ok(values.into_iter().map(with_line).collect())
}

/// Where the keys stand.
fn lines(text: &str) -> BTreeMap<String, usize> {
    fn walk(text: &str, outer: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
        for (name, value) in table {
            let key = format!("{outer}{}", name.get_ref());
            lines.insert(key.clone(), line_of(text, name.span().start));
            match value.get_ref() {
                DeValue::Table(table) => walk(text, &format!("{key}."), table, lines),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        lines.insert(format!("{key}.{index}"), line_of(text, item.span().start));
                        if let DeValue::Table(table) = item.get_ref() {
                            walk(text, &format!("{key}.{index}."), table, lines);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let mut lines = BTreeMap::new();
    if let Ok(document) = DeTable::parse(text) {
        walk(text, "", document.get_ref(), &mut lines);
    }
    lines
}

/// Counted from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.get(..place).map_or(1, |before| before.split('\n').count())
}

fn complaint(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    format!("not TOML, line {line}: {}", error.message().replace('\n', ", "))
}

fn flatten(key: String, value: Toml, values: &mut Vec<(String, Value)>) {
    let value = match value {
        Toml::String(text) => Value::Text(text),
        Toml::Integer(number) => Value::Integer(number),
        Toml::Float(number) => Value::Float(number),
        Toml::Boolean(flag) => Value::Boolean(flag),
        Toml::Datetime(_) => Value::Unfit("a date"),
        Toml::Table(table) if table.is_empty() => Value::EmptyTable,
        Toml::Table(table) => {
            for (name, value) in table {
                flatten(format!("{key}.{name}"), value, values);
            }
            return;
        }
        Toml::Array(items) if !items.is_empty() && items.iter().all(Toml::is_table) => {
            for (index, item) in items.into_iter().enumerate() {
                flatten(format!("{key}.{index}"), item, values);
            }
            return;
        }
        Toml::Array(items) => list(items),
    };
    values.push((key, value));
}

fn list(items: Vec<Toml>) -> Value {
    let texts = items.into_iter().map(|item| match item {
        Toml::String(text) => Some(text),
        Toml::Integer(number) => Some(number.to_string()),
        _ => None,
    });
    texts.collect::<Option<_>>().map_or(Value::Unfit("a list of something other than texts"), Value::List)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::value::Value;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn tables_and_lists_of_tables_become_dotted_keys() {
        let document = r#"
            top = 1
            [server]
            listen = "127.0.0.1:50051"
            [[workload.clients]]
            name = "users"
            [[workload.clients]]
            name = "billing"
        "#;
        let mut values = parse(document).expect("TOML");
        values.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(
            values,
            [
                ("server.listen".to_owned(), text("127.0.0.1:50051"), Some(4)),
                ("top".to_owned(), Value::Integer(1), Some(2)),
                ("workload.clients.0.name".to_owned(), text("users"), Some(6)),
                ("workload.clients.1.name".to_owned(), text("billing"), Some(8)),
            ],
        );
    }

    #[test]
    fn keys_have_their_lines_however_they_are_written() {
        let document = "a.b = 1\n\n[c]\n# prose\nd = { e = 2, f = [\n 3 ] }\n\"g\" = 4\n[h]\n";
        let lines: Vec<_> =
            parse(document).expect("TOML").into_iter().map(|(key, _, line)| (key, line)).collect();
        let expected = [("a.b", 1), ("c.d.e", 5), ("c.d.f", 5), ("c.g", 7), ("h", 8)];
        assert_eq!(lines, expected.map(|(key, line)| (key.to_owned(), Some(line))));
    }

    #[test]
    fn what_no_setting_takes_is_kept_as_unfit() {
        for document in ["key = 2026-01-01", "key = [[1]]", "key = [1, {}]", "key = [1.5]"] {
            let values = parse(document).expect("TOML");
            assert!(matches!(values.as_slice(), [(_, Value::Unfit(_), _)]), "{values:?}");
        }
    }

    #[test]
    fn empty_tables_and_lists_are_kept() {
        for (document, key, value) in [
            ("[session]", "session", Value::EmptyTable),
            ("clients = []", "clients", Value::List(vec![])),
            ("[[clients]]", "clients.0", Value::EmptyTable),
        ] {
            assert_eq!(parse(document).expect("TOML"), [(key.to_owned(), value, Some(1))]);
        }
    }
}
