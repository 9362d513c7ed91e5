//! The replicas of a server, and which of them is called.

use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout_at};
use tonic::transport::Endpoint;

use super::Names;
use super::peer::{Chosen, Failing, Peer, Way};

/// How often a name is looked up: as often as the DNS of a cluster may have news.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(5);

/// How soon it is looked up again when a replica fails, which may have moved.
const LOOK_UP_PAUSE: Duration = Duration::from_millis(500);

/// Who finds nobody to call waits until so long after the last replica was left alone: a moment without any, as a restart or a
/// connection that breaks may be one, is over by then. A longer outage is told at once.
const MOMENT: Duration = Duration::from_millis(250);

/// Nobody can be called.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// Every replica is left alone until it answers.
    #[error("no replica answers; each is asked in the background until it does")]
    Silent,
    /// The name leads nowhere.
    #[error("its name cannot be looked up: {0}")]
    Nameless(Arc<str>),
}

/// The replica that a call went to last, which it should not go to again if there is another.
#[derive(Debug, Default)]
pub struct Last(Option<Arc<Peer>>);

/// A name with an address for each replica.
#[derive(Debug)]
pub struct Name {
    /// What is looked up.
    pub host: String,
    /// The port of each replica.
    pub port: u16,
    /// By whom.
    pub names: Names,
    /// How a connection is made: its URI says what a replica is called, and is not looked up.
    pub endpoint: Endpoint,
    /// How long it may take to be connected to an address.
    pub connect_timeout: Duration,
}

impl Name {
    fn peer(&self, address: SocketAddr, back: &Arc<Notify>) -> Arc<Peer> {
        Peer::new(Way::Address(self.endpoint.clone(), address, self.connect_timeout), Arc::clone(back))
    }
}

/// The replicas of a server. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Peers {
    known: watch::Receiver<Known>,
    look_up: Arc<Notify>,
    /// Told when a replica is called again.
    back: Arc<Notify>,
}

#[derive(Clone, Debug)]
enum Known {
    NotYet,
    Nobody(Arc<str>),
    These(Arc<[Named]>),
}

#[derive(Clone, Debug)]
struct Named {
    /// What the name led to; nothing if there is none.
    address: Option<SocketAddr>,
    peer: Arc<Peer>,
}

impl Peers {
    /// One address, or a name behind which something else distributes connections.
    #[must_use]
    pub fn one(endpoint: Endpoint) -> Self {
        let back = Arc::new(Notify::new());
        let peer = Peer::new(Way::Endpoint(endpoint), Arc::clone(&back));
        let these = Known::These(Arc::from([Named { address: None, peer }]));
        Self { known: watch::channel(these).1, look_up: Arc::default(), back }
    }

    /// Every address of a name, which is looked up again and again for as long as anybody has these peers. Needs a tokio
    /// runtime.
    #[must_use]
    pub fn behind(name: Name) -> Self {
        let (sender, known) = watch::channel(Known::NotYet);
        let (look_up, back) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        tokio::spawn(follow(name, sender, Arc::clone(&look_up), Arc::clone(&back)));
        Self { known, look_up, back }
    }

    /// The replica to call: of two that are taken by chance, the one with fewer calls under way. Waits for the first answer
    /// about the name, and a moment for a replica that was just left alone.
    pub async fn choose(&self, last: &mut Last) -> Result<Chosen, Away> {
        let mut known = self.known.borrow().clone();
        if matches!(known, Known::NotYet) {
            known = self.first_known().await;
        }
        let chosen = match known {
            Known::These(these) => match chosen_of(&these, last.0.as_ref()) {
                Some(chosen) => chosen,
                None => Box::pin(self.back_in_a_moment(&these, last.0.as_ref())).await?,
            },
            Known::Nobody(why) => return Err(Away::Nameless(why)),
            Known::NotYet => return Err(Away::Silent),
        };
        last.0 = Some(Arc::clone(&chosen));
        Ok(Chosen::new(chosen))
    }

