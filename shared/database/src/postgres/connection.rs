//! Connections that are lent: one for statements that stand alone, and one inside of a transaction.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::bounds::Term;
use super::kept::{Lease, State};
use crate::error::silence;

/// A connection on which statements are executed.
pub struct Connection {
    lease: Lease,
    term: Term,
    prepared_statements: bool,
    /// Whether a statement failed: then a transaction can only be rolled back.
    failed: bool,
}

impl Connection {
    pub(super) const fn single(lease: Lease, term: Term) -> Self {
        Self { lease, term, prepared_statements: true, failed: false }
    }

    fn raw(&mut self) -> &mut PgConnection {
        let (connection, state) = self.lease.parts();
        // What is done with it this way nobody follows.
        *state = State::Busy(Instant::now());
        connection
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// A transaction. Rolled back when it is dropped.
#[derive(Debug)]
pub struct Transaction(Connection);

impl Transaction {
    pub(super) const fn new(lease: Lease, term: Term, prepared_statements: bool) -> Self {
        Self(Connection { lease, term, prepared_statements, failed: false })
    }

    pub(super) fn into_connection(self) -> Connection {
        self.0
    }

    /// Lets every statement take as long as it takes, here and on the server: for what an operator does once.
    pub async fn lift_limits(&mut self) -> Result<(), Error> {
        sqlx::raw_sql("set local statement_timeout = 0").execute(&mut self.0).await?;
        self.0.term.lift();
        Ok(())
    }

    /// Makes the changes last.
    pub async fn commit(mut self) -> Result<(), CommitError> {
        if self.0.failed {
            return Err(CommitError::RolledBack(Error::Protocol("a statement failed before".to_owned())));
        }
        self.0.lease.commit(self.0.term.wait()).await.map_err(CommitError::new)
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

/// Why a commit failed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was changed: the server refused, or a statement had failed before.
    #[error("the transaction was rolled back: {0}")]
    RolledBack(Error),
    /// The connection was lost on the way: the changes may last or not.
    #[error("it is not known whether the transaction was committed: {0}")]
    OutcomeUnknown(Error),
}

impl CommitError {
    fn new(error: Error) -> Self {
        // A broken constraint (23) and a conflict (40) are the server's own no. Anything else may have come after the
        // commit, such as the end of a session that waited for its replica.
        let code = error.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
        match code.as_deref() {
            Some(code) if code.starts_with("23") || code.starts_with("40") => Self::RolledBack(error),
            _ => Self::OutcomeUnknown(error),
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let query = Remembered { query, prepared: self.prepared_statements };
        let Connection { lease, term, failed, .. } = self;
        if let Err(refusal) = term.may_begin() {
            *failed = true;
            return stream::iter([Err(refusal)]).boxed();
        }
        let (connection, state) = lease.parts();
        let begin = Instant::now();
        let end = term.wait().map(|wait| begin + wait);
        *state = State::Busy(end.unwrap_or(begin));
        let mut rows = connection.fetch_many(query);
        // Made when there is something to wait for.
        let mut end_of_waiting: Option<Pin<Box<Sleep>>> = None;
        stream::poll_fn(move |cx| {
            if matches!(state, State::Lost) {
                return Poll::Ready(None);
            }
            match rows.poll_next_unpin(cx) {
                Poll::Ready(Some(Err(error))) => {
                    *failed = true;
                    Poll::Ready(Some(Err(term.explained(error))))
                }
                Poll::Ready(None) => {
                    if !*failed {
                        // The server has said that it waits for the next statement.
                        *state = State::AtRest;
                    }
                    Poll::Ready(None)
                }
                Poll::Pending => {
                    let Some(end) = end else { return Poll::Pending };
                    let waiting = end_of_waiting.get_or_insert_with(|| Box::pin(sleep_until(end)));
                    ready!(waiting.as_mut().poll(cx));
                    *failed = true;
                    *state = State::Lost;
                    Poll::Ready(Some(Err(silence(begin.elapsed()))))
                }
                found @ Poll::Ready(Some(Ok(_))) => found,
            }
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        // To the end, not to the first row: what fails after it has failed too.
        Box::pin(async move {
            let mut rows = self.fetch(query);
            let first = rows.try_next().await?;
            while rows.try_next().await?.is_some() {}
            Ok(first)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        let wait = self.term.wait();
        Box::pin(in_time(wait, self.raw().prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        let wait = self.term.wait();
        Box::pin(in_time(wait, self.raw().describe(sql)))
    }
}

async fn in_time<T>(
    wait: Option<Duration>,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match wait {
        Some(wait) => timeout(wait, answer).await.unwrap_or_else(|_| Err(silence(wait))),
        None => answer.await,
    }
}

/// A statement that is kept prepared, or not.
struct Remembered<E> {
    query: E,
    prepared: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Remembered<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.prepared && self.query.persistent()
    }
}
