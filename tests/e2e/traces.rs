//! Traces: which spans the two services export, to whom, and that nothing depends on it.

use std::time::{Duration, Instant};

use api::auth::{GetCurrentSessionRequest, LogOutRequest};
use api::users::{CreateUserRequest, GetCurrentUserRequest, UserRole};
use e2e::{Authority, Collector, PASSWORD, Person, Processes, Service, Settings, Span, eventually};
use serde_json::Value;
use test_kit::Reserved;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::crashes::BINARIES;

/// Far longer than a refusal takes.
const PATIENCE: Duration = Duration::from_secs(20);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OTHER_TRACE: &str = "1bf7651916cd43dd8448eb211c80319d";
const CALLERS_SPAN: &str = "b7ad6b7169203331";

const GET_CURRENT_USER: &str = "tandem.users.v1.UsersService/GetCurrentUser";
const AUTHENTICATE: &str = "tandem.identity.v1.IdentityProviderService/Authenticate";

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLERS_SPAN}-{flags}")
}

/// The spans of a trace, once there are so many.
async fn spans_of(collector: &Collector, trace: &str, count: usize) -> Vec<Span> {
    eventually("the spans of a trace", async || {
        let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace_id == trace).collect();
        (spans.len() >= count).then_some(spans)
    })
    .await
}

fn the<'a>(spans: &'a [Span], kind: &str, name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| (span.kind, span.name.as_str()) == (kind, name));
    let (Some(one), None) = (found.next(), found.next()) else {
        panic!("one {kind} span {name}: {spans:#?}")
    };
    one
}

async fn start(settings: Settings) -> (Processes, Person) {
    let pair = Processes::start_with(BINARIES, settings).await;
    let person = pair.super_admin().await;
    (pair, person)
}

/// The lines of a service's log that say how calls ended.
fn calls(pair: &Processes, service: Service) -> Vec<Value> {
    let log = pair.log(service);
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["target"] == "grpc" && line["message"] == "call").collect()
}