    async fn back_in_a_moment(&self, these: &[Named], last: Option<&Arc<Peer>>) -> Result<Arc<Peer>, Away> {
        let since = these.iter().map(|named| named.peer.left_alone_since()).max();
        let end = since.ok_or(Away::Silent)? + MOMENT;
        loop {
            let mut back = pin!(self.back.notified());
            // From here on nothing is missed, and what was before it is looked at.
            back.as_mut().enable();
            if let Some(chosen) = chosen_of(these, last) {
                return Ok(chosen);
            }
            timeout_at(end, back).await.map_err(|_| Away::Silent)?;
        }
    }

    async fn first_known(&self) -> Known {
        let mut known = self.known.clone();
        known
            .wait_for(|known| !matches!(known, Known::NotYet))
            .await
            .map_or(Known::NotYet, |known| known.clone())
    }

    /// A call to it was not answered; why is for the log.
    pub fn not_answered(&self, chosen: &Chosen, how: Failing, why: &dyn fmt::Display) {
        if chosen.not_answered(how, why) {
            self.look_up.notify_one();
        }
    }
}

fn chosen_of(these: &[Named], last: Option<&Arc<Peer>>) -> Option<Arc<Peer>> {
    let called = || these.iter().map(|named| &named.peer).filter(|peer| peer.is_called());
    let others = || called().filter(|peer| !last.is_some_and(|last| Arc::ptr_eq(last, peer)));
    let count = others().count();
    let chosen = match count {
        0 => called().next(),
        1 => others().next(),
        _ => {
            let one = rand::random_range(0..count);
            let other = (one + rand::random_range(1..count)) % count;
            [one, other]
                .into_iter()
                .filter_map(|number| others().nth(number))
                .min_by_key(|peer| peer.in_flight())
        }
    };
    chosen.map(Arc::clone)
}

/// Looks the name up until nobody has the peers any more. What it led to last stays while it cannot be looked up, for these
/// peers and for those that take their place: a DNS server that is away must not take the others with it.
async fn follow(name: Name, known: watch::Sender<Known>, look_up: Arc<Notify>, back: Arc<Notify>) {
    let mut failing = false;
    loop {
        let found = tokio::select! {
            () = known.closed() => return,
            found = name.names.addresses(&name.host, name.port) => found,
        };
        match found {
            Ok(addresses) => {
                failing = false;
                take_in(&known, &name, &addresses, &back);
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(name = name.host, %error, "a name cannot be looked up");
                }
                let before = name.names.found_before(&name.host, name.port);
                let is_new = matches!(*known.borrow(), Known::NotYet);
                if let Some(before) = before.filter(|_| is_new) {
                    take_in(&known, &name, &before, &back);
                }
                known.send_if_modified(|known| {
                    let nobody = !matches!(known, Known::These(_));
                    if nobody {
                        *known = Known::Nobody(error.to_string().into());
                    }
                    nobody
                });
            }
        }
        let pause = if failing { LOOK_UP_PAUSE } else { LOOK_UP_INTERVAL };
        tokio::select! {
            () = known.closed() => return,
            () = sleep(pause) => {}
            () = look_up.notified() => sleep(LOOK_UP_PAUSE).await,
        }
    }
}

/// Whoever was there before stays as it was.
fn take_in(known: &watch::Sender<Known>, name: &Name, addresses: &[SocketAddr], back: &Arc<Notify>) {
    known.send_if_modified(|known| {
        let before = match known {
            Known::These(these) => Arc::clone(these),
            Known::NotYet | Known::Nobody(_) => Arc::from([]),
        };
        if before.iter().map(|named| named.address).eq(addresses.iter().copied().map(Some)) {
            return false;
        }
        let these = addresses.iter().map(|&address| {
            let same = before.iter().find(|named| named.address == Some(address));
            same.cloned().unwrap_or_else(|| Named { address: Some(address), peer: name.peer(address, back) })
        });
        *known = Known::These(these.collect());
        tracing::info!(name = name.host, ?addresses, "a name leads to other addresses");
        true
    });
}
