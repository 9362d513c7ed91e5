//! Follows the account feed and applies what it brings, under a lease that one of all replicas has.
//!
//! What it does with a batch is a use case of the core; here are the waiting, the reconnecting and the lease. Nothing
//! that a client does waits for it: whatever it has not brought yet is fetched when it is asked for.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use grpc_kit::{Shutdown, call};
use tokio::time::{Instant, sleep, sleep_until};
use users_core::commands::{ApplyFeed, Context, LeaseLost, StartFeedOver};
use users_core::domain::{FeedMessage, LEASE_LIFETIME, Lease, LeaseOwner};
use users_core::error::Cause;
use users_core::ports::{FeedRows as _, Ports, ProviderError, Store as _, Transaction as _};

use crate::identity_provider::GrpcIdentityProvider;
use crate::measurements::FeedPosition;

/// How often it is renewed, or tried for by those who do not have it.
const RENEWAL: Duration = Duration::from_secs(3);
/// Messages that are applied in one transaction at most.
const BATCH: usize = 500;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why the feed was left.
enum Left {
    /// The lease is somebody else's.
    LeaseLost,
    /// The provider stopped, the connection broke, or something here failed.
    Broken(Cause),
}

impl From<LeaseLost> for Left {
    fn from(LeaseLost: LeaseLost) -> Self {
        Self::LeaseLost
    }
}

impl From<users_core::Error> for Left {
    fn from(error: users_core::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<users_core::StoreError> for Left {
    fn from(error: users_core::StoreError) -> Self {
        Self::Broken(error.into())
    }
}

/// The projector of one process.
pub(crate) struct Projector<P: Ports> {
    commands: Context<P>,
    provider: GrpcIdentityProvider,
    owner: LeaseOwner,
    position: FeedPosition,
}

impl<P: Ports> Projector<P> {
    /// One that competes for the lease under this name.
    pub(crate) const fn new(
        commands: Context<P>,
        provider: GrpcIdentityProvider,
        owner: LeaseOwner,
        position: FeedPosition,
    ) -> Self {
        Self { commands, provider, owner, position }
    }

    /// Runs until the shutdown is requested, then lets the lease go.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.follow_forever() => {}
        }
        // Whoever has the lease next need not wait for its end; if this fails, it does.
        if let Err(error) = self.release().await {
            tracing::debug!(%error, "the lease on the account feed was not released");
        }
    }

    async fn follow_forever(&self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let began = Instant::now();
            let left = self.lead().await;
            self.position.set_connected(false);
            match left {
                Left::LeaseLost => {
                    self.position.follows_nothing();
                    pause = SHORTEST_PAUSE;
                    sleep(RENEWAL).await;
                }
                Left::Broken(cause) => {
                    if began.elapsed() > LONGEST_PAUSE {
                        pause = SHORTEST_PAUSE;
                    }
                    tracing::warn!(%cause, pause_ms = pause.as_millis(), "the account feed broke off");
                    sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Takes the lease, if it is to be had, and follows the feed while it lasts.
    async fn lead(&self) -> Left {
        match self.take_lease().await {
            Ok(Some(lease)) => {
                self.position.leads();
                match self.follow(lease).await {
                    Ok(never) => match never {},
                    Err(left) => left,
                }
            }
            Ok(None) => Left::LeaseLost,
            Err(error) => error.into(),
        }
    }

    async fn follow(&self, lease: Lease) -> Result<std::convert::Infallible, Left> {
        let feed = match self.provider.watch(self.cursor().await?).await {
            Ok(feed) => feed,
            Err(error) => return Err(self.refused(lease, error).await),
        };
        tracing::debug!(fence = lease.fence.0, "the account feed is followed");
        self.position.set_connected(true);
        let mut feed = pin!(feed.ready_chunks(BATCH));
        let mut renewal = Instant::now() + RENEWAL;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(renewal) => {
                    if self.take_lease().await? != Some(lease) {
                        tracing::debug!(fence = lease.fence.0, "another process has the lease on the account feed");
                        return Err(Left::LeaseLost);
                    }
                    renewal = Instant::now() + RENEWAL;
                }
                batch = feed.next() => {
                    let batch = batch.ok_or_else(|| Left::Broken("the provider ended it".into()))?;
                    self.apply(lease, batch).await?;
                }
            }
        }
    }

    /// Applies what came before the first error, then looks at the error.
    async fn apply(&self, lease: Lease, batch: Vec<Result<FeedMessage, ProviderError>>) -> Result<(), Left> {
        let mut messages = Vec::with_capacity(batch.len());
        let mut broken = None;
        for message in batch {
            match message {
                Ok(message) => messages.push(message),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if !messages.is_empty() {
            let accounts = messages.iter().filter(|message| message.account.is_some()).count();
            let is_checkpoint = accounts < messages.len();
            let commands = self.commands.clone();
            // A shutdown must not cut it in half.
            call::unit_of_work(async move { ApplyFeed { lease, messages }.execute(&commands).await })
                .await??;
            tracing::debug!(accounts, is_checkpoint, "a batch of the account feed was applied");
            self.position.applied(accounts, is_checkpoint);
        }
        match broken {
            Some(error) => Err(self.refused(lease, error).await),
            None => Ok(()),
        }
    }

    /// A cursor that the provider knows no more is given up for good, in the store too; anything else passes.
    async fn refused(&self, lease: Lease, error: ProviderError) -> Left {
        if !matches!(error, ProviderError::CursorUnknown) {
            return Left::Broken(error.into());
        }
        tracing::warn!("the provider does not know our place in the account feed: starting over");
        match (StartFeedOver { lease }).execute(&self.commands).await {
            Ok(Ok(())) => Left::Broken(error.into()),
            Ok(Err(lost)) => lost.into(),
            Err(error) => error.into(),
        }
    }

    async fn cursor(&self) -> Result<String, Left> {
        let mut tx = self.commands.store.begin().await?;
        Ok(tx.feed_state().await?.cursor)
    }

    async fn take_lease(&self) -> Result<Option<Lease>, users_core::StoreError> {
        let mut tx = self.commands.store.begin().await?;
        let fence = tx.take_lease(self.owner, LEASE_LIFETIME).await?;
        tx.commit().await?;
        Ok(fence.map(|fence| Lease { owner: self.owner, fence }))
    }

    async fn release(&self) -> Result<(), users_core::StoreError> {
        let mut tx = self.commands.store.begin().await?;
        tx.release_lease(self.owner).await?;
        tx.commit().await
    }
}
