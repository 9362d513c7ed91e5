//! Taking in the connections of a listener, whatever it serves.

use std::{io, net::SocketAddr, time::Duration};

use futures::FutureExt as _;
use rustix::io::Errno;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};

use crate::{listen, server};

/// Takes connections in. Errors of a connection that did not come about are passed over; those of the process (no descriptors,
/// no memory) are waited out, for a server that gives up has no chance to recover. Descriptors are the process's: where they are
/// short, who does nothing gives way, whichever gRPC listener it is at.
pub(crate) struct Door {
    listener: TcpListener,
    pause: Duration,
    shut_until: Option<Instant>,
    warned: Option<Instant>,
}

impl Door {
    const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);

    pub(crate) const fn new(listener: TcpListener) -> Self {
        Self { listener, pause: Self::SHORTEST_PAUSE, shut_until: None, warned: None }
    }

    /// The next connection. May be dropped and called again: whatever it waits for goes on, since those who come and go would
    /// make it try without a pause otherwise, and say so each time.
    pub(crate) async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(until) = self.shut_until {
                sleep_until(until).await;
                self.shut_until = None;
            }
            match listen::accept(&self.listener).await {
                Ok(accepted) => {
                    self.pause = Self::SHORTEST_PAUSE;
                    return accepted;
                }
                Err(error) if of_the_peer(&error) => {}
                Err(error) => self.shut(&error, Instant::now()),
            }
        }
    }

    /// A connection that waits already to be taken in.
    pub(crate) fn already_there(&self) -> Option<(TcpStream, SocketAddr)> {
        listen::accept(&self.listener).now_or_never()?.ok()
    }

    fn shut(&mut self, error: &io::Error, now: Instant) {
        if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
            server::make_room();
        }
        if self.is_news(now) {
            let address = self.listener.local_addr().ok().map(tracing::field::display);
            tracing::warn!(%error, address, "no connection can be accepted");
        }
        self.shut_until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
    }

    /// Whether nothing was said of it in the last second.
    fn is_news(&mut self, now: Instant) -> bool {
        let is_news = self.warned.is_none_or(|warned| now - warned >= Self::BETWEEN_WARNINGS);
        if is_news {
            self.warned = Some(now);
        }
        is_news
    }
}

fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_door_that_is_shut_stays_so_however_often_somebody_asks_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let _waiting = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a place");
        let mut door = Door::new(listener);
        let full = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        for _ in 0..3 {
            door.shut(&full, Instant::now());
        }
        assert_eq!(door.pause, Door::SHORTEST_PAUSE * 8);
        for _ in 0..3 {
            assert!(door.accept().now_or_never().is_none());
        }
        tokio::time::advance(Door::SHORTEST_PAUSE * 4).await;
        door.accept().await;
        assert_eq!(door.pause, Door::SHORTEST_PAUSE, "all is well again");
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_door_is_shut_is_said_once_a_second() {
        let mut door = Door::new(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        let begun = Instant::now();
        let said = (0..50).filter(|tenth| door.is_news(begun + Duration::from_millis(100) * *tenth));
        assert_eq!(said.count(), 5);
    }
}
