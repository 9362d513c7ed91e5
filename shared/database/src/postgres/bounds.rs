//! How long anything here waits for the server.
//!
//! Two limits for every statement. One is the server's: the session's, or, in a transaction of a caller with a deadline, what
//! the caller has left. The other is ours and a little later, for a server that says nothing any more,
//! not even that: its host is gone, or what is in between. A connection by which nothing came in time is not used again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Error, SqlSafeStr as _, SqlStr};
use tokio::time::Instant;

use crate::error::{past_deadline, was_stopped};

/// Says when the work that this task does is of no use to its caller any more; none when it has no caller in a hurry.
pub type Deadline = fn() -> Option<Instant>;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What the session allows to a statement, its `statement_timeout`: as much as a call has that names no deadline. So a
    /// statement that stands alone, which is told nothing, does not outlast most of its callers, and whatever goes on in the
    /// background does little at a time, and soon finds out that its server is gone.
    pub(super) statement: Duration,
    /// How much later than the server's own limit ours is.
    pub(super) margin: Duration,
    /// For what takes one round trip: the beginning of a transaction, and its rollback.
    pub(super) round_trip: Duration,
    /// What every transaction may take at least. A caller whose time is over has no use for it, but others may: an attempt
    /// that was reserved has to be settled, an account that was registered be known.
    pub(super) least: Duration,
}

pub(super) const BOUNDS: Bounds = Bounds {
    statement: Duration::from_secs(10),
    margin: Duration::from_secs(2),
    round_trip: Duration::from_secs(2),
    least: Duration::from_secs(1),
};

/// What is allowed to the statements of one connection that is lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// The caller's time is over then.
    deadline: Option<Instant>,
    /// No statement is begun after it.
    last_begin: Option<Instant>,
    /// What the server is told to allow to each, where that is not what the session allows anyway.
    on_server: Option<Duration>,
    wait: Option<Duration>,
}

impl Bounds {
    /// For statements that stand alone. The server is not told how much time there is: that would be a statement more.
    pub(super) fn of_reads(&self, deadline: Option<Instant>) -> Term {
        Term { deadline, last_begin: None, on_server: None, wait: Some(self.statement + self.margin) }
    }

    /// For a transaction that begins now.
    pub(super) fn of_transaction(&self, deadline: Option<Instant>) -> Term {
        let now = Instant::now();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now).max(self.least));
        let on_server = left.filter(|left| *left != self.statement);
        Term {
            deadline,
            last_begin: deadline.map(|deadline| deadline.max(now) + self.least),
            on_server,
            wait: Some(on_server.unwrap_or(self.statement) + self.margin),
        }
    }

    /// How long to wait for a connection at most, of this long.
    pub(super) fn of_waiting(&self, longest: Duration, deadline: Option<Instant>) -> Duration {
        let left =
            deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).max(self.least));
        left.map_or(longest, |left| left.min(longest))
    }
}

impl Term {
    /// What begins a transaction. The limit travels with it, so that it costs no round trip. A lock is waited for by a
    /// statement, so that it needs no limit of its own.
    pub(super) fn begin(&self) -> SqlStr {
        match self.on_server {
            None => "begin".into_sql_str(),
            Some(limit) => {
                // Not before the caller's time is over: what is stopped earlier is not stopped for that.
                let millis = limit.as_micros().div_ceil(1000);
                AssertSqlSafe(format!("begin; set local statement_timeout = {millis}")).into_sql_str()
            }
        }
    }

    /// How long the answer to a statement is waited for; none for what takes as long as it takes.
    pub(super) const fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Whether a statement may begin.
    pub(super) fn may_begin(&self) -> Result<(), Error> {
        match self.last_begin {
            Some(last) if Instant::now() > last => Err(past_deadline()),
            _ => Ok(()),
        }
    }

    /// What an error means, given how much time there was: a statement that the server stopped because there was no more
    /// is no trouble of the server's.
    pub(super) fn explained(&self, error: Error) -> Error {
        let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_over && was_stopped(&error) { past_deadline() } else { error }
    }

    /// From here on it takes as long as it takes.
    pub(super) fn lift(&mut self) {
        *self = Self { deadline: self.deadline, last_begin: None, on_server: None, wait: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(term: Term) -> String {
        term.begin().as_str().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_transaction_tells_the_server_what_its_caller_has_left() {
        let left = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
        let begun = |deadline| statement(BOUNDS.of_transaction(deadline));
        assert_eq!(begun(None), "begin", "the session says so already");
        assert_eq!(begun(left(30)), "begin; set local statement_timeout = 30000");
        assert_eq!(begun(left(9)), "begin; set local statement_timeout = 9000");
        for little in [Some(Instant::now()), left(1), Some(Instant::now() + Duration::from_millis(1))] {
            assert_eq!(
                begun(little),
                "begin; set local statement_timeout = 1000",
                "never 0, which is no limit"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_statement_begins_long_after_the_caller_has_gone() {
        let term = BOUNDS.of_transaction(Some(Instant::now() + Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(term.may_begin().is_ok(), "what was begun may be finished");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(term.may_begin().is_err());
        let afterwards =
            BOUNDS.of_transaction(Some(Instant::now().checked_sub(Duration::from_secs(1)).unwrap()));
        assert!(afterwards.may_begin().is_ok(), "what is left to do for others has its time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_not_waited_for_by_who_has_no_time() {
        let wait = |left| {
            BOUNDS.of_waiting(Duration::from_secs(2), Some(Instant::now() + Duration::from_millis(left)))
        };
        assert_eq!([5000, 1500, 10].map(wait).map(|wait| wait.as_millis()), [2000, 1500, 1000]);
    }
}
