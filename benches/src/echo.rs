//! What cheap calls are compared with: a bare tonic server that answers two of them at once, with a constant, and knows
//! of nothing. It decodes requests and encodes answers as the real one does, and has none of the layers around that.

use std::io;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use api::auth::{GetCurrentSessionRequest, GetCurrentSessionResponse};
use api::identity::{AuthenticateRequest, AuthenticateResponse};
use clap::Args;
use futures::future::{Ready, ready};
use futures::{Stream, StreamExt as _};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

/// What is answered.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where it listens.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// The answer to Authenticate: the message in protobuf, in hexadecimal digits.
    #[arg(long, default_value = "")]
    authenticate: String,
    /// The answer to `GetCurrentSession`.
    #[arg(long, default_value = "")]
    get_current_session: String,
}

/// Serves until the process is killed.
pub(crate) async fn serve(arguments: &Arguments) {
    let authenticate: Constant<Authenticate> = Constant::new(&arguments.authenticate);
    let session: Constant<GetCurrentSession> = Constant::new(&arguments.get_current_session);
    let listener = TcpListener::bind(arguments.listen).await.expect("an address that is free");
    println!("echo listens on {}", listener.local_addr().expect("it is bound"));
    let server = Server::builder().add_service(authenticate).add_service(session);
    server.serve_with_incoming(incoming(listener)).await.expect("serves");
}

/// The connections to a listener, which send at once, as those of the services do.
pub(crate) fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    TcpListenerStream::new(listener).inspect(|stream| {
        if let Ok(stream) = stream {
            // A connection that cannot be set up is not worth more than a call that fails.
            drop(stream.set_nodelay(true));
        }
    })
}

/// A message in hexadecimal digits, as the server takes it.
pub(crate) fn hexadecimal(message: &impl Message) -> String {
    use std::fmt::Write as _;
    message.encode_to_vec().iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a String takes everything");
        digits
    })
}

/// A call that is answered.
trait Answered: Send + Sync + 'static {
    const SERVICE: &'static str;
    type Question: Message + Default + 'static;
    type Answer: Message + Default + Clone + 'static;
}

struct Authenticate;

impl Answered for Authenticate {
    const SERVICE: &'static str = "tandem.identity.v1.IdentityProviderService";
    type Question = AuthenticateRequest;
    type Answer = AuthenticateResponse;
}

struct GetCurrentSession;

impl Answered for GetCurrentSession {
    const SERVICE: &'static str = "tandem.auth.v1.AuthService";
    type Question = GetCurrentSessionRequest;
    type Answer = GetCurrentSessionResponse;
}

/// A service that answers each of its methods with the same message: what tonic generates, less the choice of a method.
struct Constant<A: Answered> {
    answer: A::Answer,
    question: PhantomData<A>,
}

impl<A: Answered> Constant<A> {
    fn new(digits: &str) -> Self {
        let byte = |start| u8::from_str_radix(&digits[start..start + 2], 16).expect("hexadecimal digits");
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        let answer = A::Answer::decode(bytes.as_slice()).expect("the answer's message");
        Self { answer, question: PhantomData }
    }
}

impl<A: Answered> Clone for Constant<A> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), question: PhantomData }
    }
}

impl<A: Answered> NamedService for Constant<A> {
    const NAME: &'static str = A::SERVICE;
}

impl<A: Answered> UnaryService<A::Question> for Constant<A> {
    type Response = A::Answer;
    type Future = Ready<Result<Response<A::Answer>, Status>>;

    fn call(&mut self, _: Request<A::Question>) -> Self::Future {
        ready(Ok(Response::new(self.answer.clone())))
    }
}

impl<A: Answered> Service<http::Request<Body>> for Constant<A> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<A::Answer, A::Question>::default());
            Ok(grpc.unary(service, request).await)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_it_was_told() {
        let answer = GetCurrentSessionResponse { username: "alice".to_owned(), ..Default::default() };
        let constant: Constant<GetCurrentSession> = Constant::new(&hexadecimal(&answer));
        assert_eq!(constant.answer, answer);
    }
}
