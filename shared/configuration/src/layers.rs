//! Gathers what was given, layer over layer, before anybody asks for a key. Knows no keys and no types: a
//! key is a dotted path in lowercase, the entries of a list of tables are numbered (`workload.clients.0.name`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::effective::Effective;
use crate::problem::{Problem, Problems};
use crate::reader::Reader;
use crate::source::Source;
use crate::value::Value;

mod toml_file;

/// What was found for a key in the uppermost layer that has it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) value: Value,
    pub(crate) source: Source,
}

/// What was given, layer over layer. Add the layers from the lowest to the highest: defaults, file, environment.
#[derive(Debug)]
pub struct Layers {
    prefix: &'static str,
    found: BTreeMap<String, Found>,
    problems: Vec<Problem>,
    /// Keys, and why their values will not do whatever they are by themselves.
    refused: Vec<(&'static str, &'static str)>,
}

impl Layers {
    /// No layers yet; `prefix` is what the process's environment variables begin with: `AUTH` for `AUTH__…`.
    #[must_use]
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, found: BTreeMap::new(), problems: Vec::new(), refused: Vec::new() }
    }

    /// What a command is given: the file that it was started with, if there is one, and over it the environment.
    #[must_use]
    pub fn of_command(prefix: &'static str, file: Option<&Path>) -> Self {
        let layers = Self::new(prefix);
        if let Some(file) = file { layers.file(file) } else { layers }.environment()
    }

    /// Adds defaults that the process as a whole chooses, as pairs of key and text; `source` is what an
    /// operator is told about where they come from.
    #[must_use]
    pub fn defaults<I: IntoIterator<Item = (String, String)>>(mut self, source: &str, values: I) -> Self {
        for (key, text) in values {
            self.found
                .insert(key, Found { value: Value::Text(text), source: Source::Defaults(source.to_owned()) });
        }
        self
    }

    /// Adds a TOML file. One that cannot be read or is not TOML is a problem that [`Layers::read`] reports.
    #[must_use]
    pub fn file(mut self, path: &Path) -> Self {
        let source = |line| Source::File(path.to_owned(), line);
        let read = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"));
        match read.and_then(|text| toml_file::parse(&text)) {
            Ok(values) => {
                self.found.extend(values.into_iter().map(|(key, value, line)| {
                    let source = source(line);
                    (key, Found { value, source })
                }));
            }
            Err(why) => self.problems.push(Problem::of_source(why, source(None))),
        }
        self
    }

    /// Adds the environment of this process.
    #[must_use]
    pub fn environment(self) -> Self {
        self.os_variables(std::env::vars_os())
    }

    /// Adds the given variables as if they were the environment. Those without the prefix are ignored.
    ///
    /// After the prefix upper and lower case are the same, `__` separates section, key and the number of a
    /// table in a list: `AUTH__WORKLOAD__CLIENTS__0__NAME` is `name` in the first `[[workload.clients]]`. A
    /// table that the file has too is amended, not replaced.
    #[must_use]
    pub fn variables(self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.os_variables(variables.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// Leaves out whatever is not of one section, for a command that needs no other: what else was given may be wrong, and
    /// secrets among it are not read.
    #[must_use]
    pub fn section(mut self, section: &str) -> Self {
        self.found.retain(|key, _| key.split('.').next() == Some(section));
        self
    }

    /// Asks for some settings and leaves it to [`Layers::read`] to say what is wrong with them: for a process that has to know
    /// what another set of settings is about to say.
    #[must_use]
    pub fn look<T>(&self, settings: impl FnOnce(&mut Reader) -> T) -> T {
        settings(&mut Reader::new(self.found.clone(), Vec::new()))
    }

    /// Refuses whatever is given for a key, for a reason that these settings alone do not show.
    #[must_use]
    pub fn refuse(mut self, key: &'static str, why: &'static str) -> Self {
        self.refused.push((key, why));
        self
    }

    /// Asks for the settings and returns them with the effective configuration, or everything that is wrong.
    ///
    /// What was given and not asked for is a problem too: a misspelled key must not pass for a default.
    pub fn read<T>(self, settings: impl FnOnce(&mut Reader) -> T) -> Result<(T, Effective), Problems> {
        let mut reader = Reader::new(self.found, self.problems);
        let settings = settings(&mut reader);
        for (key, why) in self.refused {
            reader.refuse(key, why);
        }
        let (effective, problems) = reader.finish();
        match Problems::new(problems) {
            None => Ok((settings, effective)),
            Some(problems) => Err(problems),
        }
    }

    fn os_variables(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        // Sorted, so that the same environment gives the same report.
        let ours: BTreeMap<String, OsString> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| key_of(self.prefix, name).is_some())
            .collect();
        for (name, value) in ours {
            let Some(key) = key_of(self.prefix, &name) else {
                continue;
            };
            let source = Source::Variable(name);
            match value.into_string() {
                Ok(text) => self.add_variable(key, text, source),
                Err(_) => self.problems.push(Problem::of_key(key, None, "not valid UTF-8", source)),
            }
        }
        self
    }

    fn add_variable(&mut self, key: String, text: String, source: Source) {
        if let Some(earlier) = self.found.get(&key)
            && earlier.source.same_layer(&source)
        {
            let why = format!("also given as {}", earlier.source);
            self.problems.push(Problem::of_key(key, None, why, source));
            return;
        }
        self.found.insert(key, Found { value: Value::Text(text), source });
    }
}

