//! Several connections at a time to every listener that write frames for as long as the server takes them, and begin anew when
//! it does not.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Frames, Sent, connect_and_write, next_sent};
use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, split};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// How many connections attack at a time, to all listeners together.
const CONNECTIONS: usize = 4;

/// How long.
const LASTS: Duration = Duration::from_secs(4);

/// Frames that are written in one piece.
const PIECE: usize = 32 * 1024;

/// What an attacker does about what the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// It takes them.
    Read,
    /// It leaves them where they are.
    Left,
}

/// Where an attack goes.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    /// A call that anybody may make, and that nobody is let in by.
    pub(crate) call: &'static str,
    /// Who speaks TLS there, if it is spoken.
    pub(crate) tls: Option<TlsConnector>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Listener {
    async fn connect_and_write(&self, bytes: &[u8]) -> io::Result<Box<dyn Stream>> {
        let Some(tls) = &self.tls else { return Ok(Box::new(connect_and_write(self.address, bytes).await?)) };
        let connection = connect_and_write(self.address, b"").await?;
        let mut stream = tls.connect(ServerName::from(self.address.ip()), connection).await?;
        stream.write_all(bytes).await?;
        Ok(Box::new(stream))
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Frames that were written.
    pub(crate) frames: usize,
    /// Connections that were made.
    pub(crate) connections: usize,
    /// How often the server said that a connection ends, by the number of the reason.
    pub(crate) goaways: BTreeMap<u32, usize>,
    /// How many streams the server gave up, by the number of the reason.
    pub(crate) resets: BTreeMap<u32, usize>,
    /// What the server sent besides.
    pub(crate) others: usize,
}

impl Outcome {
    pub(crate) fn print(&self, name: &str) {
        let rate = self.frames as u64 / LASTS.as_secs();
        println!("{name}: {rate} frames a second over {} connections; {self:?}", self.connections);
    }
}

/// Writes to every listener what `more` adds to a connection's frames, again and again. It says `false` when a connection has no
/// more to give. Returns what came of it, by listener.
pub(crate) async fn flood(
    listeners: &[Listener],
    answers: Answers,
    more: impl Fn(&mut Frames, &str) -> bool + Copy,
) -> Vec<Outcome> {
    let end = Instant::now() + LASTS;
    let each = CONNECTIONS / listeners.len();
    let floods = listeners.iter().map(async |listener| {
        let outcomes = join_all((0..each).map(|_| async move {
            let mut outcome = Outcome::default();
            while Instant::now() < end {
                one_connection(listener, answers, more, end, &mut outcome).await;
            }
            outcome
        }));
        sum(outcomes.await)
    });
    join_all(floods).await
}

fn sum(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().fold(Outcome::default(), |mut all, one| {
        all.frames += one.frames;
        all.connections += one.connections;
        all.others += one.others;
        one.goaways.into_iter().for_each(|(reason, count)| *all.goaways.entry(reason).or_default() += count);
        one.resets.into_iter().for_each(|(reason, count)| *all.resets.entry(reason).or_default() += count);
        all
    })
}

async fn one_connection(
    listener: &Listener,
    answers: Answers,
    more: impl Fn(&mut Frames, &str) -> bool,
    end: Instant,
    outcome: &mut Outcome,
) {
    let mut frames = Frames::greeting();
    frames.settings_seen();
    let stream = listener.connect_and_write(&frames.take().0).await.expect("it accepts connections");
    outcome.connections += 1;
    let (reader, mut writer) = split(stream);
    let mut reader = BufReader::new(reader);
    let written = &mut outcome.frames;
    let writing = async {
        loop {
            let mut goes_on = true;
            while goes_on && frames.size() < PIECE {
                goes_on = more(&mut frames, listener.call);
            }
            let (bytes, count) = frames.take();
            let written_out = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            if written_out.await.is_err() || !goes_on {
                break;
            }
            *written += count;
        }
        // The last words of the server are still to be read.
        std::future::pending::<()>().await;
    };
    let reading = async {
        if answers == Answers::Left {
            return std::future::pending().await;
        }
        while let Some(sent) = next_sent(&mut reader).await {
            match sent {
                Sent::GoAway(reason) => *outcome.goaways.entry(reason).or_default() += 1,
                Sent::Reset { reason, .. } => *outcome.resets.entry(reason).or_default() += 1,
                _ => outcome.others += 1,
            }
        }
    };
    let _ = timeout_at(end, async {
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
    })
    .await;
}
