//! The life of a serving process: not serving at first, ready while what it needs answers, and at the end draining
//! in the order that loses no call.

use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tonic::service::Routes;

use crate::health::HealthHandle;
use crate::ops::{self, Ops, Readiness};
use crate::{CallLayer, Ended, ServerSettings, Shutdown, Socket, call, server};

/// How often what the process needs is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// After that it is not there, though nobody has said so: longer than a busy store lets anybody wait for a connection.
const PROBE_WAIT: Duration = Duration::from_secs(5);

/// How long work in the background may take to its end after the drain.
const BACKGROUND_WAIT: Duration = Duration::from_secs(5);

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

/// Serves on all listeners until the shutdown is requested, then drains them.
///
/// `probe` says what is missing, if anything: readiness and health follow it, liveness does not.
///
/// The order at the end: health and readiness say no; the lame duck time passes; streams end and every peer is told
/// to go; calls end or are cut; units of work whose callers have gone are waited for; the operations listener goes
/// last.
pub async fn serve_all<P, F>(
    listeners: Vec<GrpcListener>,
    ops: Option<OpsListener>,
    drain: Drain,
    probe: P,
    shutdown: Shutdown,
) where
    P: Fn() -> F + Send + 'static,
    F: Future<Output = Result<(), String>> + Send,
{
    let (readiness, watched) = watch::channel(Readiness::Starting);
    let (end_calls, calls_end) = Shutdown::new();
    let (end_ops, ops_end) = Shutdown::new();
    let settings = ServerSettings { drain: drain.drain, ..ServerSettings::default() };

    let mut servers = JoinSet::new();
    let mut healths = Vec::with_capacity(listeners.len());
    for listener in listeners {
        healths.push(listener.health);
        servers.spawn(server::serve(
            listener.socket,
            listener.routes,
            listener.layer,
            settings.clone(),
            calls_end.clone(),
        ));
    }
    let ops = ops.map(|ops| {
        let pages = Ops { readiness: watched, metrics: ops.metrics, extra: ops.extra };
        tokio::spawn(ops::serve(ops.socket, pages, ops_end))
    });

    follow(&readiness, &healths, probe, &shutdown).await;

    tracing::info!("draining");
    readiness.send_replace(Readiness::Draining);
    set_serving(&healths, false);
    sleep(drain.lame_duck).await;
    healths.iter().for_each(HealthHandle::shutdown);
    end_calls.request();
    while let Some(ended) = servers.join_next().await {
        if let Ok(Ended::Cut { connections }) = ended {
            tracing::warn!(connections, "connections were cut at the end of the drain");
        }
    }
    if timeout(drain.drain, call::units_of_work_done()).await.is_err() {
        tracing::warn!("units of work were cut at the end of the drain");
    }
    end_ops.request();
    if let Some(ops) = ops {
        let _ = ops.await;
    }
}

/// Waits for work in the background that ends by the same shutdown, unless the store lets it hang.
pub async fn end_of_background_work(mut task: JoinHandle<()>) {
    // A panic in it was reported when it happened.
    if timeout(BACKGROUND_WAIT, &mut task).await.is_err() {
        tracing::warn!("work in the background was cut at the end of the drain");
        task.abort();
    }
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
