//! The getters of values that may not be shown, or not whole.
//!
//! Secrets and URLs can also be given as the path of a file that holds the value, under the same name with
//! `_file` behind it. A file with a secret must not be readable by everyone.

use std::path::{Path, PathBuf};

use fail_point::confide;
use secrecy::{ExposeSecret, SecretString};

use super::{Reader, stand_in_of};
use crate::layers::Found;
use crate::masking::{MASK, is_placeholder, masked_url, url_password};
use crate::problem::Problem;
use crate::secret_file::SecretFile;
use crate::source::Source;
use crate::value::Value;

impl Reader {
    /// A secret, or the one in the file that `KEY_file` (`…__KEY_FILE`) names; both in one layer contradict
    /// each other. Placeholders such as `changeme` are refused; how long a secret must be is the caller's.
    ///
    /// A service that has a key `KEY_file` of its own, because it wants the path too, must ask for that one
    /// first: then it does not stand in for `KEY`.
    pub fn secret(&mut self, key: &'static str) -> Option<SecretString> {
        let key = self.claim(key);
        let secret = match self.own_or_in_file(&key) {
            Ok(Some((secret, source))) => {
                self.record(key.clone(), Some(Value::Text(MASK.to_owned()).to_string()), source);
                secret
            }
            Ok(None) => {
                self.record(key, None, Source::NotSet);
                return None;
            }
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        if is_placeholder(secret.expose_secret()) {
            self.complain(key, "a placeholder, not a secret");
            return None;
        }
        Some(secret)
    }

    /// A URL: `scheme://…`. Can be given as a file like a [`Reader::secret`], because it may hold a
    /// password; user and password are masked wherever it is shown.
    pub fn url(&mut self, key: &'static str, default: Option<&str>) -> Option<String> {
        let default = default.map(|url| sound_default(key, url));
        let full_key = self.claim(key);
        self.defaults.extend(default.as_deref().map(|url| (full_key.clone(), shown_url(url))));
        let (url, source) = match self.own_or_in_file(&full_key) {
            Ok(Some((url, source))) => (url, source),
            Ok(None) => {
                let source = if default.is_some() { Source::BuiltIn } else { Source::NotSet };
                self.record(full_key, default.as_deref().map(shown_url), source);
                return default;
            }
            Err(problem) => {
                self.problems.push(problem);
                return default;
            }
        };
        let url = url.expose_secret();
        self.record(full_key.clone(), Some(shown_url(url)), source);
        if let Some(flaw) = url_flaw(url) {
            self.complain(full_key, flaw);
            return default;
        }
        Some(url.to_owned())
    }

    /// The path of a file that holds a secret, and its content.
    pub fn secret_file(&mut self, key: &'static str) -> Option<SecretFile> {
        let path = self.optional_path(key)?;
        self.load(key, &path)
    }

    /// Several files that hold a secret each, written as a [`Reader::list`] of paths.
    pub fn secret_files(&mut self, key: &'static str) -> Vec<SecretFile> {
        let paths: Vec<PathBuf> = self.paths(key);
        paths.iter().filter_map(|path| self.load(key, path)).collect()
    }

    fn load(&mut self, key: &'static str, path: &Path) -> Option<SecretFile> {
        SecretFile::load(path).map_err(|unfit| self.refuse(key, unfit.to_string())).ok()
    }

    /// The value of a key, or that of the file which the key's stand-in names; the upper layer wins.
    fn own_or_in_file(&mut self, key: &str) -> Result<Option<(SecretString, Source)>, Problem> {
        let own = self.found.get(key).cloned();
        let stand_in = self.claim_stand_in(key);
        match (own, stand_in) {
            (None, None) => Ok(None),
            (Some(own), Some((_, file))) if own.source.same_layer(&file.source) => Err(Problem::of_key(
                key.to_owned(),
                None,
                format!("also given as {}", file.source),
                own.source,
            )),
            (Some(own), Some((_, file))) if own.source > file.source => in_place(key, &own).map(Some),
            (Some(own), None) => in_place(key, &own).map(Some),
            (_, Some((stand_in, file))) => in_file(&stand_in, &file).map(Some),
        }
    }

    /// The stand-in of a key and what was found for it, unless it is a key of its own.
    fn claim_stand_in(&mut self, key: &str) -> Option<(String, Found)> {
        let stand_in = stand_in_of(key);
        if !self.stand_ins.contains(&stand_in) && self.known.contains(&stand_in) {
            return None;
        }
        self.known.insert(stand_in.clone());
        self.stand_ins.insert(stand_in.clone());
        let found = self.found.get(&stand_in).cloned()?;
        Some((stand_in, found))
    }
}

fn in_place(key: &str, found: &Found) -> Result<(SecretString, Source), Problem> {
    let refuse = |why: &str| Problem::of_key(key.to_owned(), None, why, found.source.clone());
    let text = found.value.as_text().ok_or_else(|| refuse("not a text"))?;
    if text.trim().is_empty() {
        return Err(refuse("empty: leave the key out instead"));
    }
    confide("a setting", &text);
    Ok((text.into(), found.source.clone()))
}

fn in_file(stand_in: &str, found: &Found) -> Result<(SecretString, Source), Problem> {
    let refuse = |why: &str| Problem::of_key(stand_in.to_owned(), None, why, found.source.clone());
    let path = found.value.as_text().ok_or_else(|| refuse("not a path"))?;
    let file = SecretFile::load(Path::new(&path)).map_err(|unfit| refuse(&unfit.to_string()))?;
    Ok((file.content, Source::Named { file: file.path, by: Box::new(found.source.clone()) }))
}

fn shown_url(url: &str) -> String {
    Value::Text(masked_url(url)).to_string()
}

/// A built-in default that is no URL is an error of the program.
fn sound_default(key: &str, url: &str) -> String {
    match url_flaw(url) {
        None => url.to_owned(),
        Some(flaw) => panic!("the built-in default of {key} is {flaw}"),
    }
}

fn url_flaw(url: &str) -> Option<&'static str> {
    if url_password(url).is_some_and(is_placeholder) {
        return Some("a URL with a placeholder for a password");
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let is_url =
        is_scheme && !rest.is_empty() && !url.contains(|c: char| c.is_whitespace() || c.is_control());
    (!is_url).then_some("not a URL such as scheme://place")
}
