//! The life of a serving process: not serving at first, ready while what it needs answers, and at the end draining
//! in the order that loses no call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tonic::service::Routes;

use crate::health::HealthHandle;
use crate::ops::{self, Ops, Readiness};
use crate::{CallLayer, Ended, ServerSettings, Shutdown, Socket, call, descriptors, server};

/// How often what the process needs is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// After that it is not there, though nobody has said so: longer than a busy store lets anybody wait for a connection.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// A process is promised to be gone so long after the drain.
const GONE: Duration = Duration::from_secs(1);

/// How long everything may take together that is left at the end of the drain: work whose callers have gone or were cut, work in
/// the background, the store. What is left of the second is for the last spans and the last lines of the log.
const AFTER_THE_DRAIN: Duration = Duration::from_millis(500);

/// So much longer it may take where somebody had to be outlasted.
const AFTER_THE_NEIGHBOUR: Duration = Duration::from_millis(100);

/// What is left of that for calls of others, which might still come to a listener as long as the neighbour had not ended.
const LAST_CALLS: Duration = Duration::from_millis(50);

/// One gRPC listener with what it serves.
#[derive(Debug)]
pub struct GrpcListener {
    /// The socket, bound already, and its certificate.
    pub socket: Socket,
    /// The services.
    pub routes: Routes,
    /// The layer of every call, which knows the listener's error domain.
    pub layer: CallLayer,
    /// The health of the services.
    pub health: HealthHandle,
    /// Who has to be outlasted, in a process of more than one service.
    pub neighbour: Option<Neighbour>,
}

/// Somebody in the same process who ends at the same time, and calls a listener until it has ended.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// How it ends.
    pub drain: Drain,
    /// Given when it has.
    pub ended: Shutdown,
}

/// The operations listener with what it answers.
#[derive(Debug)]
pub struct OpsListener {
    /// The socket, bound already.
    pub socket: TcpListener,
    /// For `/metrics`, when metrics are recorded.
    pub metrics: Option<PrometheusHandle>,
    /// Pages besides the usual ones.
    pub extra: Router,
}

/// How a process ends.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long it still takes calls after it has said that it wants no more: time for balancers to hear of it.
    pub lame_duck: Duration,
    /// How long calls may then take before they are cut.
    pub drain: Duration,
}

impl Drain {
    /// Waits until the process is asked to end, and says when it has to be gone.
    pub async fn gone(self, shutdown: Shutdown) -> std::time::Instant {
        shutdown.requested().await;
        (Instant::now() + self.whole() + GONE).into_std()
    }

    /// The longer one.
    #[must_use]
    pub fn or_longer(self, other: Self) -> Self {
        if other.whole() > self.whole() { other } else { self }
    }

    fn whole(self) -> Duration {
        self.lame_duck + self.drain
    }
}

/// The end of a process, once it has begun: one time at which everything has to be over, for all that has to end.
///
/// Each with a wait of its own they would add up, and a database that does not answer lets all of them wait.
#[derive(Clone, Copy, Debug)]
#[must_use = "the rest of the process has to end in time as well"]
pub struct Ending {
    over: Instant,
}

impl Ending {
    fn begin(drain: Drain, neighbour: Option<&Neighbour>) -> Self {
        let (drain, after) = match neighbour {
            None => (drain, AFTER_THE_DRAIN),
            Some(it) => (drain.or_longer(it.drain), AFTER_THE_DRAIN + AFTER_THE_NEIGHBOUR),
        };
        Self { over: Instant::now() + drain.whole() + after }
    }

    /// Waits for what has to end, and gives it up when the time is over. What has ended already needs no time.
    pub async fn wait_for<T>(self, what: &str, ends: impl Future<Output = T>) -> Option<T> {
        let ended = timeout_at(self.over, ends).await.ok();
        if ended.is_none() {
            tracing::warn!("{what} had to be left behind: the time for the end is over");
        }
        ended
    }

    /// Waits for work in the background that ends by the same shutdown, and cuts it when the time is over.
    pub async fn wait_for_task(self, what: &str, mut task: JoinHandle<()>) {
        // A panic in it was reported when it happened.
        if self.wait_for(what, &mut task).await.is_none() {
            task.abort();
        }
    }
}

