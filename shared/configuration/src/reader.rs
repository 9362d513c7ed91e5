//! Asks for keys, one by one, and keeps the books: which keys exist, what each is set to, what is wrong.
//!
//! The getters are in `reader/`: `values` for what may be shown, `secrets` for what may not.

use std::collections::{BTreeMap, BTreeSet};

use crate::effective::{Effective, Known, Setting};
use crate::layers::Found;
use crate::problem::Problem;
use crate::source::Source;
use crate::suggestion::nearest;
use crate::value::Value;

mod secrets;
mod values;

/// Asks for settings. Each call makes its key a known one and notes its effective value and where it came
/// from; a value that will not do is noted as a problem and its default returned, so that one reading finds
/// every problem.
///
/// A value is never an empty text: a key that is there and empty is a mistake, not a wish for the default.
///
/// # Panics
/// A built-in default that its own rules refuse, and a key that was claimed earlier as the file of a secret
/// (see [`Reader::secret`]), are errors of the program and panic whatever was given.
#[derive(Debug)]
pub struct Reader {
    found: BTreeMap<String, Found>,
    /// What precedes a key: `workload.clients.0.` inside of a list of tables, else empty.
    scope: String,
    known: BTreeSet<String>,
    /// The `…_file` keys that stand in for the secret or URL of that name.
    stand_ins: BTreeSet<String>,
    /// The built-in defaults, as TOML.
    defaults: BTreeMap<String, String>,
    settings: Vec<Setting>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(crate) fn new(found: BTreeMap<String, Found>, problems: Vec<Problem>) -> Self {
        Self {
            found,
            scope: String::new(),
            known: BTreeSet::new(),
            stand_ins: BTreeSet::new(),
            defaults: BTreeMap::new(),
            settings: Vec::new(),
            problems,
        }
    }

    /// A list of tables, `[[workload.clients]]` in the file and `PREFIX__WORKLOAD__CLIENTS__0__NAME` in the
    /// environment. `settings` is called for each; the keys that it asks for are those inside of the table.
    pub fn tables<T>(&mut self, key: &'static str, mut settings: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let key = self.claim(key);
        let not_tables = self.found.get(&key).filter(|found| found.value != Value::List(Vec::new()));
        if let Some(Found { source, .. }) = not_tables.cloned() {
            let why = format!("not a list of tables: write [[{key}]]");
            self.problems.push(Problem::of_key(key.clone(), None, why, source));
        }
        let tables = self.tables_of(&key);
        if tables.is_empty() {
            self.record(key.clone(), None, Source::NotSet);
        }
        let in_table = |index| {
            let outer = std::mem::replace(&mut self.scope, format!("{key}.{index}."));
            let table = settings(self);
            self.scope = outer;
            table
        };
        tables.into_iter().map(in_table).collect()
    }

    /// Whether somebody gave the key a value, in whatever layer: itself, or the file of a secret or URL that
    /// was asked for before.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        let key = self.full(key);
        let stand_in = stand_in_of(&key);
        self.found.contains_key(&key)
            || !self.tables_of(&key).is_empty()
            || self.stand_ins.contains(&stand_in) && self.found.contains_key(&stand_in)
    }

    /// Notes a problem that only the service can see, such as two keys that contradict each other. Reported
    /// with the key's value and source; of a secret, without its value.
    pub fn refuse(&mut self, key: &'static str, why: impl Into<String>) {
        let key = self.full(key);
        self.complain(key, why);
    }

    /// What was read, and everything that is wrong: the unknown keys last, when all the others are known.
    pub(crate) fn finish(mut self) -> (Effective, Vec<Problem>) {
        for (key, found) in &self.found {
            if self.known.contains(key) || found.value == Value::EmptyTable && self.is_known_section(key) {
                continue;
            }
            let why = match nearest(key, self.known.iter().map(String::as_str)) {
                Some(meant) => format!("unknown key, did you mean {meant}?"),
                None => "unknown key".to_owned(),
            };
            // Without the value: a misspelled key may well hold a secret.
            self.problems.push(Problem::of_key(key.clone(), None, why, found.source.clone()));
        }
        let known = self.known.into_iter().map(|key| {
            let (default, is_stand_in) = (self.defaults.remove(&key), self.stand_ins.contains(&key));
            Known { key, default, is_stand_in }
        });
        (Effective::new(self.settings, known.collect()), self.problems)
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.scope)
    }

    /// Makes a key a known one and returns it in full.
    fn claim(&mut self, key: &str) -> String {
        let key = self.full(key);
        assert!(
            !self.stand_ins.contains(&key),
            "{key} stands in for a secret already: ask for it first to make it a key of its own"
        );
        self.known.insert(key.clone());
        key
    }

    fn record(&mut self, key: String, shown: Option<String>, source: Source) {
        // A key may be asked for twice, but TOML allows it once.
        if !self.settings.iter().any(|setting| setting.key == key) {
            self.settings.push(Setting { key, shown, source });
        }
    }

    fn complain(&mut self, key: String, why: impl Into<String>) {
        let (shown, source) = match self.settings.iter().find(|setting| setting.key == key) {
            Some(setting) => (setting.shown.clone(), setting.source.clone()),
            None => (None, self.found.get(&key).map_or(Source::NotSet, |found| found.source.clone())),
        };
        self.problems.push(Problem::of_key(key, shown, why, source));
    }

    /// The numbers of the tables that were given in the list of this name.
    fn tables_of(&self, key: &str) -> BTreeSet<usize> {
        let inside = format!("{key}.");
        let numbers = self.found.keys().filter_map(|found| {
            let segment = found.strip_prefix(&inside)?.split('.').next()?;
            // `00` would be the table 0 here and another one in the key.
            segment.parse().ok().filter(|number: &usize| number.to_string() == segment)
        });
        numbers.collect()
    }

    fn is_known_section(&self, section: &str) -> bool {
        let inside = format!("{section}.");
        self.known.iter().any(|key| key.starts_with(&inside))
    }
}

/// The key that may name a file with the value of another key.
fn stand_in_of(key: &str) -> String {
    format!("{key}_file")
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
