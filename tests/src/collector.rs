//! A collector of traces: what processes export to, so that a test can look at it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::Message as _;
use test_kit::Reserved;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Request, Response, Status, async_trait};

use crate::home::ANY;
use crate::{Issued, discretion};

/// Takes whatever it is sent, until it is dropped.
pub struct Collector {
    address: SocketAddr,
    received: Received,
    serving: AbortHandle,
}

/// A span as it was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The service that it is of.
    pub service: String,
    /// Its name.
    pub name: String,
    /// `SERVER` or `CLIENT`.
    pub kind: &'static str,
    /// The trace that it belongs to, in hexadecimal digits.
    pub trace_id: String,
    /// Its id, in hexadecimal digits.
    pub span_id: String,
    /// The id of the span that it is a part of; empty for the first of a trace.
    pub parent: String,
    /// Whether it is marked as an error.
    pub is_error: bool,
    /// What it says.
    pub attributes: HashMap<String, String>,
}

#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<(MetadataMap, ExportTraceServiceRequest)>>>);

impl Collector {
    /// Listens on any free port.
    pub async fn start() -> Self {
        Self::serve(Server::builder(), ANY).await
    }

    /// Listens where nobody has so far.
    pub async fn start_at(place: &Reserved) -> Self {
        Self::serve(Server::builder(), place.address()).await
    }

    /// Listens over TLS, as whoever this certificate was issued to.
    pub async fn start_as(issued: &Issued) -> Self {
        let tls = ServerTlsConfig::new().identity(issued.identity());
        Self::serve(Server::builder().tls_config(tls).expect("a certificate"), ANY).await
    }

    async fn serve(mut server: Server, place: SocketAddr) -> Self {
        let listener = TcpListener::bind(place).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Received::default();
        let router = server.add_service(TraceServiceServer::new(received.clone()));
        let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, received, serving: serving.abort_handle() }
    }

    /// Where it is.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it is, for those who come over TLS.
    #[must_use]
    pub fn tls_endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.received.read(|(_, request)| spans(request)).into_iter().flatten().collect()
    }

    /// Everything that was sent so far, as it came.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.received.read(|(_, request)| request.encode_to_vec()).concat()
    }

    /// The metadata that each export came with.
    #[must_use]
    pub fn metadata(&self) -> Vec<MetadataMap> {
        self.received.read(|(metadata, _)| metadata.clone())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
        discretion::hear("a span", self.bytes());
        // A pair is dropped before the collector that it exports to.
        discretion::look_into_what_was_heard();
    }
}

impl Received {
    fn read<T>(&self, of: impl FnMut(&(MetadataMap, ExportTraceServiceRequest)) -> T) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(of).collect()
    }
}

#[async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((metadata, message));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in &request.resource_spans {
        let about = attributes(&resource.resource.as_ref().expect("a resource").attributes);
        let service = about.get("service.name").expect("the name of a service");
        for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            spans.push(of_wire(service, span));
        }
    }
    spans
}

fn of_wire(service: &str, span: &trace::Span) -> Span {
    let status = span.status.as_ref().map_or(trace::status::StatusCode::Unset, trace::Status::code);
    Span {
        service: service.to_owned(),
        name: span.name.clone(),
        kind: match span.kind() {
            trace::span::SpanKind::Server => "SERVER",
            trace::span::SpanKind::Client => "CLIENT",
            other => panic!("no call has a span of kind {other:?}"),
        },
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        is_error: status == trace::status::StatusCode::Error,
        attributes: attributes(&span.attributes),
    }
}

fn attributes(pairs: &[KeyValue]) -> HashMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{} is {other:?}", pair.key),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}
