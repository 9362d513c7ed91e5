//! What the span of a call to another service says when nobody waits for its end any more.

use std::convert::Infallible;
use std::future::pending;

use grpc_kit::client::Traced;
use grpc_kit::trace::record_with;
use http::{Request, Response, Uri};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tonic::body::Body;
use tower::{Service as _, service_fn};

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
}

#[test]
fn a_call_that_is_given_up_says_whether_its_time_was_over() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    record_with(BoxedTracer::new(Box::new(provider.tracer("a test"))));
    let silent = service_fn(|request: Request<()>| {
        assert!(request.headers().contains_key("traceparent"), "the other end is told");
        pending::<Result<Response<Body>, Infallible>>()
    });
    let mut traced = Traced::new(silent, &Uri::from_static("https://auth.internal"));
    for (timeout, code) in [("1H", "CANCELLED"), ("no timeout", "CANCELLED"), ("0S", "DEADLINE_EXCEEDED")] {
        let request = Request::get("/a.B/C").header("grpc-timeout", timeout);
        drop(traced.call(request.body(()).expect("a request")));
        let spans = exporter.get_finished_spans().expect("spans");
        let [span] = spans.as_slice() else { panic!("{spans:#?}") };
        assert_eq!((span.name.as_ref(), &span.span_kind), ("a.B/C", &SpanKind::Client));
        for (key, value) in [
            ("rpc.response.status_code", code),
            ("error.type", code),
            ("server.address", "auth.internal"),
            ("server.port", "443"),
        ] {
            assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} after {timeout}");
        }
        exporter.reset();
    }
}
