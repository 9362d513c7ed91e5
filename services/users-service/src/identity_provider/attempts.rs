//! How a call to the provider is made: by whom it is answered, how long it may take, and when it is made again.
//!
//! A call is repeated a few times, at another replica if there is one: one that changes nothing when nobody answered it, any
//! other only when it is certain that nobody has begun with it.

use std::time::Duration;

use api::identity as pb;
use grpc_kit::call;
use grpc_kit::client::{Away, Chosen, Failing, Last, Peers, could_not_connect, explained, was_not_processed};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use users_core::ports::ProviderError;

use super::{Client, GrpcIdentityProvider, answer};

/// What is kept of the caller's deadline for our own answer.
const RESERVE: Duration = Duration::from_millis(200);
/// No call is made for whom there is less time than this: it would be given up before its answer comes.
const SHORTEST: Duration = Duration::from_millis(2);
/// How often a call is made at most, and how long one waits before it is made again: up to so long, and twice as long each
/// time.
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(50);
/// A replica that says nothing for so long, where an answer takes milliseconds, counts as one that does not answer, though
/// the caller may have waited for longer.
const SILENCE: Duration = Duration::from_millis(500);

/// How long a call may take, and whether it is the caller's deadline that says so.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) wait: Duration,
    pub(super) is_the_callers: bool,
}

impl GrpcIdentityProvider {
    pub(super) async fn open_feed(
        &self,
        cursor: String,
    ) -> Result<Streaming<pb::WatchAccountsResponse>, Failure> {
        let peers = self.link.peers();
        let chosen = peers.choose(&mut Last::default()).await?;
        let mut request = Request::new(pb::WatchAccountsRequest { cursor });
        self.sign(request.metadata_mut());
        let opened = Client::new(chosen.clone()).watch_accounts(request).await;
        let opened = opened.map(Response::into_inner).map_err(Failure::Refused);
        self.learn(&peers, &chosen, opened.as_ref().err(), Duration::ZERO);
        opened
    }

    /// Makes a call, and again if the provider has not begun with it.
    pub(super) async fn call<M, A, F>(
        &self,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        self.again_if(was_not_processed, message, send).await
    }

    /// Makes a call that changes nothing, and again if nobody answered it.
    pub(super) async fn ask<M, A, F>(
        &self,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        self.again_if(is_nobodys, message, send).await
    }

