//! Where spans go: to a collector, over OTLP (gRPC), if the environment names one.
//!
//! Nothing is a setting of ours. Variables of OpenTelemetry say it all; most are read by its SDK and exporter, the rest here.
//! A collector that is away costs the spans that there is no room for and nothing else: they wait in a bounded queue, and a
//! thread of its own sends them.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use configuration::{Problem, Problems, standard_variable};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithTonicConfig as _;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

/// How long the end of a process waits for spans to be sent.
const FLUSH: Duration = Duration::from_secs(2);

/// The process's traces. To be held to the end: spans that wait to be sent are sent when it is dropped, for two seconds at
/// most.
#[derive(Debug)]
#[must_use = "spans are lost that wait when the process ends"]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Makes the spans.
    #[must_use]
    pub fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.0.tracer("tandem")))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "spans were lost at the end of the process");
        }
    }
}

/// Begins to send spans to the collector that the environment names; none is named most often. What sends them is called
/// `service` unless the environment has a name for it. Must be called within a tokio runtime.
pub fn export_traces(service: &'static str) -> Result<Option<Traces>, Problems> {
    let Some(exporter) = exporter()? else { return Ok(None) };
    let exporter = Watched { inner: exporter, failing: AtomicBool::new(false) };
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(service)).build();
    Ok(Some(Traces(provider)))
}

/// Says whether spans could be sent as the environment asks, and all that is wrong with what it says; sends none. Must be called
/// within a tokio runtime.
pub fn check_traces() -> Result<(), Problems> {
    exporter().map(drop)
}

/// What sends spans, to whomever the environment names.
fn exporter() -> Result<Option<opentelemetry_otlp::SpanExporter>, Problems> {
    let endpoint = any_of(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let Some((variable, endpoint)) = endpoint.filter(|_| !is_switched_off()) else { return Ok(None) };
    let mut problems = what_is_not_there();
    let mut exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic();
    if endpoint.starts_with("https://") {
        match tls() {
            Ok(tls) => exporter = exporter.with_tls_config(tls),
            Err(problem) => problems.push(problem),
        }
    } else if !endpoint.starts_with("http://") {
        // Its scheme would be the host's name, and no span would ever arrive.
        problems.push(Problem::of_variable(variable, "has to begin with http:// or https://"));
    }
    match (exporter.build(), Problems::new(problems)) {
        (Ok(exporter), None) => Ok(Some(exporter)),
        (Err(error), None) => {
            let unfit = Problem::of_variable(variable, format!("no spans can be sent there: {error}"));
            Err(Problems::of(unfit))
        }
        (_, Some(problems)) => Err(problems),
    }
}

fn is_switched_off() -> bool {
    standard_variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || standard_variable("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
}

/// The first of these that says something, and what it says.
fn any_of<const N: usize>(variables: [&'static str; N]) -> Option<(&'static str, String)> {
    variables.into_iter().find_map(|variable| Some((variable, standard_variable(variable)?)))
}

/// The SDK would pass over these in silence, and export otherwise than was asked for.
fn what_is_not_there() -> Vec<Problem> {
    const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let unsupported = [
        only(["OTEL_TRACES_EXPORTER"], "otlp", |value| value == "otlp"),
        only(PROTOCOL, "grpc", |value| value == "grpc"),
        only(
            ["OTEL_TRACES_SAMPLER"],
            "always_on, always_off, traceidratio, each also with parentbased_ before",
            |value| {
                let sampler = value.strip_prefix("parentbased_").unwrap_or(value);
                ["always_on", "always_off", "traceidratio"].contains(&sampler)
            },
        ),
        only(["OTEL_TRACES_SAMPLER_ARG"], "a number from 0 to 1", |value| {
            value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio))
        }),
    ];
    unsupported.into_iter().flatten().collect()
}

/// What the first of these that says something asks for, if that is not supported.
fn only<const N: usize>(
    variables: [&'static str; N],
    supported: &'static str,
    is_supported: impl FnOnce(&str) -> bool,
) -> Option<Problem> {
    let (variable, value) = any_of(variables).filter(|(_, value)| !is_supported(value))?;
    Some(Problem::of_variable(variable, format!("{value:?} is not supported, but {supported}")))
}

/// Who may vouch for a collector at `https://`: the system's authorities, or those in a file.
fn tls() -> Result<ClientTlsConfig, Problem> {
    match any_of(["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]) {
        Some((variable, path)) => {
            let read = fs::read_to_string(&path);
            let unreadable =
                |error| Problem::of_variable(variable, format!("{path} cannot be read: {error}"));
            let pem = read.map_err(unreadable)?;
            Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
        }
        None => Ok(ClientTlsConfig::new().with_enabled_roots()),
    }
}

/// Who sends: by the variables, else by the service's own name.
fn resource(service: &'static str) -> Resource {
    let named = standard_variable("OTEL_SERVICE_NAME");
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match named {
        Some(name) => resource.with_service_name(name),
        None => resource,
    }
    .build()
}

/// Says in the log when spans begin to be lost and when that is over, and not for each batch.
#[derive(Debug)]
struct Watched<E> {
    inner: E,
    failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.inner.export(batch).await;
        let failed_before = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Err(error) if !failed_before => tracing::warn!(%error, "spans cannot be exported"),
            Ok(()) if failed_before => tracing::info!("spans are exported again"),
            _ => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.inner.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
