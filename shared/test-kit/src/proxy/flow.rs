//! One direction of a connection.

use std::future::pending;
use std::io;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

/// As much as is taken up at once.
const ROOM: usize = 64 * 1024;
/// How often in a second something comes through where so many bytes a second do.
const PIECES: u64 = 20;

/// What came and has not been passed on yet, which outlasts every change of what becomes of it.
#[derive(Debug)]
pub(super) struct Flow {
    held: Vec<u8>,
    written: usize,
    /// Not passed on before.
    due: Instant,
    is_over: bool,
    has_lost: bool,
    chance: StdRng,
}

/// How fast it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Free,
    Delayed {
        least: Duration,
        most: Duration,
    },
    Limited(u64),
    /// Not at all: it is lost.
    Lost,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something came, which is held now.
    Came,
    /// So many bytes were passed on.
    Passed(usize),
    /// So many bytes were lost.
    Lost(usize),
    /// Nothing comes any more.
    Over,
}

impl Flow {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            held: Vec::with_capacity(ROOM),
            written: 0,
            due: Instant::now(),
            is_over: false,
            has_lost: false,
            chance: StdRng::seed_from_u64(seed),
        }
    }

    /// What waits to be passed on.
    pub(super) fn held(&self) -> &[u8] {
        &self.held[self.written..]
    }

    /// Forgets what is held but for so many bytes.
    pub(super) fn keep(&mut self, length: usize) {
        self.held.truncate(self.written + length);
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether something of it was lost, so that what comes next would make no sense.
    pub(super) const fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// What chance says next.
    pub(super) fn delay(&mut self, least: Duration, most: Duration) -> Duration {
        self.chance.random_range(least..=most)
    }

    /// Takes something up, or passes on what was taken up before. Dropped half-way it has done nothing.
    pub(super) async fn step(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        pace: Pace,
    ) -> io::Result<Step> {
        if self.is_over {
            return pending().await;
        }
        if self.held().is_empty() {
            self.held.clear();
            self.written = 0;
            if from.read_buf(&mut self.held).await? == 0 {
                if pace != Pace::Lost {
                    to.shutdown().await?;
                }
                self.is_over = true;
                return Ok(Step::Over);
            }
            self.due = Instant::now()
                + match pace {
                    Pace::Delayed { least, most } => self.delay(least, most),
                    Pace::Limited(rate) => takes(piece(rate).min(self.held().len()), rate),
                    Pace::Free | Pace::Lost => Duration::ZERO,
                };
            return Ok(Step::Came);
        }
        if pace == Pace::Lost {
            let lost = self.held().len();
            self.keep(0);
            self.has_lost = true;
            return Ok(Step::Lost(lost));
        }
        sleep_until(self.due).await;
        let length = match pace {
            Pace::Limited(rate) => self.held().len().min(piece(rate)),
            _ => self.held().len(),
        };
        let passed = to.write(&self.held[self.written..self.written + length]).await?;
        self.written += passed;
        if let Pace::Limited(rate) = pace {
            self.due = Instant::now() + takes(piece(rate).min(self.held().len()), rate);
        }
        Ok(Step::Passed(passed))
    }
}

/// How long so many bytes are on their way.
fn takes(bytes: usize, rate: u64) -> Duration {
    Duration::from_secs(1) * u32::try_from(bytes).unwrap_or(u32::MAX)
        / u32::try_from(rate.max(1)).unwrap_or(u32::MAX)
}

fn piece(rate: u64) -> usize {
    usize::try_from((rate / PIECES).max(1)).unwrap_or(usize::MAX)
}