    async fn again_if<M, A, F>(
        &self,
        may_be_repeated: fn(&Status) -> bool,
        message: M,
        send: impl Fn(Client, Request<M>) -> F + Send + Sync,
    ) -> Result<A, ProviderError>
    where
        M: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let mut last = Last::default();
        for backoff in (0..ATTEMPTS - 1).map(|attempt| BACKOFF * 2_u32.pow(attempt)) {
            let budget = self.budget()?;
            let failure = match self.attempt(message.clone(), &send, budget, &mut last).await {
                Ok(answer) => {
                    self.link.retries().succeeded();
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let is_worth_it = match &failure {
                Failure::Refused(status) => may_be_repeated(status) && self.may_repeat_after(status),
                Failure::TooSlow | Failure::Away(_) => false,
            };
            if !is_worth_it {
                return Err(failure.meaning(budget));
            }
            sleep(backoff.mul_f64(rand::random())).await;
        }
        let budget = self.budget()?;
        self.attempt(message, &send, budget, &mut last).await.map_err(|failure| failure.meaning(budget))
    }

    /// Whether so few calls fail that another attempt is no burden.
    fn may_repeat_after(&self, status: &Status) -> bool {
        let may = self.link.retries().failed();
        let then = if may { "it is made again" } else { "it is not made again: too many fail" };
        tracing::debug!(code = ?status.code(), then, "a call to auth-service was not answered");
        may
    }

    async fn attempt<M, A, F>(
        &self,
        message: M,
        send: impl FnOnce(Client, Request<M>) -> F + Send,
        budget: Budget,
        last: &mut Last,
    ) -> Result<A, Failure>
    where
        M: Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let peers = self.link.peers();
        let begin = Instant::now();
        let chosen = timeout(budget.wait, peers.choose(last)).await.map_err(|_| Failure::TooSlow)??;
        let mut request = Request::new(message);
        self.sign(request.metadata_mut());
        let left = budget.wait.saturating_sub(begin.elapsed());
        request.set_timeout(left);
        let outcome = match timeout(left, send(Client::new(chosen.clone()), request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            // The client's own timer may be the first to find that out.
            Ok(Err(status)) if is_nobodys(&status) && begin.elapsed() >= budget.wait => Err(Failure::TooSlow),
            Ok(Err(status)) => Err(Failure::Refused(status)),
            Err(_) => Err(Failure::TooSlow),
        };
        self.learn(&peers, &chosen, outcome.as_ref().err(), begin.elapsed());
        outcome
    }

    /// Keeps in mind how a replica answered, for those who call it next.
    fn learn(&self, peers: &Peers, chosen: &Chosen, failure: Option<&Failure>, waited: Duration) {
        match failure {
            Some(Failure::Refused(status)) => match how_it_failed(status) {
                Some(how) => peers.not_answered(chosen, how, &explained(status)),
                // It closes a connection, as it does with every one in time.
                None if was_not_processed(status) => {}
                None => chosen.answered(),
            },
            // A caller may have been in more of a hurry than a replica can be.
            Some(Failure::TooSlow) if waited >= SILENCE.min(self.timeout) => {
                peers.not_answered(chosen, Failing::NoAnswer, &answer::TooSlow);
            }
            Some(Failure::TooSlow | Failure::Away(_)) => {}
            None => chosen.answered(),
        }
    }

    fn budget(&self) -> Result<Budget, ProviderError> {
        let Some(deadline) = call::current().and_then(|call| call.deadline) else {
            return Ok(Budget { wait: self.timeout, is_the_callers: false });
        };
        let left = deadline.saturating_duration_since(Instant::now());
        // A short deadline is tried too: what is kept back then is a part of it.
        let left = left.saturating_sub(RESERVE.min(left / 4));
        if left < SHORTEST {
            return Err(ProviderError::DeadlineExceeded);
        }
        Ok(Budget { wait: left.min(self.timeout), is_the_callers: left < self.timeout })
    }

    /// Adds our own credential, and the call's names, so that its traces meet.
    fn sign(&self, metadata: &mut MetadataMap) {
        if let Some(credential) = self.link.credential() {
            metadata.insert("authorization", credential);
        }
        let Some(call) = call::current() else { return };
        let names = [
            ("x-request-id", Some(call.request_id)),
            ("traceparent", call.traceparent),
            ("tracestate", call.tracestate),
        ];
        for (key, value) in names {
            if let Some(value) = value.and_then(|value| value.parse().ok()) {
                metadata.insert(key, value);
            }
        }
    }
}

/// How an attempt fails.
pub(super) enum Failure {
    Refused(Status),
    TooSlow,
    Away(Away),
}

impl From<Away> for Failure {
    fn from(away: Away) -> Self {
        Self::Away(away)
    }
}

impl Failure {
    pub(super) fn meaning(self, budget: Budget) -> ProviderError {
        match self {
            Self::Refused(status) => answer::refused(&status, budget.is_the_callers),
            Self::TooSlow => answer::too_slow(),
            Self::Away(away) => ProviderError::Unavailable(away.into()),
        }
    }
}

/// What a refusal says of the replica: nothing if it is the provider's, for those have details.
fn how_it_failed(status: &Status) -> Option<Failing> {
    if could_not_connect(status) {
        Some(Failing::NoConnection)
    } else if was_not_processed(status) || !is_nobodys(status) {
        None
    } else {
        Some(Failing::NoAnswer)
    }
}

/// Whether nobody answered: every error of the provider's comes with details. What the transport makes of a connection that
/// breaks has any of four codes, by when it does.
fn is_nobodys(status: &Status) -> bool {
    status.details().is_empty()
}

#[cfg(test)]
mod tests;
