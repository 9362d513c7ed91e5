//! What a Tandem process says of itself: its log on standard error, its metrics, and its traces.
//!
//! It knows no service, and not what is said: [`init_log`] is where lines go and which are let through, [`record_metrics`]
//! where numbers are kept, [`export_traces`] where spans are sent. `docs/telemetry.md` tells operators about all three.

#[cfg(test)]
use overheard as _;

mod buffered;
mod end;
mod json;
mod origin;
#[cfg(feature = "testing")]
mod overhear;
mod process;
mod text;
mod traces;

use std::fs::File;
use std::io::{IsTerminal as _, stderr};
use std::os::fd::AsFd as _;

use configuration::Reader;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use buffered::{Buffered, SECURITY};
use json::JsonLine;
use origin::OursInDetail;
use text::TextLine;

pub use buffered::CAN_WAIT;
pub use end::gone_by;
#[cfg(feature = "testing")]
pub use overhear::overhear;
pub use traces::{Traces, check_traces, export_traces};

pub use process::record_process;

/// The settings `log.level` and `log.format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A level (`info`), or levels by target (`info,users_service=debug`). Whatever it says, other people's code is heard up
    /// to `info` only.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];

impl LogSettings {
    /// Reads the section `log`.
    pub fn read(reader: &mut Reader) -> Self {
        let level = reader.text("log.level", "info");
        if let Err(problem) = parse(&level) {
            reader.refuse("log.level", problem.to_string());
        }
        Self { level, format: reader.one_of("log.format", "auto", &FORMATS) }
    }

    /// The section, for somebody who logs with this one.
    #[must_use]
    pub fn section(&self) -> [(String, String); 2] {
        let format =
            FORMATS.into_iter().find(|(_, format)| *format == self.format).map_or("auto", |(name, _)| name);
        [("log.level".to_owned(), self.level.clone()), ("log.format".to_owned(), format.to_owned())]
    }
}

/// What is said to `security` is let through unless the level names it: whoever wants less noise does not mean that nobody
/// should know who did what.
fn parse(level: &str) -> Result<EnvFilter, LevelError> {
    let level = level.split(',').map(says_a_level).collect::<Result<Vec<_>, _>>()?.join(",");
    let filter = EnvFilter::builder().parse(format!("{PEERS},{level}"))?;
    let targets = level.split(',').filter_map(|directive| directive.split(['=', '[']).next());
    if targets.map(str::trim).any(|target| target == SECURITY) {
        Ok(filter)
    } else {
        Ok(filter.add_directive(format!("{SECURITY}=info").parse()?))
    }
}

/// A word that is none would be taken for a target, of which everything is heard, and nothing of all the others.
fn says_a_level(directive: &str) -> Result<&str, LevelError> {
    let directive = directive.trim();
    let level = directive.rsplit('=').next().unwrap_or_default();
    if level.is_empty() || level.parse::<LevelFilter>().is_err() {
        return Err(LevelError::None(level.to_owned()));
    }
    Ok(directive)
}

/// What a peer does wrong is no warning to operators: HTTP/2 warns of every connection that it ends for abuse, and whoever
/// attacks would write the log full. Who wants to see it says so, and that counts more.
const PEERS: &str = "h2=error";

/// Why a level is none.
#[derive(Debug, thiserror::Error)]
pub enum LevelError {
    /// A word stands where a level should.
    #[error("{0:?} is no level; these are: off, error, warn, info, debug, trace, or 0 to 5")]
    None(String),
    /// What stands before the level is no target.
    #[error(transparent)]
    Target(#[from] ParseError),
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is none.
    #[error("log.level: {0}")]
    Level(#[from] LevelError),
    /// Another log was set up before.
    #[error("the log is set up already: {0}")]
    Log(#[from] TryInitError),
    /// There is no thread that could write it.
    #[error("the log cannot be written: {0}")]
    Writer(#[from] std::io::Error),
    /// Another recorder of metrics was set up before.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(#[from] BuildError),
}

/// Names and values of what a line says of the call during which it is said; none outside of one.
pub type CurrentCall = fn() -> Option<[(&'static str, String); 2]>;

/// The process's log. To be held to the end: what waits to be written is written when it is dropped, for which a second is
/// enough, and no longer than until the process has to be gone ([`gone_by`]), or it is lost.
#[derive(Debug)]
#[must_use = "lines are lost that wait when the process ends"]
pub struct Log(Buffered);

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Log {
    /// Waits until everything that waits is written, for a second at most.
    pub fn flush(&self) {
        self.0.flush();
    }
}

/// Sets the process's log up, on standard error: standard output is for what a command answers.
pub fn init_log(settings: &LogSettings, call: CurrentCall) -> Result<Log, TelemetryError> {
    // Not by way of the library's own, which is locked for as long as a write takes: whatever else is said there would wait.
    init_log_into(File::from(stderr().as_fd().try_clone_to_owned()?), settings, call)
}

/// Sets the process's log up, in a file.
pub fn init_log_into(out: File, settings: &LogSettings, call: CurrentCall) -> Result<Log, TelemetryError> {
    let is_terminal = out.is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = Buffered::start(out, buffered::PATIENCE, |lines| {
        tracing::warn!(lines, "lines of the log were lost: whoever reads it did not keep up");
    })?;
    let subscriber = tracing_subscriber::registry().with(parse(&settings.level)?).with(OursInDetail);
    let log = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    if json {
        subscriber.with(log.event_format(JsonLine(call))).try_init()?;
    } else {
        subscriber
            .with(log.with_ansi(is_terminal).event_format(TextLine::new(call, is_terminal)))
            .try_init()?;
    }
    Ok(Log(lines))
}

/// Upper bounds of the buckets of durations, in seconds: from a cheap call to the deadline.
const SECONDS: [f64; 13] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Records the process's metrics from now on; the handle renders them.
pub fn record_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    let handle = builder.install_recorder()?;
    process::describe();
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_checked_before_it_is_used() {
        for level in ["info", "WARN", "0", "5", "off", "warn,security=info", "warn, grpc=Trace", "a::b=debug"]
        {
            assert!(parse(level).is_ok(), "{level}");
        }
        for level in
            ["loud", "infoo", "warning", "6", "", "info,", "grpc", "info,grpc", "grpc=", "grpc=loud", "a[b]"]
        {
            let said = parse(level).unwrap_err().to_string();
            assert!(said.ends_with("off, error, warn, info, debug, trace, or 0 to 5"), "{level}: {said}");
        }
        assert_eq!(parse("warn, grpc=info").unwrap().to_string(), "security=info,grpc=info,h2=error,warn");
    }

    #[test]
    fn peers_do_not_write_the_log_unless_an_operator_asks_for_it() {
        let filter = |level| parse(level).unwrap().to_string();
        assert_eq!(filter("info"), "security=info,h2=error,info");
        assert_eq!(filter("info,h2=warn"), "security=info,h2=warn,info");
    }
}