#[tokio::test]
async fn a_call_through_both_services_is_a_part_of_its_callers_trace() {
    let collector = Collector::start().await;
    let (pair, person) = start(Settings::default().traced_by(&collector.endpoint())).await;
    person.with("traceparent", &parent(TRACE, "01")).ok(GetCurrentUserRequest::default()).await;

    let spans = spans_of(&collector, TRACE, 3).await;
    let served = the(&spans, "SERVER", GET_CURRENT_USER);
    let asked = the(&spans, "CLIENT", AUTHENTICATE);
    let answered = the(&spans, "SERVER", AUTHENTICATE);
    assert_eq!(
        [&served.parent, &asked.parent, &answered.parent],
        [CALLERS_SPAN, &served.span_id, &asked.span_id]
    );
    assert_eq!(
        [&served.service, &asked.service, &answered.service],
        ["users-service", "users-service", "auth-service"]
    );
    for (span, method) in [(served, GET_CURRENT_USER), (asked, AUTHENTICATE), (answered, AUTHENTICATE)] {
        assert!(!span.is_error);
        let mut attributes: Vec<_> =
            span.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.sort_unstable();
        let port = span.attributes["server.port"].clone();
        assert_eq!(
            attributes,
            [
                ("rpc.method", method),
                ("rpc.response.status_code", "OK"),
                ("rpc.system.name", "grpc"),
                ("server.address", "127.0.0.1"),
                ("server.port", &port),
            ]
        );
    }
    assert_eq!(asked.attributes["server.port"], answered.attributes["server.port"]);

    for (service, method) in [(Service::Users, "GetCurrentUser"), (Service::Auth, "Authenticate")] {
        eventually("the line of the call", async || {
            let calls = calls(&pair, service);
            let line = calls.into_iter().find(|line| line["rpc.method"] == method)?;
            assert_eq!(line["trace_id"], TRACE, "{line}");
            Some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_call_without_a_trace_begins_one_for_both_services() {
    let collector = Collector::start().await;
    let (pair, person) = start(Settings::default().traced_by(&collector.endpoint())).await;
    person.with("x-request-id", "the-call").ok(GetCurrentUserRequest::default()).await;

    let trace = eventually("the line of the call", async || {
        let line = calls(&pair, Service::Users).into_iter().find(|line| line["request_id"] == "the-call")?;
        Some(line["trace_id"].as_str().expect("a trace").to_owned())
    })
    .await;
    let spans = spans_of(&collector, &trace, 3).await;
    let served = the(&spans, "SERVER", GET_CURRENT_USER);
    let asked = the(&spans, "CLIENT", AUTHENTICATE);
    let answered = the(&spans, "SERVER", AUTHENTICATE);
    assert_eq!([&served.parent, &asked.parent, &answered.parent], ["", &served.span_id, &asked.span_id]);
}

#[tokio::test]
async fn a_call_that_its_caller_does_not_sample_is_not_exported() {
    let collector = Collector::start().await;
    let (_pair, person) = start(Settings::default().traced_by(&collector.endpoint())).await;
    person.with("traceparent", &parent(TRACE, "00")).ok(GetCurrentUserRequest::default()).await;
    person.with("traceparent", &parent(OTHER_TRACE, "01")).ok(GetCurrentUserRequest::default()).await;
    // Each process exports in the order in which calls end.
    spans_of(&collector, OTHER_TRACE, 3).await;
    assert_eq!(collector.spans().iter().filter(|span| span.trace_id == TRACE).count(), 0);
}

#[tokio::test]
async fn a_refusal_is_an_error_of_its_caller_and_not_of_the_server() {
    let collector = Collector::start().await;
    let (_pair, person) = start(Settings::default().traced_by(&collector.endpoint())).await;
    let taken = CreateUserRequest {
        username: "superadmin".into(),
        password: PASSWORD.into(),
        role: UserRole::User.into(),
        request_id: String::new(),
    };
    person.with("traceparent", &parent(TRACE, "01")).refused("USERNAME_TAKEN", taken).await;
    let spans = spans_of(&collector, TRACE, 7).await;
    let register = "tandem.identity.v1.IdentityProviderService/RegisterAccount";
    let expected = [
        ("SERVER", "tandem.users.v1.UsersService/CreateUser", false),
        ("CLIENT", register, true),
        ("SERVER", register, false),
    ];
    for (kind, name, is_error) in expected {
        let span = the(&spans, kind, name);
        assert_eq!(span.attributes["rpc.response.status_code"], "ALREADY_EXISTS");
        assert_eq!(span.is_error, is_error, "{span:?}");
        assert_eq!(
            span.attributes.get("error.type").map(String::as_str),
            is_error.then_some("ALREADY_EXISTS")
        );
    }
}

#[tokio::test]
async fn an_outage_is_an_error_of_both_ends() {
    let collector = Collector::start().await;
    let settings = Settings::default().users("IDENTITY_PROVIDER__TIMEOUT", "2s");
    let (mut pair, person) = start(settings.traced_by(&collector.endpoint())).await;
    pair.kill(Service::Auth).await;
    let caller = person.with("traceparent", &parent(TRACE, "01"));
    caller.refused("IDENTITY_PROVIDER_UNAVAILABLE", GetCurrentUserRequest::default()).await;
    let spans = eventually("the span of the call and of what it asked", async || {
        let spans = spans_of(&collector, TRACE, 2).await;
        spans.iter().any(|span| span.kind == "SERVER").then_some(spans)
    })
    .await;
    for span in &spans {
        assert!(span.is_error, "{span:?}");
        assert_eq!(span.attributes["error.type"], "UNAVAILABLE");
        assert_eq!(span.attributes["rpc.response.status_code"], "UNAVAILABLE");
    }
    the(&spans, "SERVER", GET_CURRENT_USER);
}

#[tokio::test]
async fn a_call_that_took_too_long_says_so() {
    let collector = Collector::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let settings = Settings::default().users("IDENTITY_PROVIDER__URL", &url);
    let settings = settings.users("IDENTITY_PROVIDER__TIMEOUT", "200ms").traced_by(&collector.endpoint());
    let pair = Processes::start_with(BINARIES, settings).await;
    let caller = pair.anonymous.bearer("a.token").with("traceparent", &parent(TRACE, "01"));
    caller.refused("IDENTITY_PROVIDER_UNAVAILABLE", GetCurrentUserRequest::default()).await;
    let spans = spans_of(&collector, TRACE, 2).await;
    let (asked, served) = (the(&spans, "CLIENT", AUTHENTICATE), the(&spans, "SERVER", GET_CURRENT_USER));
    assert_eq!(asked.attributes["error.type"], "DEADLINE_EXCEEDED");
    assert_eq!(served.attributes["error.type"], "UNAVAILABLE");
}

#[tokio::test]
async fn what_is_no_method_has_no_name_and_a_health_check_no_span() {
    let collector = Collector::start().await;
    let (pair, person) = start(Settings::default().traced_by(&collector.endpoint())).await;
    let endpoints = pair.endpoints();
    let mut health = HealthClient::new(endpoints.users.clone());
    let mut check = tonic::Request::new(HealthCheckRequest::default());
    check.metadata_mut().insert("traceparent", parent(TRACE, "01").parse().expect("a value"));
    health.check(check).await.expect("it serves");
    // Users are not looked after by auth-service.
    let mut lost = tonic::client::Grpc::new(endpoints.auth.clone());
    lost.ready().await.expect("a connection");
    let mut request = person.request(GetCurrentUserRequest::default());
    request.metadata_mut().insert("traceparent", parent(TRACE, "01").parse().expect("a value"));
    let codec = tonic_prost::ProstCodec::<GetCurrentUserRequest, GetCurrentUserRequest>::default();
    let path = format!("/{GET_CURRENT_USER}").parse().expect("a path");
    lost.unary(request, path, codec).await.expect_err("there is no such method");

    let spans = spans_of(&collector, TRACE, 1).await;
    let [span] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!((span.name.as_str(), span.attributes["rpc.method"].as_str()), ("grpc", "_OTHER"));
    assert!(span.is_error);
}

#[tokio::test]
async fn spans_that_wait_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let settings = Settings::default().traced_by(&collector.endpoint());
    let (mut pair, person) = start(settings.variable("OTEL_BSP_SCHEDULE_DELAY", "3600000")).await;
    person.with("traceparent", &parent(TRACE, "01")).ok(GetCurrentUserRequest::default()).await;
    assert_eq!(collector.spans(), []);
    for service in [Service::Users, Service::Auth] {
        let ends = pair.terminate(service).await;
        assert!(ends.iter().all(|end| end.code() == Some(0)), "{ends:?}");
    }
    assert_eq!(collector.spans().iter().filter(|span| span.trace_id == TRACE).count(), 3);
}

#[tokio::test]
async fn a_collector_that_is_away_or_says_nothing_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let gone = Reserved::new();
    for address in [silent.local_addr().expect("an address"), gone.address()] {
        let settings = Settings::default().traced_by(&format!("http://{address}"));
        // Fewer than there are calls.
        let settings = settings.variable("OTEL_BSP_MAX_QUEUE_SIZE", "8");
        let (mut pair, person) = start(settings).await;
        let begin = Instant::now();
        for _ in 0..50 {
            person.ok(GetCurrentUserRequest::default()).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
        for service in [Service::Users, Service::Auth] {
            let begin = Instant::now();
            let ends = pair.terminate(service).await;
            assert!(ends.iter().all(|end| end.code() == Some(0)), "{ends:?}");
            // The drain and its second; of a process with nothing to do two seconds.
            assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
            let said = pair.log(service);
            assert!(said.contains("spans were lost at the end") || said.contains("spans cannot be exported"));
        }
    }
}

#[tokio::test]
async fn an_outage_of_the_collector_is_said_once_and_so_is_its_end() {
    let place = Reserved::new();
    let settings = Settings::default().traced_by(&format!("http://{}", place.address()));
    let (pair, person) = start(settings.variable("OTEL_EXPORTER_OTLP_TIMEOUT", "100")).await;
    let said = |what: &str| pair.log(Service::Users).matches(what).count();
    eventually("a word about it", async || {
        person.ok(GetCurrentUserRequest::default()).await;
        (said("spans cannot be exported") >= 1).then_some(())
    })
    .await;
    let _collector = Collector::start_at(&place).await;
    eventually("a word about its end", async || {
        person.ok(GetCurrentUserRequest::default()).await;
        (said("spans are exported again") == 1).then_some(())
    })
    .await;
    assert_eq!(said("spans cannot be exported"), 1);
}

#[tokio::test]
async fn nothing_is_exported_unless_the_environment_names_a_collector_and_the_callers_trace_is_passed_on() {
    let collector = Collector::start().await;
    let at = collector.endpoint();
    let named = || Settings::default().traced_by(&at);
    for settings in [
        Settings::default(),
        named().variable("OTEL_TRACES_EXPORTER", "none"),
        named().variable("OTEL_SDK_DISABLED", "true"),
    ] {
        let (mut pair, person) = start(settings).await;
        person.with("traceparent", &parent(TRACE, "01")).ok(GetCurrentUserRequest::default()).await;
        let traced = eventually("the line of the call", async || {
            calls(&pair, Service::Auth).into_iter().find(|line| line["trace_id"] == TRACE)
        })
        .await;
        assert_eq!(traced["rpc.method"], "Authenticate");
        for service in [Service::Users, Service::Auth] {
            pair.terminate(service).await;
        }
    }
    assert_eq!(collector.spans(), []);
}

#[tokio::test]
async fn the_variables_of_opentelemetry_are_heeded() {
    let authority = Authority::new();
    let collector = Collector::start_as(&authority.issue("127.0.0.1")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = folder.path().join("authority.pem");
    std::fs::write(&certificate, &authority.pem).expect("written");
    let settings = Settings::default()
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &collector.tls_endpoint())
        .variable("OTEL_EXPORTER_OTLP_CERTIFICATE", &certificate.display().to_string())
        .variable("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tandem")
        .variable("OTEL_SERVICE_NAME", "our-users")
        .variable("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        .variable("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "20");
    let (_pair, person) = start(settings).await;
    person.ok(GetCurrentSessionRequest {}).await;
    person.with("traceparent", &parent(TRACE, "01")).ok(LogOutRequest {}).await;
    spans_of(&collector, TRACE, 1).await;
    let spans = collector.spans();
    assert_eq!(spans.iter().map(|span| span.trace_id.as_str()).collect::<Vec<_>>(), [TRACE]);
    assert_eq!(spans[0].service, "our-users");
    assert!(collector.metadata().iter().all(|sent| sent.get("x-tenant").is_some_and(|it| it == "tandem")));
    let sent = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(sent.contains("deployment.environment.name"), "{sent}");
}

#[tokio::test]
async fn a_variable_that_asks_for_what_is_not_there_is_refused() {
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_SAMPLER_ARG", "50%"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/tls/client.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/tls/client.key"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/tls/client.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/tls/client.key"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=tandem,Bearer of-a-token"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://no where"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "127.0.0.1:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"),
    ] {
        let settings = Settings::default().traced_by("http://127.0.0.1:1").variable(name, value);
        let pair = Processes::prepared(BINARIES, settings).await;
        for service in [Service::Auth, Service::Users] {
            for command in [&["config", "check"][..], &["serve"]] {
                let run = timeout(PATIENCE, pair.command_output(service, command));
                let output = run.await.unwrap_or_else(|_| panic!("{command:?} takes {name}={value}"));
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(
                    !output.status.success() && said.contains(name),
                    "{command:?} {name}={value}: {said}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_exporter_that_is_asked_for_by_name_needs_no_endpoint() {
    let (pair, person) = start(
        Settings::default()
            .variable("OTEL_TRACES_EXPORTER", "otlp")
            .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
            .variable("OTEL_BSP_SCHEDULE_DELAY", "20"),
    )
    .await;
    // Nobody is expected to listen there, of which the log tells.
    eventually("an attempt", async || {
        person.ok(GetCurrentUserRequest::default()).await;
        pair.log(Service::Users).contains("spans cannot be exported").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_traces_are_passed_on_by_is_checked_whether_spans_are_sent_or_not() {
    for (name, value, is_taken) in [
        ("OTEL_PROPAGATORS", "tracecontext", true),
        ("OTEL_PROPAGATORS", "baggage, tracecontext", true),
        ("OTEL_PROPAGATORS", "", true),
        ("OTEL_PROPAGATORS", "baggage", false),
        ("OTEL_PROPAGATORS", "tracecontext,b3", false),
        ("OTEL_PROPAGATORS", "none", false),
        ("OTEL_TRACES_EXPORTER", "zipkin", false),
        ("OTEL_TRACES_EXPORTER", "none", true),
        // Of no meaning where nothing is sent.
        ("OTEL_TRACES_SAMPLER", "xray", true),
    ] {
        let pair = Processes::prepared(BINARIES, Settings::default().variable(name, value)).await;
        for service in [Service::Auth, Service::Users] {
            let output = pair.command_output(service, &["config", "check"]).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.success(), is_taken, "{name}={value}: {said}");
            assert_eq!(said.contains(&format!("environment variable {name}: ")), !is_taken, "{said}");
        }
    }
}
