//! One connection by a proxy, from its client to its server.

use std::future::pending;
use std::io;
use std::sync::{Arc, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::commits::Cut;
use super::conversation::{Conversation, PING, is_answered};
use super::flow::{Flow, Pace, Step};
use super::{Mode, Shared, State};

/// What nobody expects who speaks HTTP/2 or to PostgreSQL.
const NONSENSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

pub(super) struct Connection {
    client: TcpStream,
    server: Option<TcpStream>,
    requests: Flow,
    replies: Flow,
    conversation: Conversation,
    fate: Fate,
    /// The client has said something since the server did.
    is_asked: bool,
    made: State,
    state: watch::Receiver<State>,
    shared: Arc<Shared>,
}

/// What a commit has brought upon the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    None,
    /// It ends as soon as the server was sent what is held.
    EndsWhenSent,
    /// It ends as soon as the server has answered.
    EndsWhenAnswered,
    /// It is not answered any more.
    Unanswered,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoesOn,
    Ends,
}

impl Connection {
    pub(super) fn new(
        client: TcpStream,
        number: u64,
        shared: Arc<Shared>,
        mut state: watch::Receiver<State>,
    ) -> Self {
        shared.counts.connections.add(1);
        let seed = shared.seed.load(std::sync::atomic::Ordering::Relaxed).wrapping_add(2 * number);
        let made = *state.borrow_and_update();
        Self {
            client,
            server: None,
            requests: Flow::new(seed),
            replies: Flow::new(seed.wrapping_add(1)),
            conversation: Conversation::default(),
            fate: Fate::None,
            is_asked: false,
            made,
            state,
            shared,
        }
    }

    /// Carries it until it ends.
    pub(super) async fn carry(mut self) {
        loop {
            if self.state.has_changed().is_err() {
                // The proxy is gone.
                return;
            }
            let now = *self.state.borrow_and_update();
            if now.abandoned > self.made.abandoned {
                self.server = None;
                return pending().await;
            }
            if now.severed > self.made.severed {
                self.shared.counts.severed_unanswered.add(usize::from(self.is_asked));
                return self.reset();
            }
            if self.replies.has_lost() && self.fate == Fate::None && now.mode != Mode::SwallowReplies {
                return self.reset();
            }
            match now.mode {
                Mode::Refuse => return,
                Mode::Reset => return self.reset(),
                Mode::BlackHole => drop(self.state.changed().await),
                Mode::Garbage => {
                    tokio::select! {
                        _ = babble(&mut self.client) => {}
                        _ = self.state.changed() => {}
                    }
                    return self.reset();
                }
                Mode::HalfClose => return self.half_close().await,
                Mode::Pass => {
                    if self.pass(Pace::Free, Pace::Free).await == Then::Ends {
                        return;
                    }
                }
                Mode::Delay { least, most } => {
                    let pace = Pace::Delayed { least, most };
                    if self.pass(pace, pace).await == Then::Ends {
                        return;
                    }
                }
                Mode::Rate(rate) => {
                    if self.pass(Pace::Limited(rate), Pace::Limited(rate)).await == Then::Ends {
                        return;
                    }
                }
                Mode::SwallowReplies => {
                    if self.pass(Pace::Free, Pace::Lost).await == Then::Ends {
                        return;
                    }
                }
            }
        }
    }

    /// Passes on what comes, until something changes.
    async fn pass(&mut self, requests: Pace, replies: Pace) -> Then {
        let Self {
            client,
            server,
            requests: asked,
            replies: answered,
            conversation,
            fate,
            is_asked,
            state,
            shared,
            ..
        } = self;
        let counts = &shared.counts;
        let server = match server {
            Some(server) => server,
            None => match connected(shared).await {
                Some(connected) => server.insert(connected),
                None => return Then::Ends,
            },
        };
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        loop {
            let replies =
                if matches!(fate, Fate::EndsWhenAnswered | Fate::Unanswered) { Pace::Lost } else { replies };
            tokio::select! {
                biased;
                _ = state.changed() => return Then::GoesOn,
                step = asked.step(&mut from_client, &mut to_server, requests) => match step {
                    Ok(Step::Came) => {
                        *is_asked = true;
                        counts.requests.add(1);
                        counts.pings.add(usize::from(asked.held() == PING));
                        if let Some(start) = conversation.hear(asked.held()) {
                            counts.commits.add(1);
                            if let Some(cut) = shared.cutter.next() {
                                counts.cut.add(1);
                                *fate = Fate::of(cut);
                                if cut == Cut::Before {
                                    asked.keep(start);
                                }
                            }
                        }
                    }
                    Ok(Step::Passed(count)) => counts.to_servers.add(count),
                    Ok(Step::Lost(_) | Step::Over) => {}
                    Err(_) => return Then::Ends,
                },
                step = answered.step(&mut from_server, &mut to_client, replies) => match step {
                    Ok(Step::Came) => {
                        *is_asked = false;
                        if *fate == Fate::EndsWhenAnswered && is_answered(answered.held()) {
                            counts.swallowed.add(answered.held().len());
                            return Then::Ends;
                        }
                    }
                    Ok(Step::Passed(count)) => counts.to_clients.add(count),
                    Ok(Step::Lost(count)) => counts.swallowed.add(count),
                    Ok(Step::Over) => {}
                    Err(_) => return Then::Ends,
                },
            }
            let is_sent = *fate == Fate::EndsWhenSent && asked.held().is_empty();
            if is_sent || asked.is_over() && answered.is_over() {
                return Then::Ends;
            }
        }
    }

    /// Nothing comes back any more; what the client says is passed on until something changes.
    async fn half_close(mut self) {
        if self.client.shutdown().await.is_err() {
            return;
        }
        let server = match &mut self.server {
            Some(server) => server,
            None => match connected(&self.shared).await {
                Some(connected) => self.server.insert(connected),
                None => return,
            },
        };
        let (mut from_client, _) = self.client.split();
        let (_, mut to_server) = server.split();
        loop {
            tokio::select! {
                _ = self.state.changed() => return,
                step = self.requests.step(&mut from_client, &mut to_server, Pace::Free) => match step {
                    Ok(Step::Passed(count)) => self.shared.counts.to_servers.add(count),
                    Ok(Step::Came | Step::Lost(_)) => {}
                    Ok(Step::Over) | Err(_) => return,
                },
            }
        }
    }

    fn reset(self) {
        for stream in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            // Whoever is gone needs no reset.
            let _ = stream.set_zero_linger();
        }
    }
}

impl Fate {
    const fn of(cut: Cut) -> Self {
        match cut {
            Cut::Before | Cut::During => Self::EndsWhenSent,
            Cut::After => Self::EndsWhenAnswered,
            Cut::Silence => Self::Unanswered,
        }
    }
}

async fn connected(shared: &Shared) -> Option<TcpStream> {
    let target = shared.leads_to.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let server = TcpStream::connect(target).await.ok()?;
    server.set_nodelay(true).ok()?;
    Some(server)
}

async fn babble(client: &mut TcpStream) -> io::Result<()> {
    let mut heard = [0; 1024];
    while client.read(&mut heard).await? > 0 {
        client.write_all(NONSENSE).await?;
    }
    Ok(())
}
