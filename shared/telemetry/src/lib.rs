//! What a Tandem process says of itself: its log on standard error, its metrics, and its traces.
//!
//! It knows no service, and not what is said: [`init_log`] is where lines go and which are let through, [`record_metrics`]
//! where numbers are kept, [`export_traces`] where spans are sent. `docs/telemetry.md` tells operators about all three.

mod buffered;
mod json;
mod origin;
mod process;
mod text;
mod traces;

use std::io::{IsTerminal as _, Stderr, stderr};

use configuration::Reader;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use buffered::{Buffered, SECURITY};
use json::JsonLine;
use origin::OursInDetail;
use text::TextLine;

pub use traces::{Traces, TracesError, export_traces};

pub use process::record_process;

/// The settings `log.level` and `log.format`.
#[derive(Clone, Debug)]
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

impl LogSettings {
    /// Reads the section `log`.
    pub fn read(reader: &mut Reader) -> Self {
        let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
        let level = reader.text("log.level", "info");
        if let Err(problem) = parse(&level) {
            reader.refuse("log.level", problem.to_string());
        }
        Self { level, format: reader.one_of("log.format", "auto", &formats) }
    }
}

/// What is said to `security` is let through unless the level names it: whoever wants less noise does not mean that nobody
/// should know who did what.
fn parse(level: &str) -> Result<EnvFilter, ParseError> {
    let filter = EnvFilter::builder().parse(format!("{PEERS},{level}"))?;
    let targets = level.split(',').filter_map(|directive| directive.split(['=', '[']).next());
    if targets.map(str::trim).any(|target| target == SECURITY) {
        Ok(filter)
    } else {
        Ok(filter.add_directive(format!("{SECURITY}=info").parse()?))
    }
}

/// What a peer does wrong is no warning to operators: HTTP/2 warns of every connection that it ends for abuse, and whoever
/// attacks would write the log full. Who wants to see it says so, and that counts more.
const PEERS: &str = "h2=error";

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is none.
    #[error("log.level: {0}")]
    Level(#[from] ParseError),
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

/// The process's log. To be held to the end: what waits to be written is written when it is dropped.
#[derive(Debug)]
#[must_use = "lines are lost that wait when the process ends"]
pub struct Log(Buffered<Stderr>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Sets the process's log up, on standard error: standard output is for what a command answers.
pub fn init_log(settings: &LogSettings, call: CurrentCall) -> Result<Log, TelemetryError> {
    let json = match settings.format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let lines = Buffered::start(stderr(), buffered::PATIENCE)?;
    let subscriber = tracing_subscriber::registry().with(parse(&settings.level)?).with(OursInDetail);
    let log = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    if json {
        subscriber.with(log.event_format(JsonLine(call))).try_init()?;
    } else {
        let colours = stderr().is_terminal();
        subscriber.with(log.with_ansi(colours).event_format(TextLine::new(call, colours))).try_init()?;
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
        for level in ["info", "warn,security=info"] {
            assert!(parse(level).is_ok(), "{level}");
        }
        assert!(parse("loud").is_err() || parse("a=loud").is_err());
    }

    #[test]
    fn peers_do_not_write_the_log_unless_an_operator_asks_for_it() {
        let filter = |level| parse(level).unwrap().to_string();
        assert_eq!(filter("info"), "security=info,h2=error,info");
        assert_eq!(filter("info,h2=warn"), "security=info,h2=warn,info");
    }
}
