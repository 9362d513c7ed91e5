//! A client without comfort: it sends what it is told and shows the answer as it came.
//!
//! tonic's own client would enforce `grpc-timeout` itself and hide where in an answer a status stands.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::{Status, codegen::Bytes};
use tonic_health::pb::HealthCheckRequest;

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Peer {
    sender: http2::SendRequest<Full<Bytes>>,
    connection: Ended,
}

/// The end of a connection, for whoever waits for it.
type Ended = Shared<BoxFuture<'static, Result<(), Arc<hyper::Error>>>>;

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) status: Status,
    /// The status stood in the headers, and no trailers came.
    pub(crate) trailers_only: bool,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn request_id(&self) -> &str {
        let values: Vec<_> = self.headers.get_all("x-request-id").iter().collect();
        let [value] = values.as_slice() else { panic!("not one request id: {values:?}") };
        value.to_str().expect("ASCII")
    }
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.expect("a server")).await
    }

    /// Says on a connection what it speaks.
    pub(crate) async fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        Self::over(stream).await
    }

    /// The same, on what is not TCP alone.
    pub(crate) async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
        let connection = tokio::spawn(connection.map(|ended| ended.map_err(Arc::new)));
        let connection = connection.map(|ended| ended.expect("no panic")).boxed().shared();
        Self { sender, connection }
    }

    /// Waits until the server has ended the connection, in good order.
    pub(crate) async fn dismissed(self) {
        self.connection.await.expect("no error");
    }

    /// Calls with a well-formed message that says what the probe should do.
    pub(crate) async fn ask(&mut self, path: &str, what: &str, metadata: &[(&str, &str)]) -> Answer {
        self.send(path, framed(what), metadata).await
    }

    /// Sends any body and reads the answer to its end.
    pub(crate) async fn send(&mut self, path: &str, body: Bytes, metadata: &[(&str, &str)]) -> Answer {
        let (head, body) = self.open(path, body, metadata).await.into_parts();
        let whole = body.collect().await.expect("an answer that ends");
        let trailers = whole.trailers().cloned();
        let status = Status::from_header_map(trailers.as_ref().unwrap_or(&head.headers)).expect("a status");
        Answer { headers: head.headers, status, trailers_only: trailers.is_none(), body: whole.to_bytes() }
    }

    /// Sends any body and leaves the answer to be read.
    pub(crate) async fn open(
        &mut self,
        path: &str,
        body: Bytes,
        metadata: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        let mut request = Request::post(format!("http://probe{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (key, value) in metadata {
            request = request.header(*key, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        self.sender.send_request(request).await.expect("an answer")
    }
}

/// One gRPC message: a flag, a length, protobuf.
pub(crate) fn framed(what: &str) -> Bytes {
    let message = HealthCheckRequest { service: what.to_owned() }.encode_to_vec();
    frame(&message)
}

/// A frame around anything.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}