/// Serves on all listeners until the shutdown is requested, then drains them; what is left to end of the process has until the
/// time that is returned.
///
/// `probe` says what is missing, if anything: readiness and health follow it, liveness does not.
///
/// The order at the end: health and readiness say no; the lame duck time passes; streams end and every peer is told
/// to go; calls end or are cut; units of work whose callers have gone are waited for; the operations listener goes last. On a
/// listener that a neighbour calls nothing of this begins before that one has ended: its health is that of this listener alone,
/// which the neighbour asks for when a call of its has failed, and it has no other to go to.
pub async fn serve_all<P, F>(
    listeners: Vec<GrpcListener>,
    ops: Option<OpsListener>,
    drain: Drain,
    probe: P,
    shutdown: Shutdown,
) -> Ending
where
    P: Fn() -> F + Send + 'static,
    F: Future<Output = Result<(), String>> + Send,
{
    let (readiness, watched) = watch::channel(Readiness::Starting);
    let (end_calls, calls_end) = Shutdown::new();
    let (end_ops, ops_end) = Shutdown::new();
    let settings = settings_of_each(listeners.len(), drain);

    let mut servers = JoinSet::new();
    let healths: Vec<_> = listeners.iter().map(|listener| listener.health.clone()).collect();
    let going = listeners.iter().filter(|listener| listener.neighbour.is_none());
    let going: Vec<_> = going.map(|listener| listener.health.clone()).collect();
    let outlasted = listeners.iter().find_map(|listener| listener.neighbour.clone());
    for listener in listeners {
        servers.spawn(serve_in_turn(listener, settings.clone(), drain, calls_end.clone()));
    }
    let ops = ops.map(|ops| {
        let pages = Ops { readiness: watched, metrics: ops.metrics, extra: ops.extra };
        tokio::spawn(ops::serve(ops.socket, pages, ops_end))
    });

    follow(&readiness, &healths, probe, &shutdown).await;

    let ending = Ending::begin(drain, outlasted.as_ref());
    tracing::info!("draining");
    readiness.send_replace(Readiness::Draining);
    set_serving(&going, false);
    sleep(drain.lame_duck).await;
    going.iter().for_each(HealthHandle::shutdown);
    end_calls.request();
    while let Some(ended) = servers.join_next().await {
        if let Ok(Ended::Cut { connections }) = ended {
            tracing::warn!(connections, "connections were cut at the end of the drain");
        }
    }
    ending.wait_for("units of work", call::units_of_work_done()).await;
    end_ops.request();
    if let Some(ops) = ops {
        ending.wait_for_task("the operations listener", ops).await;
    }
    ending
}

/// Serves a listener until calls are to end, and one that a neighbour calls until that one has ended. What calls are left is cut
/// when those of the neighbour have been, or a moment later.
async fn serve_in_turn(
    listener: GrpcListener,
    settings: ServerSettings,
    drain: Drain,
    calls_end: Shutdown,
) -> Ended {
    let GrpcListener { socket, routes, layer, health, neighbour } = listener;
    let Some(Neighbour { drain: others, ended }) = neighbour else {
        return server::serve(socket, routes, layer, settings, calls_end).await;
    };
    let ((end, ends), (cut, is_cut)) = (Shutdown::new(), Shutdown::new());
    let in_turn = tokio::spawn(async move {
        calls_end.requested().await;
        let time = Instant::now() + drain.or_longer(others).whole() - drain.lame_duck;
        // It ends in time by itself, and nothing is to depend on that.
        drop(timeout_at(time + AFTER_THE_DRAIN + LAST_CALLS, ended.requested()).await);
        health.shutdown();
        end.request();
        sleep_until(time.max(Instant::now() + LAST_CALLS)).await;
        cut.request();
    });
    let ended =
        server::serve_until(socket, routes, layer, settings, ends, async { is_cut.requested().await }).await;
    in_turn.abort();
    ended
}

/// How many gRPC listeners the process has in all, as far as it was said.
static LISTENERS: AtomicUsize = AtomicUsize::new(0);

/// Says how many gRPC listeners the process has in all, for one that calls [`serve_all`] more than once: what it may open they
/// share.
pub fn has_listeners(count: usize) {
    LISTENERS.store(count, Ordering::Relaxed);
}

/// What every listener is served with: the defaults, within what the process may open.
fn settings_of_each(listeners: usize, drain: Drain) -> ServerSettings {
    let listeners = listeners.max(LISTENERS.load(Ordering::Relaxed));
    let settings = ServerSettings { drain: drain.drain, ..ServerSettings::default() };
    let max_connections = descriptors::connections_for_each(listeners, settings.max_connections);
    if max_connections < settings.max_connections {
        tracing::info!(
            max_connections,
            "the limit of open files leaves each listener so many connections only"
        );
    }
    // The same part of them.
    let strangers = settings.max_unestablished_connections * max_connections / settings.max_connections;
    ServerSettings { max_connections, max_unestablished_connections: strangers.max(1), ..settings }
}

