//! What was measured, as a table with its limits.

use std::fmt::{self, Display};

/// The longest line of text.
const LINE: usize = 120;

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// One thing to another.
    Ratio,
    /// The same where a hundredth matters.
    FineRatio,
    /// A part of all, given between 0 and 1.
    Share,
    /// Something in each second.
    PerSecond,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// MiB.
    Mib,
    /// KiB.
    Kib,
    /// How many.
    Count,
    /// How many, where a part of one matters.
    FineCount,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure, what it was in each round, and its limit.
#[derive(Debug)]
pub(crate) struct Figure {
    what: String,
    unit: Unit,
    value: f64,
    rounds: Vec<f64>,
    limit: Option<Limit>,
}

impl Figure {
    /// The median of what the rounds gave; those that had nothing to measure are left out.
    pub(crate) fn median(what: impl Into<String>, unit: Unit, rounds: Vec<f64>) -> Self {
        Self::of(what, unit, median(&rounds), rounds)
    }

    /// One over all rounds that is not their median.
    pub(crate) fn of(what: impl Into<String>, unit: Unit, value: f64, rounds: Vec<f64>) -> Self {
        Self { what: what.into(), unit, value, rounds, limit: None }
    }

    /// It should be no less.
    pub(crate) fn at_least(self, limit: f64) -> Self {
        Self { limit: Some(Limit::AtLeast(limit)), ..self }
    }

    /// It should be no more.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(Limit::AtMost(limit)), ..self }
    }

    fn is_met(&self) -> Option<bool> {
        Some(match self.limit? {
            Limit::AtLeast(limit) => self.value >= limit,
            Limit::AtMost(limit) => self.value <= limit,
        })
    }

    fn range(&self) -> String {
        let measured = || self.rounds.iter().copied().filter(|value| !value.is_nan());
        let (least, most) =
            (measured().fold(f64::INFINITY, f64::min), measured().fold(f64::NEG_INFINITY, f64::max));
        if measured().count() < 2 {
            return String::new();
        }
        format!("{} to {}", self.unit.number(least), self.unit.number(most))
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.limit {
            None => String::new(),
            Some(Limit::AtLeast(limit)) => format!("≥ {}", self.unit.text(limit)),
            Some(Limit::AtMost(limit)) => format!("≤ {}", self.unit.text(limit)),
        };
        let verdict = match self.is_met() {
            None => "",
            Some(_) if self.value.is_nan() => "nothing to measure",
            Some(true) => "met",
            Some(false) => "**not met**",
        };
        let value = self.unit.text(self.value);
        write!(f, "| {} | {value} | {} | {limit} | {verdict} |", self.what, self.range())
    }
}

impl Unit {
    fn number(self, value: f64) -> String {
        match self {
            Self::FineRatio => format!("{value:.3}"),
            Self::Ratio if value < 0.1 => format!("{value:.3}"),
            Self::Ratio | Self::Millis => format!("{value:.2}"),
            Self::Share => format!("{:.2}", value * 100.0),
            Self::PerSecond if value >= 1000.0 => format!("{value:.0}"),
            Self::PerSecond | Self::Micros | Self::Mib | Self::Kib | Self::FineCount => format!("{value:.1}"),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn text(self, value: f64) -> String {
        if value.is_nan() {
            return "none".to_owned();
        }
        let unit = match self {
            Self::Ratio | Self::FineRatio | Self::Count | Self::FineCount => "",
            Self::Share => " %",
            Self::PerSecond => " /s",
            Self::Millis => " ms",
            Self::Micros => " µs",
            Self::Mib => " MiB",
            Self::Kib => " KiB",
        };
        self.number(value) + unit
    }
}

/// A table.
#[derive(Debug)]
pub(crate) struct Section {
    /// Its heading.
    pub(crate) title: &'static str,
    /// What is in it.
    pub(crate) figures: Vec<Figure>,
    /// What has to be known to read it.
    pub(crate) notes: Vec<String>,
}

impl Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n### {}\n", self.title)?;
        writeln!(f, "| | figure | over the rounds | limit | |\n|---|---|---|---|---|")?;
        for figure in &self.figures {
            writeln!(f, "{figure}")?;
        }
        for note in &self.notes {
            writeln!(f, "\n{}", wrapped(note))?;
        }
        Ok(())
    }
}

/// In lines that are no longer than those of the rest of the page.
fn wrapped(text: &str) -> String {
    let (mut lines, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > LINE {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += width;
    }
    lines
}

/// The middle one; of an even number the mean of the two in the middle. NaNs do not count.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_leaves_out_what_was_not_measured() {
        assert!((median(&[3.0, f64::NAN, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < 1e-9);
        assert!(median(&[f64::NAN]).is_nan());
    }

    #[test]
    fn a_note_has_no_long_lines_and_all_its_words() {
        let note = "what everybody says ".repeat(20).trim_end().to_owned();
        let shown = wrapped(&note);
        assert!(shown.lines().all(|line| line.len() <= LINE), "{shown}");
        assert_eq!(shown.replace('\n', " "), note);
    }

    #[test]
    fn a_figure_says_whether_its_limit_is_met() {
        let shown =
            |value: f64| Figure::median("log-ins", Unit::Ratio, vec![value, value]).at_least(0.9).to_string();
        assert_eq!(shown(0.934), "| log-ins | 0.93 | 0.93 to 0.93 | ≥ 0.90 | met |");
        assert_eq!(shown(0.85), "| log-ins | 0.85 | 0.85 to 0.85 | ≥ 0.90 | **not met** |");
        assert_eq!(shown(f64::NAN), "| log-ins | none |  | ≥ 0.90 | nothing to measure |");
    }
}
