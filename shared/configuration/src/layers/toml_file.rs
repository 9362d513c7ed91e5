//! A TOML document as a flat list of dotted keys. Knows neither keys nor sources.

use toml::{Table, Value as Toml};

use crate::value::Value;

/// The values of a document. The error names the line and the rule of TOML that it breaks, not its text,
/// which may be a secret.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Value)>, String> {
    let table: Table = text.parse().map_err(|error| complaint(text, &error))?;
    let mut values = Vec::new();
    for (key, value) in table {
        flatten(key, value, &mut values);
    }
    Ok(values)
}

fn complaint(text: &str, error: &toml::de::Error) -> String {
    let line =
        error.span().and_then(|span| text.get(..span.start)).map_or(1, |before| before.split('\n').count());
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
                ("server.listen".to_owned(), text("127.0.0.1:50051")),
                ("top".to_owned(), Value::Integer(1)),
                ("workload.clients.0.name".to_owned(), text("users")),
                ("workload.clients.1.name".to_owned(), text("billing")),
            ],
        );
    }

    #[test]
    fn what_no_setting_takes_is_kept_as_unfit() {
        for document in ["key = 2026-01-01", "key = [[1]]", "key = [1, {}]", "key = [1.5]"] {
            let values = parse(document).expect("TOML");
            assert!(matches!(values.as_slice(), [(_, Value::Unfit(_))]), "{values:?}");
        }
    }

    #[test]
    fn empty_tables_and_lists_are_kept() {
        assert_eq!(parse("[session]").expect("TOML"), [("session".to_owned(), Value::EmptyTable)]);
        assert_eq!(parse("clients = []").expect("TOML"), [("clients".to_owned(), Value::List(vec![]))]);
        assert_eq!(parse("[[clients]]").expect("TOML"), [("clients.0".to_owned(), Value::EmptyTable)]);
    }
}
