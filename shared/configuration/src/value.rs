//! One value as it was given, before anybody said what type it should have. Knows no keys.

use std::fmt;

/// A value as it was given. From the environment and from the process's own defaults it is always a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<String>),
    /// A table without keys: nothing to read, but its name can be misspelled.
    EmptyTable,
    /// Something that TOML allows and no setting takes.
    Unfit(&'static str),
}

impl Value {
    /// A single value as text, whatever TOML made of it: `name = 12345` names something `12345`.
    pub(crate) fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Boolean(flag) => Some(flag.to_string()),
            Self::List(_) | Self::EmptyTable | Self::Unfit(_) => None,
        }
    }
}

impl fmt::Display for Value {
    /// As a TOML value on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write_quoted(f, text),
            Self::Integer(number) => write!(f, "{number}"),
            // `Debug` keeps the `.0` that makes it a float in TOML too.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Boolean(flag) => write!(f, "{flag}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    write_quoted(f, item)?;
                }
                f.write_str("]")
            }
            Self::EmptyTable => f.write_str("{}"),
            Self::Unfit(what) => f.write_str(what),
        }
    }
}

/// A TOML basic string. Written here because TOML writers put a text with line breaks on several lines.
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04X}", u32::from(control))?,
            plain => write!(f, "{plain}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::Value;

    #[test]
    fn every_text_is_written_as_one_line_of_toml_that_reads_back() {
        for text in
            ["plain", "with \"quotes\" and \\", "two\nlines\tand a tab", "\u{0}\u{1b}\u{7f}\u{85}", "ünï"]
        {
            let line = format!("key = {}", Value::Text(text.to_owned()));
            assert_eq!(line.lines().count(), 1);
            let table: toml::Table = line.parse().expect("valid TOML");
            assert_eq!(table["key"].as_str(), Some(text));
        }
    }

    #[test]
    fn numbers_and_flags_are_texts_when_a_text_is_wanted() {
        assert_eq!(Value::Integer(12_345).as_text().as_deref(), Some("12345"));
        assert_eq!(Value::Float(0.5).as_text().as_deref(), Some("0.5"));
        assert_eq!(Value::Boolean(true).as_text().as_deref(), Some("true"));
        assert_eq!(Value::List(vec![]).as_text(), None);
    }
}
