//! Answers that nobody takes, and streams that are opened and left: as many as a connection may have, on many connections.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Service, eventually};
use futures::future::join_all;
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::Request;
use hyper::body::Bytes;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::witness::Target;

/// As many as a connection may have.
const CALLS: usize = 200;

/// How long after one connection comes the next: what is not optimised is to have time for the well-behaved client.
const BETWEEN: Duration = Duration::from_millis(50);

/// For how long they are there after the last one came.
const STAY: Duration = Duration::from_secs(2);

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

for_each_service!(
    answers_that_nobody_takes,
    answers_that_are_begun_and_not_taken,
    streams_that_are_opened_and_left,
);

/// A connection, and the calls on it.
struct Attacker {
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    calls: Vec<JoinHandle<Result<Code, h2::Error>>>,
}

impl Attacker {
    /// Lets so many bytes of an answer come, and never more.
    async fn connect(address: SocketAddr, takes: u32) -> Self {
        let stream = TcpStream::connect(address).await.expect("it accepts connections");
        let mut builder = Builder::new();
        // Such a library takes fewer small pieces at a time where the window of the whole connection is small.
        builder.initial_window_size(takes).initial_connection_window_size(16 * 1024 * 1024);
        let (sender, connection) = builder.handshake(stream).await.expect("HTTP/2");
        Self { sender, connection: tokio::spawn(connection), calls: Vec::new() }
    }

    /// Makes as many calls as it may.
    async fn attack(&mut self, asks: &Asks) -> Result<(), h2::Error> {
        for _ in 0..CALLS {
            self.sender = self.sender.clone().ready().await?;
            let request = Request::post(format!("http://tandem{}", asks.path))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .expect("a request");
            let (answer, mut body) = self.sender.send_request(request, false)?;
            for number in 1..=asks.times {
                body.send_data(asks.message.clone(), asks.is_all && number == asks.times)?;
            }
            self.calls.push(tokio::spawn(async move {
                let code = code(answer.await?.into_body()).await;
                // Until here it says that there may be more.
                drop(body);
                code
            }));
        }
        Ok(())
    }

    fn is_cut(&self) -> bool {
        self.connection.is_finished()
    }

    /// How many calls have come to an end.
    fn ended(&self) -> usize {
        self.calls.iter().filter(|call| call.is_finished()).count()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.connection.abort();
        self.calls.iter().for_each(JoinHandle::abort);
    }
}

/// What is said in each call.
struct Asks {
    path: &'static str,
    message: Bytes,
    times: usize,
    is_all: bool,
}

impl Asks {
    /// A question to the reflection.
    fn reflection(host: String, asked: MessageRequest) -> Self {
        let message = ServerReflectionRequest { host, message_request: Some(asked) }.encode_to_vec();
        Self { path: REFLECTION, message: framed(&message), times: 1, is_all: true }
    }
}

/// The message as gRPC frames it.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a few bytes");
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

/// What the trailers say, after whatever came before them, of which nothing is given back to the window.
async fn code(mut body: RecvStream) -> Result<Code, h2::Error> {
    while let Some(data) = body.data().await {
        data?;
    }
    let status = body.trailers().await?.and_then(|trailers| Status::from_header_map(&trailers));
    Ok(status.map_or(Code::Unknown, |status| status.code()))
}

/// So many connections, one after the other, each with all calls that it may have.
async fn attackers(target: &Target, connections: usize, takes: u32, asks: &Asks) -> Vec<Attacker> {
    let mut attackers = Vec::new();
    for _ in 0..connections {
        let mut attacker = Attacker::connect(target.public(), takes).await;
        // Whoever is cut makes no more of them.
        let _ = attacker.attack(asks).await;
        attackers.push(attacker);
        sleep(BETWEEN).await;
    }
    attackers
}

/// Each with as much in it as a question may have, which comes back twice in the answer.
async fn answers_that_nobody_takes(service: Service) {
    let target = Target::start(service).await;
    let asks = Asks::reflection("h".repeat(4_000), MessageRequest::ListServices(String::new()));
    let asks = Asks { times: 3, is_all: false, ..asks };
    target
        .withstands("answers that nobody takes", async {
            let attackers = attackers(&target, 12, 0, &asks).await;
            eventually("that the oldest are given up", async || {
                (attackers[0].ended() == CALLS).then_some(())
            })
            .await;
            sleep(STAY).await;
            let ended: usize = attackers.iter().map(Attacker::ended).sum();
            println!("{ended} of {} answers were given up", attackers.len() * CALLS);
            assert_eq!(attackers[attackers.len() - 1].ended(), 0, "the newest stay");
        })
        .await;
}

/// Of each answer one byte is let in, so that none of the rest is left to whoever made it.
async fn answers_that_are_begun_and_not_taken(service: Service) {
    let target = Target::start(service).await;
    let symbol = match service {
        Service::Auth => "tandem.auth.v1.AuthService",
        Service::Users => "tandem.users.v1.UsersService",
    };
    let asks = Asks::reflection(String::new(), MessageRequest::FileContainingSymbol(symbol.to_owned()));
    target
        .withstands("answers that are begun and not taken", async {
            let attackers = attackers(&target, 40, 1, &asks).await;
            eventually("that those who owe most are cut", async || {
                attackers.iter().any(Attacker::is_cut).then_some(())
            })
            .await;
            sleep(STAY).await;
            let cut = attackers.iter().filter(|attacker| attacker.is_cut()).count();
            println!("{cut} of {} connections were cut", attackers.len());
            assert!(cut < attackers.len(), "no more than have to be");
        })
        .await;
}

async fn streams_that_are_opened_and_left(service: Service) {
    let target = Target::start(service).await;
    let asks = Asks { path: "/grpc.health.v1.Health/Watch", message: framed(&[]), times: 1, is_all: true };
    let first = target
        .withstands("streams that are opened and left", async {
            let mut attackers = attackers(&target, 48, 65_535, &asks).await;
            eventually("that the oldest are ended", async || (attackers[0].ended() == CALLS).then_some(()))
                .await;
            sleep(STAY).await;
            assert_eq!(attackers[attackers.len() - 1].ended(), 0, "the newest stay");
            join_all(attackers[0].calls.drain(..)).await
        })
        .await;
    for code in first {
        assert_eq!(code.expect("no panic").expect("an end"), Code::Unavailable);
    }
}