/// The values of a document, each as TOML.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn parse_toml(text: &str) -> Result<Vec<(String, String)>, String> {
    Ok(toml_file::parse(text)?.into_iter().map(|(key, value, _)| (key, value.to_string())).collect())
}

/// `session.idle_timeout` for `AUTH__SESSION__IDLE_TIMEOUT`; `None` without the prefix.
fn key_of(prefix: &str, variable: &str) -> Option<String> {
    let path = variable.strip_prefix(prefix)?.strip_prefix("__")?;
    Some(path.to_lowercase().replace("__", "."))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;

    use tempfile::TempDir;

    use super::{Layers, key_of};

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn file(content: &str) -> (TempDir, std::path::PathBuf) {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("auth.toml");
        fs::write(&path, content).expect("write");
        (folder, path)
    }

    #[test]
    fn a_variable_names_a_key_whatever_its_case() {
        assert_eq!(key_of("AUTH", "AUTH__SESSION__IDLE_TIMEOUT").as_deref(), Some("session.idle_timeout"));
        assert_eq!(key_of("AUTH", "AUTH__Log__level").as_deref(), Some("log.level"));
        assert_eq!(key_of("AUTH", "AUTH_SERVICE_HOST"), None);
        assert_eq!(key_of("AUTH", "auth__log__level"), None);
        assert_eq!(key_of("AUTH", "USERS__LOG__LEVEL"), None);
    }

    #[test]
    fn each_layer_wins_over_the_one_below() {
        let (_folder, path) = file("[log]\nlevel = \"from file\"\nformat = \"from file\"\n");
        let given = Layers::new("AUTH")
            .defaults(
                "the all-in-one",
                [("log.level", "low"), ("log.format", "low"), ("log.target", "low")].map(|(k, v)| pair(k, v)),
            )
            .file(&path)
            .variables([pair("AUTH__LOG__LEVEL", "from variable")]);

        let (values, effective) = given
            .read(|settings| {
                ["log.level", "log.format", "log.target", "log.color"]
                    .map(|key| settings.text(key, "built in"))
            })
            .expect("no problems");

        assert_eq!(values, ["from variable", "from file", "low", "built in"]);
        let effective = effective.to_string();
        assert!(effective.contains("level = \"from variable\" # environment variable AUTH__LOG__LEVEL\n"));
        assert!(effective.contains(&format!("format = \"from file\" # file {}, line 3\n", path.display())));
        assert!(effective.contains("target = \"low\" # the all-in-one\n"));
        assert!(effective.contains("color = \"built in\" # built-in default\n"));
    }

    #[test]
    fn what_is_refused_from_outside_is_one_of_the_problems() {
        let given = Layers::new("USERS").variables([
            pair("USERS__LOG__LEVEL", "loud"),
            pair("USERS__LOG__FORMAT", "xml"),
            pair("USERS__COLOUR", "red"),
        ]);
        let formats = [("json", 1), ("text", 2)];
        assert_eq!(given.look(|settings| settings.text("log.level", "info")), "loud");
        assert_eq!(given.look(|settings| settings.one_of("log.format", "json", &formats)), 1, "its default");
        let read = given.refuse("log.level", "another was said").read(|settings| {
            let _ = settings.text("log.level", "info");
            settings.one_of("log.format", "json", &formats)
        });
        assert_eq!(
            read.expect_err("bad").to_string(),
            "  log.format = \"xml\": not one of json, text (environment variable USERS__LOG__FORMAT)\n  \
             log.level = \"loud\": another was said (environment variable USERS__LOG__LEVEL)\n  \
             colour: unknown key (environment variable USERS__COLOUR)\n"
        );
    }

    #[test]
    fn a_file_that_is_missing_is_a_problem() {
        let problems =
            Layers::new("AUTH").file("/nowhere/auth.toml".as_ref()).read(|_| ()).expect_err("missing");
        let problems = problems.to_string();
        assert!(problems.contains("  file /nowhere/auth.toml: cannot be read: No such file"), "{problems}");
    }

    #[test]
    fn a_file_that_is_not_toml_is_a_problem_that_does_not_show_its_text() {
        let (_folder, path) = file("[workload]\ntoken = hunter2 hunter2\n");
        let problems = Layers::new("AUTH").file(&path).read(|_| ()).expect_err("not TOML").to_string();
        assert!(problems.contains("auth.toml: not TOML, line 2: "), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn the_same_key_in_two_variables_is_a_problem() {
        let given = [pair("AUTH__LOG__LEVEL", "info"), pair("AUTH__log__LEVEL", "debug")];
        let problems = Layers::new("AUTH")
            .variables(given)
            .read(|settings| settings.text("log.level", "info"))
            .expect_err("ambiguous");
        assert_eq!(
            problems.to_string(),
            "  log.level: also given as environment variable AUTH__LOG__LEVEL (environment variable AUTH__log__LEVEL)\n",
        );
    }

    #[test]
    fn a_variable_that_is_not_text_is_a_problem_only_with_our_prefix() {
        let garbage = || OsString::from_vec(vec![0xff]);
        let problems = Layers::new("AUTH")
            .os_variables([("AUTH__LOG__LEVEL".into(), garbage()), ("PATH".into(), garbage())])
            .read(|settings| settings.text("log.level", "info"))
            .expect_err("not UTF-8");
        assert_eq!(
            problems.to_string(),
            "  log.level: not valid UTF-8 (environment variable AUTH__LOG__LEVEL)\n"
        );
    }
}
