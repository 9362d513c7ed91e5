//! Every mode, over a server that answers whatever it hears with the same.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

use super::*;

/// Far longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);
/// As long as is waited for what must not come.
const A_WHILE: Duration = Duration::from_millis(100);

/// A server, and what it hears: nothing is the end of a connection.
struct Echo {
    heard: UnboundedReceiver<Vec<u8>>,
    address: SocketAddr,
}

impl Echo {
    async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, heard) = unbounded_channel();
        tokio::spawn(async move {
            loop {
                let mut stream = next(Some(&listener)).await;
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        tell.send(bytes[..count].to_vec()).unwrap();
                        let _ = stream.write_all(&bytes[..count]).await;
                    }
                    tell.send(Vec::new()).unwrap();
                });
            }
        });
        Self { heard, address }
    }

    async fn hears(&mut self) -> Vec<u8> {
        timeout(SOON, self.heard.recv()).await.expect("it hears something").unwrap()
    }
}

async fn set_up() -> (Echo, Proxy) {
    let echo = Echo::new().await;
    let proxy = Proxy::to(echo.address).await;
    (echo, proxy)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn says(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
}

async fn hears(stream: &mut TcpStream, text: &[u8]) {
    let mut bytes = vec![0; text.len()];
    timeout(SOON, stream.read_exact(&mut bytes)).await.expect("it is answered").unwrap();
    assert_eq!(bytes, text);
}

async fn hears_nothing(stream: &mut TcpStream) {
    assert!(timeout(A_WHILE, stream.read(&mut [0; 64])).await.is_err(), "nothing comes");
}

async fn is_closed(stream: &mut TcpStream) {
    let read = timeout(SOON, stream.read(&mut [0; 64])).await.expect("it hears of the end");
    assert!(!matches!(read, Ok(1..)), "{read:?}");
}

async fn is_reset(stream: &mut TcpStream) {
    let read = timeout(SOON, stream.read(&mut [0; 64])).await.expect("it hears of the end");
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn everything_passes_and_is_counted() {
    let (mut echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    for text in [&b"once"[..], b"and again"] {
        says(&mut client, text).await;
        hears(&mut client, text).await;
        assert_eq!(echo.hears().await, text);
    }
    let passed = proxy.passed();
    assert_eq!((passed.connections, passed.requests), (1, 2));
    assert_eq!((passed.to_servers, passed.to_clients, passed.swallowed), (13, 13, 0));
    client.shutdown().await.unwrap();
    assert_eq!(echo.hears().await, b"", "the end passes too");
    is_closed(&mut client).await;
}

#[tokio::test]
async fn more_passes_than_fits_into_any_buffer() {
    let (_echo, proxy) = set_up().await;
    let (mut from, mut to) = connect(&proxy).await.into_split();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_be_bytes()[3]).collect();
    let all = sent.clone();
    let writing = tokio::spawn(async move { to.write_all(&all).await.map(|()| to) });
    let mut received = vec![0; sent.len()];
    timeout(SOON, from.read_exact(&mut received)).await.expect("it is answered").unwrap();
    assert!(received == sent);
    drop(writing.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_proxy_that_leads_nowhere_closes_connections_until_it_leads_somewhere() {
    let echo = Echo::new().await;
    let proxy = Proxy::new().await;
    is_closed(&mut connect(&proxy).await).await;
    proxy.leads_to(echo.address);
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
}

#[tokio::test]
async fn nobody_listens_where_connections_are_refused_until_somebody_does() {
    let (mut echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.set(Mode::Refuse).await;
    is_closed(&mut client).await;
    assert_eq!(echo.hears().await, b"", "the server hears of the end");
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.set(Mode::Pass).await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
}

#[tokio::test]
async fn nothing_comes_through_a_black_hole_before_it_is_over() {
    let (mut echo, proxy) = set_up().await;
    let mut before = connect(&proxy).await;
    says(&mut before, b"hello").await;
    hears(&mut before, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.set(Mode::BlackHole).await;
    let mut during = connect(&proxy).await;
    says(&mut before, b"one").await;
    says(&mut during, b"another").await;
    hears_nothing(&mut before).await;
    hears_nothing(&mut during).await;
    assert!(echo.heard.is_empty());
    proxy.set(Mode::Pass).await;
    hears(&mut before, b"one").await;
    hears(&mut during, b"another").await;
}

#[tokio::test]
async fn whoever_was_abandoned_never_hears_anything_and_new_connections_are_served() {
    let (mut echo, proxy) = set_up().await;
    let mut old = connect(&proxy).await;
    says(&mut old, b"hello").await;
    hears(&mut old, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.abandon().await;
    assert_eq!(echo.hears().await, b"", "the server hears that it is gone");
    says(&mut old, b"hello?").await;
    hears_nothing(&mut old).await;
    let mut new = connect(&proxy).await;
    says(&mut new, b"hello!").await;
    hears(&mut new, b"hello!").await;
    hears_nothing(&mut old).await;
}

#[tokio::test]
async fn connections_are_reset_open_and_new_ones() {
    let (mut echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.set(Mode::Reset).await;
    is_reset(&mut client).await;
    assert_eq!(echo.hears().await, b"", "the server hears of the end");
    is_reset(&mut connect(&proxy).await).await;
    proxy.set(Mode::Pass).await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
    proxy.sever().await;
    is_reset(&mut client).await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
}

#[tokio::test]
async fn connections_that_are_severed_before_their_answer_are_counted() {
    let (_echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
    proxy.sever().await;
    is_reset(&mut client).await;
    assert_eq!(proxy.passed().severed_unanswered, 0);
    proxy.set(Mode::Delay { least: SOON, most: SOON }).await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    while proxy.passed().requests < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxy.sever().await;
    is_reset(&mut client).await;
    assert_eq!(proxy.passed().severed_unanswered, 1);
}

#[tokio::test]
async fn what_is_delayed_takes_its_time_in_order_and_by_the_seed() {
    let (_echo, proxy) = set_up().await;
    let (least, most) = (Duration::from_millis(20), Duration::from_millis(40));
    proxy.seed(7);
    proxy.set(Mode::Delay { least, most }).await;
    let mut client = connect(&proxy).await;
    let begun = Instant::now();
    for text in [b"one", b"two"] {
        says(&mut client, text).await;
        hears(&mut client, text).await;
    }
    assert!(begun.elapsed() >= least * 4, "two ways, twice: {:?}", begun.elapsed());
    says(&mut client, b"one after").await;
    says(&mut client, b" the other").await;
    hears(&mut client, b"one after the other").await;
    proxy.set(Mode::Pass).await;
    says(&mut client, b"on").await;
    hears(&mut client, b"on").await;

    let chances = |seed| {
        let mut flow = flow::Flow::new(seed);
        (0..8).map(|_| flow.delay(least, most)).collect::<Vec<_>>()
    };
    assert_eq!(chances(7), chances(7));
    assert_ne!(chances(7), chances(8));
    assert!(chances(7).iter().all(|delay| (least..=most).contains(delay)));
}

#[tokio::test]
async fn so_many_bytes_a_second_come_through_and_the_rest_when_it_is_over() {
    let (_echo, proxy) = set_up().await;
    proxy.set(Mode::Rate(2000)).await;
    let mut client = connect(&proxy).await;
    let begun = Instant::now();
    says(&mut client, &[b'x'; 1000]).await;
    hears(&mut client, &[b'x'; 1000]).await;
    assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
    proxy.set(Mode::Rate(1)).await;
    says(&mut client, &[b'y'; 1000]).await;
    hears_nothing(&mut client).await;
    proxy.set(Mode::Pass).await;
    hears(&mut client, &[b'y'; 1000]).await;
}

#[tokio::test]
async fn garbage_is_answered_at_once_and_the_server_hears_nothing() {
    let (mut echo, proxy) = set_up().await;
    let mut old = connect(&proxy).await;
    says(&mut old, b"hello").await;
    hears(&mut old, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.set(Mode::Garbage).await;
    let mut new = connect(&proxy).await;
    for client in [&mut old, &mut new] {
        says(client, b"hello").await;
        hears(client, b"HTTP/1.1 200 OK").await;
    }
    assert!(echo.heard.is_empty());
    proxy.set(Mode::Pass).await;
    let mut rest = Vec::new();
    assert_eq!(old.read_to_end(&mut rest).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_swallowed_reply_is_one_to_what_the_server_has_heard() {
    let (mut echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    let mut idle = connect(&proxy).await;
    says(&mut idle, b"idle").await;
    hears(&mut idle, b"idle").await;
    assert_eq!(echo.hears().await, b"idle");
    proxy.set(Mode::SwallowReplies).await;
    says(&mut client, b"do it").await;
    assert_eq!(echo.hears().await, b"do it");
    hears_nothing(&mut client).await;
    assert_eq!(proxy.passed().swallowed, 5);
    proxy.set(Mode::Pass).await;
    is_reset(&mut client).await;
    assert_eq!(echo.hears().await, b"");
    says(&mut idle, b"it lost nothing").await;
    hears(&mut idle, b"it lost nothing").await;
}

#[tokio::test]
async fn a_server_that_says_nothing_more_still_hears() {
    let (mut echo, proxy) = set_up().await;
    let mut client = connect(&proxy).await;
    says(&mut client, b"hello").await;
    hears(&mut client, b"hello").await;
    assert_eq!(echo.hears().await, b"hello");
    proxy.set(Mode::HalfClose).await;
    assert_eq!(timeout(SOON, client.read(&mut [0; 64])).await.expect("the end").unwrap(), 0);
    says(&mut client, b"still there?").await;
    assert_eq!(echo.hears().await, b"still there?");
    proxy.set(Mode::Pass).await;
    assert_eq!(echo.hears().await, b"", "it is closed when that is over");
}

/// What a client begins with, and its commit.
const START: &[u8] = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0";
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// What the echo makes an answer of.
const READY: &[u8] = b"Z\0\0\0\x05I";

async fn begun(proxy: &Proxy, echo: &mut Echo) -> TcpStream {
    let mut client = connect(proxy).await;
    says(&mut client, START).await;
    hears(&mut client, START).await;
    assert_eq!(echo.hears().await, START);
    client
}

#[tokio::test]
async fn a_commit_is_cut_before_the_server_hears_of_it_or_while_it_commits() {
    let (mut echo, proxy) = set_up().await;
    let mut client = begun(&proxy, &mut echo).await;
    proxy.cut_commits(Cut::Before, Commits::Nth(2));
    says(&mut client, COMMIT).await;
    hears(&mut client, COMMIT).await;
    assert_eq!(echo.hears().await, COMMIT, "the first passes");
    says(&mut client, COMMIT).await;
    is_closed(&mut client).await;
    assert_eq!(echo.hears().await, b"", "it never came");
    proxy.cut_commits(Cut::During, Commits::Every);
    for _ in 0..2 {
        let mut client = begun(&proxy, &mut echo).await;
        says(&mut client, COMMIT).await;
        is_closed(&mut client).await;
        assert_eq!(echo.hears().await, COMMIT);
        assert_eq!(echo.hears().await, b"");
    }
    proxy.cut_commits(Cut::During, Commits::None);
    let mut client = begun(&proxy, &mut echo).await;
    says(&mut client, COMMIT).await;
    hears(&mut client, COMMIT).await;
    let passed = proxy.passed();
    assert_eq!((passed.commits, passed.cut), (5, 3));
}

#[tokio::test]
async fn a_commit_is_cut_when_the_server_has_answered_it() {
    let (mut echo, proxy) = set_up().await;
    let mut client = begun(&proxy, &mut echo).await;
    proxy.cut_commits(Cut::After, Commits::Nth(1));
    says(&mut client, COMMIT).await;
    assert_eq!(echo.hears().await, COMMIT);
    // The server is not ready yet: the connection stays.
    hears_nothing(&mut client).await;
    says(&mut client, READY).await;
    is_closed(&mut client).await;
}

#[tokio::test]
async fn a_commit_may_never_be_answered_on_a_connection_that_stays() {
    let (mut echo, proxy) = set_up().await;
    let mut client = begun(&proxy, &mut echo).await;
    proxy.cut_commits(Cut::Silence, Commits::Nth(1));
    for message in [COMMIT, READY] {
        says(&mut client, message).await;
        assert_eq!(echo.hears().await, message);
    }
    hears_nothing(&mut client).await;
    let mut other = begun(&proxy, &mut echo).await;
    says(&mut other, COMMIT).await;
    hears(&mut other, COMMIT).await;
    hears_nothing(&mut client).await;
}
