//! Sessions as the owner of accounts tells of them; nothing here makes or ends one by itself.

use identity::{Timestamp, UserId};

/// A log-in that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// An opaque handle, not a credential.
    pub id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// When it was opened.
    pub create_time: Timestamp,
    /// When it ends unless it is used before.
    pub expire_time: Timestamp,
    /// When it ends however much it is used.
    pub absolute_expire_time: Timestamp,
    /// When it was last used.
    pub last_used_time: Timestamp,
    /// When the password was last proved for it.
    pub authenticated_time: Timestamp,
    /// What the client said of itself.
    pub user_agent: String,
    /// The client's address.
    pub peer_address: String,
}

/// A page of sessions, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// Where the port goes on, in its own words; none when there are no more.
    pub next: Option<String>,
}
