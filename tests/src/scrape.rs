//! A page of metrics, read as strictly as the text format of Prometheus is written (version 0.0.4).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use crate::http::get_if_it_listens;
use crate::{discretion, get};

/// What tells one series of a metric from another.
type Labels<'a> = Vec<(&'a String, &'a String)>;

/// What a page says of one metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
}

/// One line.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The page of one process, or of several together.
#[derive(Debug, Default)]
pub struct Scrape {
    text: String,
    families: BTreeMap<String, Family>,
    samples: Vec<Sample>,
}

impl Scrape {
    /// Asks an operations listener.
    pub async fn of(ops: SocketAddr) -> Self {
        let (status, page) = get(ops, "/metrics").await;
        assert_eq!(status, 200, "{page}");
        Self::parse(page)
    }

    /// The same of a process that may have ended, or may be about to.
    pub async fn of_who_may_end(ops: SocketAddr) -> io::Result<Self> {
        let (status, page) = get_if_it_listens(ops, "/metrics").await?;
        assert_eq!(status, 200, "{page}");
        Ok(Self::parse(page))
    }

    /// Reads a page, and panics where it breaks the format.
    #[must_use]
    pub fn parse(text: String) -> Self {
        discretion::hear("a page of metrics", text.as_bytes());
        let mut page = Self::default();
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap_or_else(|| panic!("no help in {line}"));
                help.clone_into(&mut page.families.entry(name.to_owned()).or_default().help);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("no type in {line}"));
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let family = page.families.entry(name.to_owned()).or_default();
                assert!(family.kind.is_empty(), "a second time: {line}");
                kind.clone_into(&mut family.kind);
            } else {
                assert!(!line.starts_with('#'), "{line}");
                let sample = sample(line);
                assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "a second time: {line}");
                assert!(page.family_of(&sample.name).is_some(), "{line} has no type before it");
                page.samples.push(sample);
            }
        }
        for (name, family) in &page.families {
            assert!(
                !family.help.is_empty() && !family.kind.is_empty(),
                "{name} is not described: {family:?}"
            );
            assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
        }
        page.check_histograms();
        page.text = text;
        page
    }

    /// As it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of all metrics, each with its labels.
    #[must_use]
    pub fn families(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> =
            self.families.keys().map(|name| (name.clone(), BTreeSet::new())).collect();
        for sample in &self.samples {
            let name = self.family_of(&sample.name).expect("a family");
            let labels = sample.labels.keys().filter(|label| *label != "le");
            all.entry(name.to_owned()).or_default().extend(labels.cloned());
        }
        all
    }

    /// How many lines with a value there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// All values that have these labels and perhaps others, summed up; `None` if there is none.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &Sample, label: &str, value: &str| {
            sample.labels.get(label).is_some_and(|is| is == value)
        };
        let samples = self.samples.iter().filter(|sample| {
            sample.name == name && labels.iter().all(|(label, value)| has(sample, label, value))
        });
        samples.map(|sample| sample.value).reduce(|one, other| one + other)
    }

    /// The same where it is a whole number; 0 if there is none.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number, and no large one"
    )]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        let value = self.value(name, labels).unwrap_or_default();
        assert!(value.fract() == 0.0 && value >= 0.0, "{name} is {value}");
        value as usize
    }

    /// The values that a label has.
    #[must_use]
    pub fn values_of(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.samples.iter().filter(|sample| sample.name == name);
        samples.filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }

    fn family_of<'a>(&self, sample: &'a str) -> Option<&'a str> {
        if self.families.contains_key(sample) {
            return Some(sample);
        }
        let histogram =
            ["_bucket", "_sum", "_count"].iter().find_map(|suffix| sample.strip_suffix(suffix))?;
        self.families.get(histogram).filter(|family| family.kind == "histogram").map(|_| histogram)
    }

    /// Buckets hold what the ones before them hold, and the last one holds everything.
    fn check_histograms(&self) {
        for (name, _) in self.families.iter().filter(|(_, family)| family.kind == "histogram") {
            let mut buckets: BTreeMap<Labels<'_>, Vec<(f64, f64)>> = BTreeMap::new();
            for sample in self.samples.iter().filter(|sample| sample.name == format!("{name}_bucket")) {
                let bound = &sample.labels["le"];
                let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") };
                let labels = sample.labels.iter().filter(|(label, _)| *label != "le").collect();
                buckets.entry(labels).or_default().push((bound, sample.value));
            }
            assert!(!buckets.is_empty(), "{name} has no buckets");
            for (labels, buckets) in buckets {
                assert!(
                    buckets.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1),
                    "{name}: {buckets:?}"
                );
                let given: Vec<_> = labels.iter().map(|(label, is)| (label.as_str(), is.as_str())).collect();
                let count = self.value(&format!("{name}_count"), &given);
                assert_eq!(buckets.last().copied(), count.map(|count| (f64::INFINITY, count)), "{name}");
            }
        }
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number in {line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
    };
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(is_name(name), "{line}");
    // No label here has a comma, a quote or a backslash in its value; one that has fails.
    let labels = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
        let (label, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
        (label.to_owned(), value.to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect(), value }
}
