//! The account feed as this service follows it: messages, the place reached, and who may move it.

use std::time::Duration;

use identity::Epoch;

use crate::domain::Account;

/// One message of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedMessage {
    /// Where to go on after it.
    pub cursor: String,
    /// The account that changed, as it is now; none is a checkpoint: everything committed before it has been sent.
    pub account: Option<Account>,
}

/// How far the feed has been applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedState {
    /// Where to go on; empty is the beginning.
    pub cursor: String,
    /// The epoch of the accounts that were applied since the beginning; none before the first.
    pub epoch: Option<Epoch>,
    /// Whether the snapshot that begins at the empty cursor has been applied to its end.
    pub snapshot_done: bool,
}

/// How long the lease lasts unless it is renewed.
pub const LEASE_LIFETIME: Duration = Duration::from_secs(10);

/// Who holds, or wants, the lease on the feed: one name for each process that serves the store, and no two the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseOwner(pub [u8; 16]);

/// Numbers the acquisitions of the lease: whoever holds an older one has lost it, whatever its clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(pub i64);

/// An acquisition of the lease: whoever shows it acts for its owner, if it is still the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub owner: LeaseOwner,
    /// Which acquisition.
    pub fence: Fence,
}
