//! Follows the account feed in a run, as the real projector does: under a lease, from the cursor that was kept, batch by
//! batch. A stream keeps its order and may break off at any message.

use std::sync::Arc;
use std::time::Duration;

use auth_core::domain::FeedEvent;
use auth_core::queries::WatchAccounts;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use users_core::commands::{ApplyFeed, Context, LeaseLost, StartFeedOver};
use users_core::domain::{FeedMessage, LEASE_LIFETIME, Lease, LeaseOwner};
use users_core::ports::{FeedRows as _, Store as _, Transaction as _};
use users_core::{Error, StoreError};

use super::{UsersPorts, provider};
use crate::auth::AuthProcess;
use crate::cluster::Cluster;
use crate::network::Repeats;
use crate::scheduler::{Node, Sim};
use crate::weather::Fault;

const RENEWAL: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(300);

/// A message of the feed, or that its cursor is unknown there.
type Message = Result<FeedMessage, CursorUnknown>;

struct CursorUnknown;

/// Why the feed was left.
enum Left {
    LeaseLost,
    Broken,
}

impl From<Error> for Left {
    fn from(_: Error) -> Self {
        Self::Broken
    }
}

impl From<StoreError> for Left {
    fn from(_: StoreError) -> Self {
        Self::Broken
    }
}

impl From<LeaseLost> for Left {
    fn from(LeaseLost: LeaseLost) -> Self {
        Self::LeaseLost
    }
}

/// The projector of one process.
pub(super) struct Projector {
    sim: Sim,
    node: Node,
    cluster: Arc<Cluster>,
    commands: Context<UsersPorts>,
    owner: LeaseOwner,
}

impl Projector {
    pub(super) fn new(
        sim: &Sim,
        node: Node,
        cluster: &Arc<Cluster>,
        commands: Context<UsersPorts>,
        owner: [u8; 16],
    ) -> Self {
        Self { sim: sim.clone(), node, cluster: Arc::clone(cluster), commands, owner: LeaseOwner(owner) }
    }

    pub(super) fn start(self) {
        let (sim, node) = (self.sim.clone(), self.node);
        sim.spawn_apart(node, "projector", async move {
            loop {
                let pause = match self.lead().await {
                    Left::LeaseLost => RENEWAL,
                    Left::Broken => PAUSE,
                };
                self.sim.sleep(pause).await;
            }
        });
    }

    async fn lead(&self) -> Left {
        match self.take_lease().await {
            Ok(Some(lease)) => match self.follow(lease).await {
                Ok(never) => match never {},
                Err(left) => left,
            },
            Ok(None) => Left::LeaseLost,
            Err(error) => error.into(),
        }
    }

    async fn follow(&self, lease: Lease) -> Result<std::convert::Infallible, Left> {
        let cursor = self.cursor().await?;
        let wait = Duration::from_secs(2);
        let sim = self.sim.clone();
        let opened = self.cluster.auth("WatchAccounts", Repeats::Harmful, wait, move |process| {
            open(sim.clone(), process, cursor.clone())
        });
        let mut feed = match opened.await {
            Some(Ok(feed)) => feed,
            Some(Err(CursorUnknown)) => return Err(self.start_over(lease).await),
            None => return Err(Left::Broken),
        };
        let mut renewal = self.sim.now() + RENEWAL;
        loop {
            let left = renewal.saturating_sub(self.sim.now());
            if left.is_zero() {
                if self.take_lease().await? != Some(lease) {
                    return Err(Left::LeaseLost);
                }
                renewal = self.sim.now() + RENEWAL;
                continue;
            }
            if let Some(first) = self.sim.within(left, feed.recv()).await {
                self.apply(lease, first.ok_or(Left::Broken)?, &mut feed).await?;
            }
        }
    }

    /// Applies a message and some of those that have come after it.
    async fn apply(
        &self,
        lease: Lease,
        first: Message,
        feed: &mut UnboundedReceiver<Message>,
    ) -> Result<(), Left> {
        let most = 1 + self.sim.below(8);
        let mut messages = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Ok(message) => messages.push(message),
                Err(CursorUnknown) => return Err(self.start_over(lease).await),
            }
            next = if (messages.len() as u64) < most { feed.try_recv().ok() } else { None };
        }
        ApplyFeed { lease, messages }.execute(&self.commands).await??;
        Ok(())
    }

    async fn start_over(&self, lease: Lease) -> Left {
        match (StartFeedOver { lease }).execute(&self.commands).await {
            Ok(Err(lost)) => lost.into(),
            Ok(Ok(())) | Err(_) => Left::Broken,
        }
    }

    async fn cursor(&self) -> Result<String, Left> {
        let mut tx = self.commands.store.begin().await?;
        Ok(tx.feed_state().await?.cursor)
    }

    async fn take_lease(&self) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.commands.store.begin().await?;
        let fence = tx.take_lease(self.owner, LEASE_LIFETIME).await?;
        tx.commit().await?;
        Ok(fence.map(|fence| Lease { owner: self.owner, fence }))
    }
}

/// Opens the stream in a process of auth-service, which sends from there on.
async fn open(
    sim: Sim,
    process: Arc<AuthProcess>,
    cursor: String,
) -> Result<UnboundedReceiver<Message>, CursorUnknown> {
    let (sender, receiver) = mpsc::unbounded_channel();
    match WatchAccounts::open(&process.queries, &cursor).await {
        Ok(watch) => {
            let sending = sim.clone();
            sim.spawn_here("WatchAccounts", async move { send(sending, process, watch, sender).await });
            Ok(receiver)
        }
        Err(auth_core::Error::CursorUnknown) => Err(CursorUnknown),
        // A stream that ends at once.
        Err(_) => Ok(receiver),
    }
}

async fn send(
    sim: Sim,
    process: Arc<AuthProcess>,
    mut watch: WatchAccounts,
    sender: UnboundedSender<Message>,
) {
    loop {
        let batch = match watch.next(&process.queries).await {
            Ok(batch) => batch,
            Err(auth_core::Error::CursorUnknown) => {
                let _ = sender.send(Err(CursorUnknown));
                return;
            }
            Err(_) => return,
        };
        for (event, cursor) in batch {
            let slow = if sim.suffers(Fault::Delay) { sim.below(1_000_000) } else { 0 };
            sim.sleep(Duration::from_micros(200 + sim.below(4_000) + slow)).await;
            sim.count(|counts| counts.messages += 1);
            if sim.suffers(Fault::Break) {
                return sim.tell(|| "the stream breaks off".to_owned());
            }
            let account = match event {
                FeedEvent::Account(account) => Some(provider::account(account)),
                FeedEvent::Checkpoint => None,
            };
            if sender.send(Ok(FeedMessage { cursor: cursor.to_string(), account })).is_err() {
                return;
            }
        }
    }
}
