//! The configuration that a process really runs with, for printing. Knows values only in the form in which
//! they may be shown.

use std::fmt;

use crate::source::Source;

/// One key that was read, what may be shown of its value (as TOML), and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// `None` if the key has no value.
    pub(crate) shown: Option<String>,
    pub(crate) source: Source,
}

/// A key that somebody asked for, whether it is set or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Dotted, as in `session.idle_timeout`; in a list of tables with the table's number.
    pub key: String,
    /// Its built-in default, as TOML; `None` if it has none.
    pub default: Option<String>,
    /// Whether it names a file that holds the value of another key.
    pub is_stand_in: bool,
}

/// The effective configuration: every key that was read, in that order, section by section.
///
/// Displays as TOML with a comment behind each key that names its source. Secrets are masked, and so is the
/// user part of URLs; a key without a value is a comment of its own.
#[derive(Debug, Clone)]
pub struct Effective {
    settings: Vec<Setting>,
    known: Vec<Known>,
}

impl Effective {
    pub(crate) fn new(settings: Vec<Setting>, known: Vec<Known>) -> Self {
        Self { settings, known }
    }

    /// Every key that there is, sorted: what examples and pages about the settings must name. Those inside of a list of
    /// tables are known only if a table was given.
    #[must_use]
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// The sections in the order of their first key, the one without a name first, as TOML demands.
    fn sections(&self) -> Vec<(&str, Vec<&Setting>)> {
        let mut sections: Vec<(&str, Vec<&Setting>)> = vec![("", Vec::new())];
        for setting in &self.settings {
            let (section, _) = split(&setting.key);
            match sections.iter_mut().find(|(name, _)| *name == section) {
                Some((_, settings)) => settings.push(setting),
                None => sections.push((section, vec![setting])),
            }
        }
        sections.retain(|(_, settings)| !settings.is_empty());
        sections
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (section, settings)) in self.sections().into_iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n" })?;
            if !section.is_empty() {
                writeln!(f, "{}", header(section))?;
            }
            for Setting { key, shown, source } in settings {
                let (_, name) = split(key);
                match shown {
                    Some(shown) => writeln!(f, "{name} = {shown} # {source}")?,
                    None => writeln!(f, "# {name} is {source}")?,
                }
            }
        }
        Ok(())
    }
}

/// Section and name: `("session", "idle_timeout")`.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// `[session]`, and `[[workload.clients]]` for each `workload.clients.N`.
fn header(section: &str) -> String {
    let is_number = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_digit());
    let names: Vec<&str> = section.split('.').filter(|segment| !is_number(segment)).collect();
    let names = names.join(".");
    if is_number(split(section).1) { format!("[[{names}]]") } else { format!("[{names}]") }
}
