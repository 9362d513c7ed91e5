//! What variables of OpenTelemetry ask for. What its SDK would pass over in silence is refused: spans would go elsewhere, or
//! otherwise, than was asked for.

use std::ops::RangeInclusive;

use configuration::{Problem, standard_variable};

const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const ENDPOINT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const CERTIFICATE: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];

/// Read by nobody, and what is there in their place.
const NOT_THERE: [(&str, &str); 5] = [
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", NO_CERTIFICATE),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", NO_CERTIFICATE),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", NO_CERTIFICATE),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", NO_CERTIFICATE),
    ("OTEL_BSP_EXPORT_TIMEOUT", "is not supported, but OTEL_EXPORTER_OTLP_TIMEOUT"),
];
const NO_CERTIFICATE: &str = "is not supported: no certificate is shown to a collector, but OTEL_EXPORTER_OTLP_HEADERS can have a token";

/// Where a collector is over gRPC when nothing else is said, by the specification of OTLP.
const USUAL_ENDPOINT: &str = "http://localhost:4317";

/// What may wait is held in memory, all of it from the start.
const SPANS: RangeInclusive<u64> = 1..=1_000_000;
/// 49 days. Without a pause the thread that sends would never rest.
const MILLISECONDS: RangeInclusive<u64> = 1..=u32::MAX as u64;

/// Something that a variable says.
pub(super) struct Said {
    pub(super) variable: &'static str,
    pub(super) value: String,
}

/// Where spans are to be sent, if they are.
pub(super) fn endpoint() -> Option<Said> {
    let switched_off =
        standard_variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exporter = any_of([EXPORTER]);
    if switched_off || exporter.as_ref().is_some_and(|exporter| exporter.value == "none") {
        return None;
    }
    let usual = |exporter: Said| Said { value: USUAL_ENDPOINT.to_owned(), ..exporter };
    any_of(ENDPOINT).or_else(|| exporter.map(usual))
}

/// Who may vouch for a collector: a file.
pub(super) fn certificate() -> Option<Said> {
    any_of(CERTIFICATE)
}

/// What is asked of the spans that are sent, and is not there.
pub(super) fn unsupported() -> impl Iterator<Item = Problem> {
    let asked = [
        only([EXPORTER], "otlp and none", |value| value == "otlp"),
        only(PROTOCOL, "grpc", |value| value == "grpc"),
        only(COMPRESSION, "none", |value| value.eq_ignore_ascii_case("none")),
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
        whole(["OTEL_BSP_MAX_QUEUE_SIZE"], SPANS),
        whole(["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], SPANS),
        whole(["OTEL_BSP_SCHEDULE_DELAY"], MILLISECONDS),
        whole(TIMEOUT, MILLISECONDS),
    ];
    let not_there = NOT_THERE.into_iter().filter(|(variable, _)| standard_variable(variable).is_some());
    asked
        .into_iter()
        .flatten()
        .chain(HEADERS.into_iter().filter_map(no_headers))
        .chain(not_there.map(|(variable, why)| Problem::of_variable(variable, why)))
}

/// What does not read as metadata, without a word of what it is: a token stands there.
fn no_headers(variable: &'static str) -> Option<Problem> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_header = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            is_name(name.trim())
                && !value.trim().is_empty()
                && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        })
    };
    let is_wrong = !standard_variable(variable)?.split(',').all(is_header);
    is_wrong.then(|| Problem::of_variable(variable, "is no list of NAME=VALUE with commas between them"))
}

/// What is asked of the traces of callers, which are passed on whether spans are sent or not. Baggage may be asked for, as by
/// default: it would end at auth-service, which calls nobody, and so it is not even sent there.
pub(super) fn unsupported_propagation() -> Option<Problem> {
    only(["OTEL_PROPAGATORS"], "tracecontext, or tracecontext,baggage", |value| {
        let mut propagators = value.split(',').map(str::trim);
        let has_context = propagators.clone().any(|it| it == "tracecontext");
        has_context && propagators.all(|it| ["tracecontext", "baggage"].contains(&it))
    })
}

/// The first of these that says something.
fn any_of<const N: usize>(variables: [&'static str; N]) -> Option<Said> {
    variables.into_iter().find_map(|variable| Some(Said { variable, value: standard_variable(variable)? }))
}

/// What the first of these that says something asks for, if that is not supported.
fn only<const N: usize>(
    variables: [&'static str; N],
    supported: &str,
    is_supported: impl FnOnce(&str) -> bool,
) -> Option<Problem> {
    let Said { variable, value } = any_of(variables).filter(|said| !is_supported(&said.value))?;
    Some(Problem::of_variable(variable, format!("{value:?} is not supported, but {supported}")))
}

fn whole<const N: usize>(variables: [&'static str; N], range: RangeInclusive<u64>) -> Option<Problem> {
    let supported = format!("a whole number from {} to {}", range.start(), range.end());
    only(variables, &supported, |value| value.parse().is_ok_and(|number: u64| range.contains(&number)))
}
