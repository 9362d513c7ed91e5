//! Connections that came to their age, and peers that do not believe it when they are told to go.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use configuration::Layers;
use credentials::{ServerKeys, ServerTls};
use grpc_kit::{Ended, ServerSettings};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::peer::framed;
use crate::probe::{self, CHECK, CLIENT, Running};

/// What counts as no check of the probe's.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Far longer than anything here takes, far shorter than a build that hangs.
const SOON: Duration = Duration::from_secs(10);

/// RFC 9113, section 6.
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// What a GOAWAY says that takes in every call still: no stream has a greater number.
const ALL: u32 = u32::MAX >> 1;

/// A peer that writes its frames itself, so that it need not do what it is told.
struct Stubborn<S = TcpStream> {
    stream: S,
    next_stream: u32,
}

/// What the server sent: the kind, the flags, the stream and the rest.
type Frame = (u8, u8, u32, Vec<u8>);

async fn connected(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address).await.expect("a server");
    stream.set_nodelay(true).expect("an open socket");
    stream
}

impl Stubborn {
    async fn connect(running: &Running) -> Self {
        Self::over(connected(running).await).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stubborn<S> {
    async fn over(mut stream: S) -> Self {
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
        let mut peer = Self { stream, next_stream: 1 };
        peer.send(SETTINGS, 0, 0, &[]).await;
        peer
    }

    /// The server may have closed the connection.
    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        let _ = self.stream.write_all(&head).await;
    }

    /// Makes a call that says what the probe should do; returns its stream.
    async fn call(&mut self, what: &str) -> u32 {
        self.call_of(CHECK, what).await
    }

    async fn call_of(&mut self, path: &str, what: &str) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        // `:method: POST` and `:scheme: http` of the static table, and literals of names in it and beyond.
        let mut head = vec![0x83, 0x86];
        for (name, value) in [
            (&b"\x01"[..], "probe"),
            (b"\x04", path),
            (b"\x0f\x10", "application/grpc"),
            (b"\x00\x02te", "trailers"),
            (b"\x00\x0cgrpc-timeout", "2S"),
        ] {
            head.extend_from_slice(name);
            head.push(u8::try_from(value.len()).expect("a short value"));
            head.extend_from_slice(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS, stream, &head).await;
        self.send(DATA, END_STREAM, stream, &framed(what)).await;
        stream
    }

    /// The next frame; none at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        let read = async {
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("a short frame")];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
            Some((head[3], head[4], stream, payload))
        };
        let frame: Option<Frame> = timeout(SOON, read).await.expect("it says something, or ends");
        if let Some((DATA, _, _, payload)) = &frame
            && !payload.is_empty()
        {
            // It has read them: without a word of that the server may send 64 KiB in all.
            let read = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
            self.send(WINDOW_UPDATE, 0, 0, &read).await;
        }
        frame
    }

    /// Reads on until the server says that the connection ends; returns the last stream that it takes in, and what else it sent.
    async fn told_to_go(&mut self) -> (u32, Vec<Frame>) {
        let mut others = Vec::new();
        loop {
            match self.next().await.expect("it is told before it ends") {
                (GOAWAY, _, _, said) => {
                    assert_eq!(said[4..8], [0; 4], "for no fault of its own");
                    return (u32::from_be_bytes(said[..4].try_into().expect("four bytes")), others);
                }
                other => others.push(other),
            }
        }
    }

    /// Reads to the end; returns what came.
    async fn rest(&mut self) -> Vec<Frame> {
        let mut rest = Vec::new();
        while let Some(frame) = self.next().await {
            rest.push(frame);
        }
        rest
    }
}

/// Whether a call was answered to the end.
fn is_answered(frames: &[Frame], stream: u32) -> bool {
    frames.iter().any(|(kind, flags, of, _)| (*kind, *of) == (HEADERS, stream) && flags & END_STREAM != 0)
}

fn settings() -> ServerSettings {
    ServerSettings { max_connection_age: Duration::from_millis(100), ..ServerSettings::default() }
}

/// How many checks were handled, when something else was answered over another connection, and so after anything that came before.
async fn handled_at_last(running: &Running, count: usize) {
    let answered = async {
        // A connection may come to its end before it is used, where the machine has much else to do.
        loop {
            let mut peer = Stubborn::connect(running).await;
            // Not of the probe's, and so not counted.
            let call = peer.call_of(HEALTH, "").await;
            let mut frames = Vec::new();
            while let Some(frame) = peer.next().await {
                frames.push(frame);
                if is_answered(&frames, call) {
                    return;
                }
            }
        }
    };
    timeout(SOON, answered).await.expect("an answer");
    assert_eq!(running.handled.load(Ordering::Relaxed), count);
}