/// Lets readiness and health follow the probe until the shutdown is requested.
async fn follow<P, F>(
    readiness: &watch::Sender<Readiness>,
    healths: &[HealthHandle],
    probe: P,
    shutdown: &Shutdown,
) where
    P: Fn() -> F,
    F: Future<Output = Result<(), String>>,
{
    loop {
        let now = tokio::select! {
            () = shutdown.requested() => return,
            probed = timeout(PROBE_WAIT, probe()) => match probed {
                Ok(Ok(())) => Readiness::Ready,
                Ok(Err(cause)) => Readiness::NotReady(cause),
                Err(_) => Readiness::NotReady("the store does not answer".to_owned()),
            },
        };
        let changed = readiness.send_if_modified(|before| {
            let changed = *before != now;
            before.clone_from(&now);
            changed
        });
        if changed {
            tracing::info!(readiness = ?now, "readiness changed");
            set_serving(healths, now == Readiness::Ready);
        }
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(PROBE_INTERVAL) => {}
        }
    }
}

fn set_serving(healths: &[HealthHandle], serving: bool) {
    for health in healths {
        health.set_serving(serving);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an hour of waiting is not worth is tried with short times (`tests/it/limits.rs`); these are served.
    #[test]
    fn every_listener_is_served_with_the_limits_that_are_promised() {
        let drain = Drain { lame_duck: Duration::from_secs(3), drain: Duration::from_secs(7) };
        let settings = settings_of_each(1, drain);
        assert_eq!(settings.max_concurrent_streams, 200);
        assert_eq!(settings.max_pending_accept_reset_streams, 200);
        assert_eq!(settings.max_local_error_reset_streams, 1024);
        assert_eq!(settings.max_header_list_size, 16 * 1024);
        assert_eq!((settings.keepalive_interval.as_secs(), settings.keepalive_timeout.as_secs()), (60, 20));
        assert_eq!((settings.handshake_timeout.as_secs(), settings.preface_timeout.as_secs()), (5, 5));
        assert_eq!((settings.max_connection_age.as_secs(), settings.drain.as_secs()), (300, 7));
        let share = settings.max_connections * 2 / 5;
        assert_eq!((settings.max_connections > 100, settings.max_unestablished_connections), (true, share));
        assert_eq!(crate::MAX_REQUEST_BYTES, 64 * 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_has_to_end_shares_one_time() {
        let drain = Drain { lame_duck: Duration::from_secs(3), drain: Duration::from_secs(7) };
        let begun = Instant::now();
        let ending = Ending::begin(drain, None);
        assert_eq!(ending.wait_for("what ends", async { 1 }).await, Some(1));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(ending.wait_for("a store", std::future::pending::<()>()).await, None);
            let task = tokio::spawn(std::future::pending());
            let cut = task.abort_handle();
            ending.wait_for_task("a task", task).await;
            tokio::task::yield_now().await;
            assert!(cut.is_finished());
        }
        assert_eq!(begun.elapsed(), Duration::from_millis(10_500));
        assert_eq!(ending.wait_for("what has ended", async { 1 }).await, Some(1), "that needs no time");
    }

    #[tokio::test(start_paused = true)]
    async fn who_outlasts_somebody_ends_a_little_later_than_the_last_of_both_and_before_the_process_is_gone()
    {
        let drain = |lame_duck, drain| Drain {
            lame_duck: Duration::from_secs(lame_duck),
            drain: Duration::from_secs(drain),
        };
        let (asked, shutdown) = Shutdown::new();
        asked.request();
        for (own, others) in
            [(drain(3, 7), drain(3, 7)), (drain(0, 10), drain(1, 2)), (drain(1, 2), drain(9, 1))]
        {
            let begun = Instant::now();
            let neighbour = Neighbour { drain: others, ended: shutdown.clone() };
            let ending = Ending::begin(own, Some(&neighbour));
            assert_eq!(ending.over - begun, Duration::from_millis(10_600));
            let gone = own.or_longer(others).gone(shutdown.clone()).await;
            assert_eq!(gone - begun.into_std(), Duration::from_secs(11));
        }
    }
}
