//! Several connections at a time that write frames for as long as the server takes them, and begin anew when it does not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::{Frames, Sent, connect_and_write, next_sent};
use futures::future::join_all;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, timeout_at};

/// How many connections attack at a time.
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

/// Writes what `more` adds to a connection's frames, again and again. It says `false` when a connection has no more to give.
pub(crate) async fn flood(
    address: SocketAddr,
    answers: Answers,
    more: impl Fn(&mut Frames) -> bool + Copy,
) -> Outcome {
    let end = Instant::now() + LASTS;
    let outcomes = join_all((0..CONNECTIONS).map(|_| async move {
        let mut outcome = Outcome::default();
        while Instant::now() < end {
            one_connection(address, answers, more, end, &mut outcome).await;
        }
        outcome
    }));
    outcomes.await.into_iter().fold(Outcome::default(), |mut all, one| {
        all.frames += one.frames;
        all.connections += one.connections;
        all.others += one.others;
        one.goaways.into_iter().for_each(|(reason, count)| *all.goaways.entry(reason).or_default() += count);
        one.resets.into_iter().for_each(|(reason, count)| *all.resets.entry(reason).or_default() += count);
        all
    })
}

async fn one_connection(
    address: SocketAddr,
    answers: Answers,
    more: impl Fn(&mut Frames) -> bool,
    end: Instant,
    outcome: &mut Outcome,
) {
    let mut frames = Frames::greeting();
    frames.settings_seen();
    let stream = connect_and_write(address, &frames.take().0).await.expect("it accepts connections");
    outcome.connections += 1;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let written = &mut outcome.frames;
    let writing = async {
        loop {
            let mut goes_on = true;
            while goes_on && frames.size() < PIECE {
                goes_on = more(&mut frames);
            }
            let (bytes, count) = frames.take();
            if writer.write_all(&bytes).await.is_err() || !goes_on {
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