#[tokio::test]
async fn a_peer_that_goes_on_calling_is_closed_as_soon_as_its_last_good_call_is_answered() {
    let running = probe::start_with(settings()).await;
    let mut peer = Stubborn::connect(&running).await;
    let good = peer.call("hang").await;
    let (last, _) = peer.told_to_go().await;
    assert_eq!(last, ALL, "first it is warned only: there may be calls on their way");
    let late = peer.call("").await;
    let mut frames = Vec::new();
    let asked = loop {
        match peer.next().await.expect("it is still there") {
            (PING, 0, _, asked) => break asked,
            other => {
                assert_ne!(other.0, GOAWAY, "before it said that it knows");
                frames.push(other);
            }
        }
    };
    peer.send(PING, ACK, 0, &asked).await;
    let (last, others) = peer.told_to_go().await;
    frames.extend(others);
    assert_eq!(last, late, "the call that crossed the warning is taken in");
    let too_late: Vec<_> = [peer.call("").await, peer.call("").await].into();
    frames.extend(peer.rest().await);
    assert!(is_answered(&frames, good) && is_answered(&frames, late), "{frames:?}");
    assert!(frames.iter().all(|(_, _, stream, _)| !too_late.contains(stream)), "{frames:?}");
    handled_at_last(&running, 2).await;
}

#[tokio::test]
async fn a_peer_that_answers_nothing_is_closed_when_it_has_been_silent_for_too_long() {
    let settings = ServerSettings {
        keepalive_interval: Duration::from_millis(300),
        // Its call has to come before that, however busy the machine is.
        keepalive_timeout: Duration::from_secs(3),
        ..settings()
    };
    let running = probe::start_with(settings).await;
    let mut peer = Stubborn::connect(&running).await;
    assert_eq!(peer.told_to_go().await.0, ALL);
    let call = peer.call("").await;
    let rest = peer.rest().await;
    assert!(is_answered(&rest, call), "it may not have heard yet: {rest:?}");
    handled_at_last(&running, 1).await;
}

/// Nothing tells it from one to which the warning has not come; whoever it is has a place like all others, and no more.
#[tokio::test]
async fn a_peer_that_does_not_say_that_it_was_told_is_served_until_the_end_and_does_not_hold_it_up() {
    let running = probe::start_with(settings()).await;
    let mut peer = Stubborn::connect(&running).await;
    assert_eq!(peer.told_to_go().await.0, ALL);
    for _ in 0..3 {
        let call = peer.call("").await;
        let mut frames = Vec::new();
        while !is_answered(&frames, call) {
            let frame = peer.next().await.expect("it is served");
            assert!(![RST_STREAM, GOAWAY].contains(&frame.0), "{frame:?}");
            frames.push(frame);
        }
    }
    handled_at_last(&running, 3).await;
    running.trigger.request();
    let ended = timeout(SOON, running.ended).await.expect("it ends").expect("it does not panic");
    assert_eq!(ended, Ended::Drained);
    peer.rest().await;
}

/// Certificates by the word of one authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), own }
    }

    fn issue(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// Of a server with this name, which asks clients for certificates.
    pub(crate) fn server(&self, name: &str, folder: &Path) -> ServerTls {
        let (certificate, key) = self.issue(name);
        let file = |name: &str, pem: &str| {
            let path = folder.join(name);
            fs::write(&path, pem).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("its owner's alone");
            path.display().to_string()
        };
        let given = [
            ("PROBE__TLS__CERT".to_owned(), file("cert", &certificate.pem())),
            ("PROBE__TLS__KEY_FILE".to_owned(), file("key", &key.serialize_pem())),
            ("PROBE__TLS__CA".to_owned(), file("ca", &self.own.pem())),
        ];
        let keys =
            ServerKeys { certificate: "tls.cert", key: "tls.key_file", client_authorities: Some("tls.ca") };
        let read = Layers::new("PROBE").variables(given).read(|reader| ServerTls::read(reader, keys));
        read.expect("settings").0.expect("a certificate")
    }

    /// Of a client that shows who it is.
    pub(crate) fn client(&self, name: &str) -> TlsConnector {
        let (certificate, key) = self.issue(name);
        let mut roots = RootCertStore::empty();
        roots.add(self.own.der().clone()).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config).into()
    }
}

/// A certificate may have run out, or be nobody's any more, since the connection was made.
#[tokio::test]
async fn what_a_certificate_proved_is_not_believed_any_more_when_the_connection_had_to_be_made_anew() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let settings = ServerSettings { max_connection_age: Duration::from_secs(3), ..ServerSettings::default() };
    let server = authority.server("server.probe.test", folder.path());
    let running = probe::start_over(Some(server), settings).await;
    let name = ServerName::try_from("server.probe.test").expect("a name");
    let stream = authority.client(CLIENT).connect(name, connected(&running).await).await;
    let mut peer = Stubborn::over(stream.expect("TLS")).await;

    let seen = || (running.handled.load(Ordering::Relaxed), running.by_name.load(Ordering::Relaxed));
    let calls_on = async {
        loop {
            let call = peer.call("").await;
            let mut frames = Vec::new();
            while !is_answered(&frames, call) {
                frames.push(peer.next().await.expect("it is served"));
            }
            let (all, by_name) = seen();
            if by_name < all {
                return by_name;
            }
        }
    };
    let by_name = timeout(SOON, calls_on).await.expect("the name is not believed for ever");
    assert!(by_name > 0, "the name was believed at first");
}
