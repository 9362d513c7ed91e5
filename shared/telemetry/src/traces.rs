//! Where spans go: to a collector, over OTLP (gRPC), if the environment names one.
//!
//! Nothing is a setting of ours. Variables of OpenTelemetry say it all; most are read by its SDK and exporter, the rest in
//! `variables`.
//! A collector that is away costs the spans that there is no room for and nothing else: they wait in a bounded queue, and a
//! thread of its own sends them.

mod variables;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use configuration::{Problem, Problems, standard_variable};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};

use crate::end;
use variables::Said;

/// How long the end of a process waits for spans to be sent, where there is so much time.
const FLUSH: Duration = Duration::from_secs(2);

/// The process's traces. To be held to the end: spans that wait to be sent are sent when it is dropped, for two seconds at
/// most, and no longer than until the process has to be gone ([`gone_by`](crate::gone_by)).
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
        if let Err(error) = self.0.shutdown_with_timeout(end::for_spans(FLUSH)) {
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
    let mut problems: Vec<_> = variables::unsupported_propagation().into_iter().collect();
    let exporter = variables::endpoint().and_then(|endpoint| exporter_to(endpoint, &mut problems));
    Problems::new(problems).map_or(Ok(exporter), Err)
}

fn exporter_to(
    Said { variable, value: endpoint }: Said,
    problems: &mut Vec<Problem>,
) -> Option<opentelemetry_otlp::SpanExporter> {
    problems.extend(variables::unsupported());
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
    let unfit = |error| Problem::of_variable(variable, format!("no spans can be sent there: {error}"));
    exporter.with_endpoint(endpoint).build().map_err(|error| problems.push(unfit(error))).ok()
}

/// Who may vouch for a collector at `https://`: the system's authorities, or those in a file.
fn tls() -> Result<ClientTlsConfig, Problem> {
    let Some(Said { variable, value: path }) = variables::certificate() else {
        return Ok(ClientTlsConfig::new().with_enabled_roots());
    };
    let unreadable = |error| Problem::of_variable(variable, format!("{path} cannot be read: {error}"));
    let pem = fs::read_to_string(&path).map_err(unreadable)?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
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
