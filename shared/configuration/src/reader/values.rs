//! The getters of values that may be shown. Each knows one type: how it is written, and how to say that
//! something is not one.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use crate::layers::Found;
use crate::source::Source;
use crate::value::Value;

impl Reader {
    /// A text.
    pub fn text(&mut self, key: &'static str, default: &str) -> String {
        self.or_default(key, &Value::Text(default.to_owned()), text)
    }

    /// A text that may be absent.
    pub fn optional_text(&mut self, key: &'static str) -> Option<String> {
        self.given(key, None, text)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.or_default(key, &Value::Boolean(default), boolean)
    }

    /// A whole number in the given range.
    pub fn integer<N: TryFrom<i64>>(
        &mut self,
        key: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> N {
        self.or_default(key, &Value::Integer(default), |value| {
            let number = integer(value)?;
            let out_of_range = || format!("out of range {}..={}", range.start(), range.end());
            if !range.contains(&number) {
                return Err(out_of_range());
            }
            N::try_from(number).map_err(|_| out_of_range())
        })
    }

    /// A fraction of a whole: greater than 0 and less than 1.
    pub fn ratio(&mut self, key: &'static str, default: f64) -> f64 {
        self.or_default(key, &Value::Float(default), ratio)
    }

    /// A length of time in the given range, written as `30m`, `250ms` or `1h 30m`.
    pub fn duration(
        &mut self,
        key: &'static str,
        default: &str,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.or_default(key, &Value::Text(default.to_owned()), |value| {
            let duration = text(value)
                .ok()
                .and_then(|text| humantime::parse_duration(&text).ok())
                .ok_or("not a duration such as 30m")?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            let [start, end] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
            Err(format!("out of range {start}..={end}"))
        })
    }

    /// Texts: a list in the file, separated by commas in the environment. Absent is an empty list.
    pub fn list(&mut self, key: &'static str) -> Vec<String> {
        self.given(key, None, list).unwrap_or_default()
    }

    /// One of a few words, each with what it stands for.
    pub fn one_of<T: Clone>(&mut self, key: &'static str, default: &str, choices: &[(&str, T)]) -> T {
        self.or_default(key, &Value::Text(default.to_owned()), |value| {
            let text = value.as_text();
            let choice = choices.iter().find(|(word, _)| Some(*word) == text.as_deref());
            choice.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                format!("not one of {}", words.join(", "))
            })
        })
    }

    /// An IP address and a port; port 0 lets the system choose one.
    pub fn address(&mut self, key: &'static str, default: &str) -> SocketAddr {
        self.or_default(key, &Value::Text(default.to_owned()), |value| {
            let parsed = value.as_text().and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| "not an address such as 127.0.0.1:50051".to_owned())
        })
    }

    /// The path of a file or folder, which need not exist.
    pub fn path(&mut self, key: &'static str, default: &str) -> PathBuf {
        self.or_default(key, &Value::Text(default.to_owned()), path)
    }

    /// The path of a file or folder, if any is named.
    pub fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.given(key, None, path)
    }

    /// Several paths, written as a [`Reader::list`].
    pub fn paths(&mut self, key: &'static str) -> Vec<PathBuf> {
        self.list(key).into_iter().map(PathBuf::from).collect()
    }

    /// What was given for a key, or else its default, which must pass the same rules.
    fn or_default<T>(
        &mut self,
        key: &'static str,
        default: &Value,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        let fallback =
            parse(default).unwrap_or_else(|why| panic!("the built-in default {default} of {key} is {why}"));
        self.given(key, Some(default), parse).unwrap_or(fallback)
    }

    /// What was given for a key, if it is there and passes; otherwise notes the default that will take its
    /// place, or the problem.
    fn given<T>(
        &mut self,
        key: &'static str,
        default: Option<&Value>,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let key = self.claim(key);
        self.defaults.extend(default.map(|default| (key.clone(), default.to_string())));
        let Some(Found { value, source }) = self.found.get(&key).cloned() else {
            let source = if default.is_some() { Source::BuiltIn } else { Source::NotSet };
            self.record(key, default.map(Value::to_string), source);
            return None;
        };
        self.record(key.clone(), Some(value.to_string()), source);
        parse(&value).map_err(|why| self.complain(key, why)).ok()
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value.as_text() {
        None => Err("not a text".to_owned()),
        Some(text) if text.trim().is_empty() => Err("empty: leave the key out instead".to_owned()),
        Some(text) => Ok(text),
    }
}

fn path(value: &Value) -> Result<PathBuf, String> {
    text(value).map(PathBuf::from)
}

fn boolean(value: &Value) -> Result<bool, String> {
    let parsed = match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Text(text) => text.trim().to_lowercase().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| "neither true nor false".to_owned())
}

fn integer(value: &Value) -> Result<i64, String> {
    let parsed = match value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| "not a whole number".to_owned())
}

fn ratio(value: &Value) -> Result<f64, String> {
    let number: Option<f64> = match value {
        Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            value.as_text().and_then(|text| text.trim().parse().ok())
        }
        _ => None,
    };
    // Not a number compares as false and ends here too.
    number
        .filter(|number| *number > 0.0 && *number < 1.0)
        .ok_or_else(|| "not a number between 0 and 1, both excluded".to_owned())
}

fn list(value: &Value) -> Result<Vec<String>, String> {
    let items: Vec<String> = match value {
        Value::List(items) => items.clone(),
        Value::Text(text) if text.trim().is_empty() => Vec::new(),
        Value::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Value::Integer(_) => value.as_text().into_iter().collect(),
        _ => return Err("not a list of texts".to_owned()),
    };
    if items.iter().any(|item| item.trim().is_empty()) {
        return Err("an item of the list is empty".to_owned());
    }
    Ok(items)
}
