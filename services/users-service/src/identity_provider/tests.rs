use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use configuration::Layers;
use credentials::ClientTls;
use futures::FutureExt as _;
use grpc_kit::client::Names;
use grpc_kit::listen::accept;
use grpc_kit::{Call, call};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use users_core::testing::a_username;

use super::*;
use crate::Config;

const PATIENCE: Duration = Duration::from_millis(200);

async fn provider(port: u16) -> GrpcIdentityProvider {
    patient(port, PATIENCE).await
}

/// One that is waited for as long as this.
async fn patient(port: u16, timeout: Duration) -> GrpcIdentityProvider {
    let connection = Connection {
        url: format!("http://127.0.0.1:{port}"),
        token: Some(Token::fixed("0123456789abcdef0123456789abcdef".into())),
        tls: ClientTls::default(),
        timeout,
        names: Names::of_the_system(),
    };
    GrpcIdentityProvider::new(&connection).await.unwrap()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn ask(provider: &GrpcIdentityProvider) -> ProviderError {
    provider.get_account(&UserKey::Username(a_username("alice"))).await.unwrap_err()
}

fn call(left: Duration) -> Call {
    let deadline = Some(Instant::now() + left);
    Call { deadline, ..Call::new("/tandem.probe.v1.ProbeService/Get", "r-1") }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let (listener, port) = listener().await;
    drop(listener);
    assert!(matches!(ask(&provider(port).await).await, ProviderError::Unavailable(_)));
}

#[tokio::test]
async fn a_provider_that_is_silent_is_unavailable_in_time() {
    let (_silent, port) = listener().await;
    let began = Instant::now();
    assert!(matches!(ask(&provider(port).await).await, ProviderError::Unavailable(_)));
    assert!(began.elapsed() < 5 * PATIENCE, "{:?}", began.elapsed());
}

fn is_without_an_attempt(error: &ProviderError) -> bool {
    matches!(error, ProviderError::Unavailable(why) if why.to_string().contains("no replica answers"))
}

#[tokio::test]
async fn a_provider_that_says_nothing_to_five_calls_holds_up_no_later_one() {
    let (port, calls) = silent().await;
    // For longer than the moment below.
    let provider = patient(port, Duration::from_millis(400)).await;
    for _ in 0..5 {
        let said = ask(&provider).await;
        assert!(
            matches!(&said, ProviderError::Unavailable(why) if why.to_string().contains("in time")),
            "{said:?}"
        );
    }
    // The next waits for a moment, since that may be a restart, and all others for nothing.
    let said = ask(&provider).await;
    assert!(is_without_an_attempt(&said), "{said:?}");
    for _ in 0..50 {
        let said = ask(&provider).now_or_never();
        assert!(said.as_ref().is_some_and(is_without_an_attempt), "{said:?}");
        tokio::task::yield_now().await;
    }
    let came = calls.load(Ordering::SeqCst);
    assert!((1..=5).contains(&came), "{came} calls came to somebody who does not answer");
}

/// The feed waits for days, and nobody else would find out.
#[tokio::test]
async fn a_provider_that_falls_silent_under_an_open_feed_is_noticed() {
    let (listener, port) = listener().await;
    let provider = patient(port, Duration::from_mins(1)).await;
    let answering = async {
        let (mut stream, _) = accept(&listener).await.unwrap();
        call_on(&mut stream).await;
        // No settings, and headers for the first stream that are not its end: `:status: 200`, `content-type`.
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        let headers = b"\0\0\x14\x01\x04\0\0\0\x01\x88\x0f\x10\x10application/grpc";
        stream.write_all(&[&settings[..], headers].concat()).await.unwrap();
        stream
    };
    let (feed, _silent) = tokio::join!(provider.watch(String::new()), answering);
    let mut feed = pin!(feed.unwrap());
    tokio::time::pause();
    let begun = Instant::now();
    let said = timeout(Duration::from_hours(1), feed.next()).await.expect("it is noticed");
    assert!(matches!(said, Some(Err(ProviderError::Unavailable(_)))), "{said:?}");
    // It is asked after 20 s whether it is there, and has 10 s to say so.
    assert!(begun.elapsed() < Duration::from_secs(32), "{:?}", begun.elapsed());
}

/// Over TLS, by the word of an authority that has never been asked for it.
async fn secured(port: u16) -> GrpcIdentityProvider {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let variables = [
        ("USERS__DATABASE__URL", "sqlite:///data/users".to_owned()),
        ("USERS__IDENTITY_PROVIDER__URL", format!("https://127.0.0.1:{port}")),
        ("USERS__IDENTITY_PROVIDER__TIMEOUT", "200ms".to_owned()),
        ("USERS__IDENTITY_PROVIDER__TOKEN", "0123456789abcdef0123456789abcdef".to_owned()),
        ("USERS__IDENTITY_PROVIDER__CA_FILE", file.display().to_string()),
    ];
    let variables = variables.map(|(key, value)| (key.to_owned(), value));
    let (config, _) = Config::read(Layers::new("USERS").variables(variables)).unwrap();
    GrpcIdentityProvider::new(&config.identity_provider).await.unwrap()
}

#[tokio::test]
async fn a_handshake_that_nobody_answers_holds_up_no_later_call() {
    let (silent, port) = listener().await;
    let provider = secured(port).await;
    let asked_again = async {
        let _first = accept(&silent).await.unwrap();
        let _second = accept(&silent).await.unwrap();
    };
    let asking = async {
        loop {
            assert!(matches!(ask(&provider).await, ProviderError::Unavailable(_)));
            // While it is left alone the answer takes no time at all.
            tokio::task::yield_now().await;
        }
    };
    let again = async {
        tokio::select! {
            () = asked_again => {}
            () = asking => {}
        }
    };
    timeout(100 * PATIENCE, again).await.expect("another connection is tried");
}

/// A replica that closes each connection as soon as a call has come in on it, and counts them.
async fn breaking() -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, port) = listener().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = accept(&listener).await.unwrap();
            call_on(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (([127, 0, 0, 1], port).into(), calls)
}

