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
    streams_whose_clients_may_go_on,
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
            self.call(asks).await?;
        }
        Ok(())
    }

    async fn call(&mut self, asks: &Asks) -> Result<(), h2::Error> {
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

/// Some calls of each attacker come to their end, the others stay.
async fn have_given_way(attackers: &[Attacker]) {
    eventually("that each has given way", async || {
        attackers.iter().all(|attacker| attacker.ended() > 0).then_some(())
    })
    .await;
    sleep(STAY).await;
    let ended: usize = attackers.iter().map(Attacker::ended).sum();
    println!("{ended} of {} calls were given up", attackers.len() * CALLS);
    assert!(attackers.iter().all(|attacker| attacker.ended() < CALLS), "no more than have to be");
}

/// Each with as much in it as a question may have, which comes back twice in the answer.
async fn answers_that_nobody_takes(service: Service) {
    let asks = Asks::reflection("h".repeat(4_000), MessageRequest::ListServices(String::new()));
    let asks = Asks { times: 3, is_all: false, ..asks };
    let target = Target::start(service).await;
    target
        .withstands("answers that nobody takes", async {
            have_given_way(&attackers(&target, 12, 0, &asks).await).await;
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
            eventually("that those who take nothing are cut", async || {
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
    let watch = Asks { path: "/grpc.health.v1.Health/Watch", message: framed(&[]), times: 1, is_all: true };
    withstood(service, "watches that are left", &watch, 48).await;
}

async fn streams_whose_clients_may_go_on(service: Service) {
    let asks = Asks::reflection(String::new(), MessageRequest::ListServices(String::new()));
    withstood(service, "reflections that are left", &Asks { is_all: false, ..asks }, 12).await;
}

async fn withstood(service: Service, name: &str, asks: &Asks, connections: usize) {
    let target = Target::start(service).await;
    let ended = target
        .withstands(name, async {
            // Somebody who has one stream, and has had it for longest.
            let mut honest = Attacker::connect(target.public(), 65_535).await;
            honest.call(asks).await.expect("it is heard");
            let mut attackers = attackers(&target, connections, 65_535, asks).await;
            have_given_way(&attackers).await;
            assert_eq!(honest.ended(), 0, "{name}: whoever has few keeps them");
            let calls = attackers.iter_mut().flat_map(|attacker| attacker.calls.drain(..));
            join_all(calls.filter(JoinHandle::is_finished)).await
        })
        .await;
    for code in ended {
        assert_eq!(code.expect("no panic").expect("an end"), Code::Unavailable, "{name}");
    }
}
