//! What carries messages between clients and services, and between the services: late, out of order, twice or never.
//!
//! A call runs to its end where it is made, whatever becomes of whoever made it: as units of work do in the services. Only
//! calls whose repeat has the effect of one are doubled, as only these are repeated by the real client; what is not, an
//! intermediary that did so would break, and no server could tell.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::scheduler::{Node, Sim, lock};
use crate::weather::Fault;

/// Whether a call may be made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// It changes nothing.
    OfAQuestion,
    /// It has the effect of one.
    Harmless,
    /// It has not.
    Harmful,
}

/// The way back: whoever comes first is heard.
struct Reply<A>(Arc<Mutex<Option<oneshot::Sender<A>>>>);

impl<A> Clone for Reply<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Sim {
    /// Calls a node, and waits for the answer; none if none came.
    pub(crate) async fn call<A, F>(
        &self,
        to: Node,
        rpc: &'static str,
        repeats: Repeats,
        wait: Duration,
        handler: impl Fn() -> F + Send + Sync + 'static,
    ) -> Option<A>
    where
        A: Send + 'static,
        F: Future<Output = A> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let reply = Reply(Arc::new(Mutex::new(Some(sender))));
        let handler = Arc::new(handler);
        let twice = repeats != Repeats::Harmful && self.suffers(Fault::Doubling);
        if let Some(effect) = self.effect().filter(|_| twice && repeats == Repeats::Harmless) {
            effect.mark_doubled();
        }
        for _ in 0..=u8::from(twice) {
            let (sim, handler, reply) = (self.clone(), Arc::clone(&handler), reply.clone());
            self.spawn(Node::Network, rpc, async move { sim.deliver(to, rpc, handler, reply).await });
        }
        drop((reply, handler));
        self.within(wait, answer).await.and_then(Result::ok)
    }

    async fn deliver<A, F, H>(&self, to: Node, rpc: &'static str, handler: Arc<H>, reply: Reply<A>)
    where
        A: Send + 'static,
        F: Future<Output = A> + Send + 'static,
        H: Fn() -> F + Send + Sync + 'static,
    {
        if !self.carry("the request").await {
            return self.lose(rpc, reply);
        }
        if !self.is_up(to) {
            return self.tell(|| format!("finds {to} dead"));
        }
        let sim = self.clone();
        self.spawn(to, rpc, async move {
            let answer = handler().await;
            sim.step("reply").await;
            let carrier = sim.clone();
            sim.spawn(Node::Network, rpc, async move {
                if !carrier.carry("the reply").await {
                    return carrier.lose(rpc, reply);
                }
                let sender = lock(&reply.0).take();
                if let Some(sender) = sender {
                    let _ = sender.send(answer);
                }
            });
        });
    }

    /// Carries a message; false if it is lost.
    async fn carry(&self, what: &str) -> bool {
        let sent = self.ticks.now();
        self.count(|counts| counts.messages += 1);
        let mut delay = Duration::from_micros(200 + self.below(4_000));
        if self.suffers(Fault::Delay) {
            delay += Duration::from_millis(self.below(2_500));
        }
        self.sleep(delay).await;
        if self.suffers(Fault::Loss) {
            self.tell(|| format!("loses {what}"));
            return false;
        }
        self.arrived(sent);
        true
    }

    fn arrived(&self, sent: u64) {
        self.count(|counts| {
            if counts.newest_arrived > sent {
                counts.reordered += 1;
            }
            counts.newest_arrived = counts.newest_arrived.max(sent);
        });
    }

    /// Either the connection breaks, which is noticed, or nothing is heard any more.
    fn lose<A: Send + 'static>(&self, rpc: &'static str, reply: Reply<A>) {
        if self.below(2) == 0 {
            let sim = self.clone();
            self.spawn_apart(Node::Network, rpc, async move {
                sim.sleep(Duration::from_secs(20)).await;
                drop(reply);
            });
        }
    }
}
