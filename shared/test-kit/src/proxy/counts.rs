//! Counts what goes through.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went through so far, or was to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Connections that were made, whatever became of them.
    pub connections: u64,
    /// How often clients said something, as many bytes as came at once.
    pub requests: u64,
    /// How often that was nothing but PostgreSQL's `Sync`, with which a pool asks whether a connection is still good.
    pub pings: u64,
    /// Bytes that servers were sent.
    pub to_servers: u64,
    /// Bytes that clients were sent.
    pub to_clients: u64,
    /// Bytes of answers that were lost on purpose.
    pub swallowed: u64,
    /// Commits of PostgreSQL that clients asked for.
    pub commits: u64,
    /// How many of them were cut off.
    pub cut: u64,
    /// Connections that were severed when it was the server's turn to say something.
    pub severed_unanswered: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: Count,
    pub(super) requests: Count,
    pub(super) pings: Count,
    pub(super) to_servers: Count,
    pub(super) to_clients: Count,
    pub(super) swallowed: Count,
    pub(super) commits: Count,
    pub(super) cut: Count,
    pub(super) severed_unanswered: Count,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more.try_into().unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Counts {
    pub(super) fn passed(&self) -> Passed {
        Passed {
            connections: self.connections.get(),
            requests: self.requests.get(),
            pings: self.pings.get(),
            to_servers: self.to_servers.get(),
            to_clients: self.to_clients.get(),
            swallowed: self.swallowed.get(),
            commits: self.commits.get(),
            cut: self.cut.get(),
            severed_unanswered: self.severed_unanswered.get(),
        }
    }
}
