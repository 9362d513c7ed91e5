//! Connections that are lent: one for statements that stand alone, and one inside of a transaction.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::task::Poll;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::postgres::{PgArguments, PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, Postgres, SqlStr};

use super::Rights;
use super::kept::Lease;

/// A connection on which statements are executed.
pub struct Connection {
    lent: Lent,
    prepared_statements: bool,
    /// Whether a statement failed: then a transaction can only be rolled back.
    failed: bool,
}

enum Lent {
    Single(Lease),
    Transaction {
        transaction: sqlx::Transaction<'static, Postgres>,
        /// The right to have one. Dropped after it.
        rights: Rights,
    },
}

impl Connection {
    pub(super) const fn single(connection: Lease) -> Self {
        Self { lent: Lent::Single(connection), prepared_statements: true, failed: false }
    }

    fn raw(&mut self) -> &mut PgConnection {
        match &mut self.lent {
            Lent::Single(lease) => {
                let (connection, at_rest) = lease.parts();
                // What is done with it this way nobody follows.
                *at_rest = false;
                connection
            }
            Lent::Transaction { transaction, .. } => transaction,
        }
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
    pub(super) const fn new(
        transaction: sqlx::Transaction<'static, Postgres>,
        rights: Rights,
        prepared_statements: bool,
    ) -> Self {
        Self(Connection {
            lent: Lent::Transaction { transaction, rights },
            prepared_statements,
            failed: false,
        })
    }

    pub(super) fn into_connection(self) -> Connection {
        self.0
    }

    /// Makes the changes last.
    pub async fn commit(self) -> Result<(), CommitError> {
        if self.0.failed {
            return Err(CommitError::RolledBack(Error::Protocol("a statement failed before".to_owned())));
        }
        let Lent::Transaction { transaction, rights } = self.0.lent else { return Ok(()) };
        let committed = transaction.commit().await;
        drop(rights);
        committed.map_err(CommitError::new)
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
        let Connection { lent, failed, .. } = self;
        let (connection, mut at_rest): (&mut PgConnection, Option<&mut bool>) = match lent {
            Lent::Single(lease) => {
                let (connection, at_rest) = lease.parts();
                (connection, Some(at_rest))
            }
            Lent::Transaction { transaction, .. } => (transaction, None),
        };
        let mut rest = move |rests| {
            if let Some(at_rest) = &mut at_rest {
                **at_rest = rests;
            }
        };
        rest(false);
        let mut rows = connection.fetch_many(query);
        stream::poll_fn(move |cx| {
            let polled = rows.poll_next_unpin(cx);
            match &polled {
                Poll::Ready(Some(Err(_))) => *failed = true,
                // The server has said that it waits for the next statement.
                Poll::Ready(None) => rest(!*failed),
                Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
            }
            polled
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
        self.raw().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        self.raw().describe(sql)
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