/// Reads until a call has come in: the preface, settings, and then its headers, the first frame on a stream. Or to the end.
async fn call_on(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while headers(&seen) == 0 {
        if stream.read_buf(&mut seen).await.unwrap() == 0 {
            break;
        }
    }
}

/// A replica that takes in whatever comes, and never says a word. Counts the calls on its first connection: for its health it
/// is asked over others.
async fn silent() -> (u16, Arc<AtomicUsize>) {
    let (listener, port) = listener().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    tokio::spawn(async move {
        let (mut first, _) = accept(&listener).await.unwrap();
        let mut seen = Vec::new();
        while first.read_buf(&mut seen).await.unwrap() > 0 {
            counted.store(headers(&seen), Ordering::SeqCst);
        }
    });
    (port, calls)
}

/// How many frames of the type HEADERS (RFC 9113, section 4.1) there are after the preface: one for each call.
fn headers(mut seen: &[u8]) -> usize {
    const PREFACE: usize = 24;
    let mut headers = 0;
    seen = seen.get(PREFACE..).unwrap_or_default();
    while let [high, middle, low, kind, ..] = *seen {
        headers += usize::from(kind == 1);
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        seen = seen.get(9 + length..).unwrap_or_default();
    }
    headers
}

/// All of these, behind one name.
async fn provider_of(replicas: Vec<SocketAddr>) -> GrpcIdentityProvider {
    let connection = Connection {
        url: "dns:///auth.test:1".into(),
        token: Some(Token::fixed("0123456789abcdef0123456789abcdef".into())),
        tls: ClientTls::default(),
        timeout: Duration::from_secs(10),
        names: Names::by(move |_, _| std::future::ready(Ok(replicas.clone())).boxed()),
    };
    GrpcIdentityProvider::new(&connection).await.unwrap()
}

async fn write(provider: &GrpcIdentityProvider) -> ProviderError {
    let id = UserId::new(uuid::Uuid::nil());
    provider.enable_account(id, None, None).await.unwrap_err()
}

#[tokio::test]
async fn a_question_that_nobody_answered_is_asked_again_elsewhere_and_three_times_at_most() {
    let (one, other) = (breaking().await, breaking().await);
    let provider = provider_of(vec![one.0, other.0]).await;
    assert!(matches!(ask(&provider).await, ProviderError::Unavailable(_)));
    let calls = [one.1, other.1].map(|calls| calls.load(Ordering::SeqCst));
    assert!(calls == [1, 2] || calls == [2, 1], "{calls:?}");
}

#[tokio::test]
async fn a_change_that_somebody_may_have_begun_with_is_not_asked_for_again() {
    let (one, other) = (breaking().await, breaking().await);
    let provider = provider_of(vec![one.0, other.0]).await;
    assert!(matches!(write(&provider).await, ProviderError::Unavailable(_)));
    assert_eq!(one.1.load(Ordering::SeqCst) + other.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_change_for_which_there_was_no_connection_is_asked_for_elsewhere() {
    let (listener, port) = listener().await;
    drop(listener);
    for _ in 0..5 {
        let there = breaking().await;
        let provider = provider_of(vec![([127, 0, 0, 1], port).into(), there.0]).await;
        assert!(matches!(write(&provider).await, ProviderError::Unavailable(_)));
        assert_eq!(there.1.load(Ordering::SeqCst), 1, "whichever was chosen first");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_unavailable_at_once() {
    let provider = provider_of(Vec::new()).await;
    let error = ask(&provider).await;
    assert!(
        matches!(&error, ProviderError::Unavailable(why) if why.to_string().contains("looked up")),
        "{error:?}"
    );
}

#[tokio::test]
async fn without_time_left_to_answer_nobody_is_asked() {
    let (_silent, port) = listener().await;
    let provider = provider(port).await;
    let error = call::scope(call(Duration::ZERO), ask(&provider)).await;
    assert!(matches!(error, ProviderError::DeadlineExceeded));
}

#[tokio::test]
async fn the_credential_is_not_shown() {
    let shown = format!("{:?}", provider(1).await);
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
}
