//! HTTP/2 written by hand: whatever no library would send, as fast as the connection takes it.
//!
//! Knows how frames are laid out (RFC 9113) and as much of header compression (RFC 7541) as one request needs.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const GOAWAY: u8 = 0x7;
const WINDOW_UPDATE: u8 = 0x8;
const CONTINUATION: u8 = 0x9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const CANCEL: u32 = 0x8;

/// What a connection begins with.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a `ClientHello` of TLS, whose end never comes: five of more than five hundred.
pub const HALF_A_HELLO: &[u8; 5] = &[0x16, 0x03, 0x01, 0x02, 0x00];

/// Frames to be written.
#[derive(Clone, Debug)]
pub struct Frames {
    bytes: Vec<u8>,
    count: usize,
    next_stream: u32,
}

impl Frames {
    /// How every connection begins: the preface, and settings that change nothing.
    #[must_use]
    pub fn greeting() -> Self {
        let mut frames = Self { bytes: PREFACE.to_vec(), count: 0, next_stream: 1 };
        frames.settings();
        frames
    }

    /// How many bytes wait to be written.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes what is to be written, and how many frames that is.
    pub fn take(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.count))
    }

    /// Begins a call on a stream of its own, whose message is still to come; none when a connection has no more streams.
    pub fn call(&mut self, path: &str) -> Option<u32> {
        let stream = self.stream()?;
        self.frame(HEADERS, END_HEADERS, stream, &head(path));
        Some(stream)
    }

    /// Makes a whole call with a message of no fields.
    pub fn whole_call(&mut self, path: &str) -> Option<u32> {
        let stream = self.call(path)?;
        self.frame(DATA, END_STREAM, stream, &[0; 5]);
        Some(stream)
    }

    /// Begins a head, and does not end it.
    pub fn endless_head(&mut self, path: &str) -> Option<u32> {
        let stream = self.stream()?;
        self.frame(HEADERS, 0, stream, &head(path));
        Some(stream)
    }

    /// Goes on with a head, by a field that means nothing, and does not end it.
    pub fn continuation(&mut self, stream: u32) {
        self.frame(CONTINUATION, 0, stream, &[0x00, 1, b'x', 1, b'y']);
    }

    /// Sends nothing of a message.
    pub fn empty_data(&mut self, stream: u32) {
        self.frame(DATA, 0, stream, &[]);
    }

    /// Gives a call up.
    pub fn cancel(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }

    /// Opens a stream's window further than there are numbers, which is an error that the server has to reset the stream for.
    pub fn boundless_window(&mut self, stream: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &(u32::MAX >> 1).to_be_bytes());
    }

    /// Settings that change nothing and are to be acknowledged all the same.
    pub fn settings(&mut self) {
        self.frame(SETTINGS, 0, 0, &[]);
    }

    /// Says that no answer may be sent on any stream for now.
    pub fn closed_windows(&mut self) {
        self.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    }

    /// Acknowledges the server's.
    pub fn settings_seen(&mut self) {
        self.frame(SETTINGS, ACK, 0, &[]);
    }

    /// Asks whether the server is there.
    pub fn ping(&mut self) {
        self.frame(PING, 0, 0, &[7; 8]);
    }

    fn stream(&mut self) -> Option<u32> {
        let stream = self.next_stream;
        self.next_stream += 2;
        (stream < 1 << 31).then_some(stream)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        self.bytes.extend_from_slice(&length[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream.to_be_bytes());
        self.bytes.extend_from_slice(payload);
        self.count += 1;
    }
}

/// The head of a call: literals, of which the other end remembers nothing.
fn head(path: &str) -> Vec<u8> {
    // `:method: POST` and `:scheme: http` of the static table.
    let mut block = vec![0x83, 0x86];
    let mut field = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short value"));
        block.extend_from_slice(value.as_bytes());
    };
    // By their numbers in the static table: `:authority`, `:path`, `content-type`; and one that is not in it.
    field(&[0x01], "tandem");
    field(&[0x04], path);
    field(&[0x0f, 16], "application/grpc");
    field(b"\x00\x02te", "trailers");
    block
}

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Its settings, by number.
    Settings(Vec<(u16, u32)>),
    /// That it gives up a stream, and why.
    Reset {
        /// Which.
        stream: u32,
        /// The number of the reason.
        reason: u32,
    },
    /// That the connection ends, and why.
    GoAway(u32),
    /// Something else.
    Other,
}

/// Reads the next frame; none at the end of the connection, however it came about.
pub async fn next_sent(connection: &mut (impl AsyncRead + Unpin)) -> Option<Sent> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("a short frame")];
    connection.read_exact(&mut payload).await.ok()?;
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().expect("four bytes"));
    Some(match head[3] {
        SETTINGS if head[4] & ACK == 0 => {
            let setting = |bytes: &[u8]| {
                let (key, value) = bytes.split_at(2);
                let key = u16::from_be_bytes(key.try_into().expect("two bytes"));
                (key, u32::from_be_bytes(value.try_into().expect("four bytes")))
            };
            Sent::Settings(payload.chunks_exact(6).map(setting).collect())
        }
        RST_STREAM => Sent::Reset {
            stream: u32::from_be_bytes(head[5..9].try_into().expect("four bytes")),
            reason: number(0),
        },
        GOAWAY => Sent::GoAway(number(4)),
        _ => Sent::Other,
    })
}

/// Connects and writes; the connection says nothing more by itself.
pub async fn connect_and_write(address: SocketAddr, bytes: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(bytes).await?;
    Ok(stream)
}
