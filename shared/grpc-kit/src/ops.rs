//! The operations listener: what orchestrators and Prometheus ask, over HTTP/1.1, apart from the calls.
//!
//! `/livez` says that the process runs and nothing else: a store that is down is no reason to restart it.
//! `/readyz` says whether calls are wanted. `/metrics` is there when a recorder is.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use futures::FutureExt as _;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tower::ServiceExt as _;

use crate::{Shutdown, call, door::Door};

/// How long a peer may take to send the head of its request; also how long a connection may be idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may last, however busy it is: whoever takes no answer would keep its place for ever.
const LIFETIME: Duration = Duration::from_secs(30);
/// Two or three peers ask, and not often. One more takes the place of the oldest.
const MAX_CONNECTIONS: usize = 64;
/// How often it is said that there are too many.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(1);
/// Histograms keep every value until they are rendered or tidied, so a process that nobody scrapes would grow.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);
/// How long an open request may take once its connection is to end.
const DRAIN: Duration = Duration::from_secs(1);

/// The metric of the tasks.
const TASKS: &str = "tandem_tasks";
/// The metric of the units of work.
const UNITS_OF_WORK: &str = "tandem_units_of_work";

/// Whether this process wants calls, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has not been ready yet.
    Starting,
    /// It is.
    Ready,
    /// Something that it needs is missing; the text is for operators.
    NotReady(String),
    /// It is about to end.
    Draining,
}

/// What the listener answers with.
#[derive(Clone, Debug)]
pub struct Ops {
    /// For `/readyz`.
    pub readiness: watch::Receiver<Readiness>,
    /// For `/metrics`; without it there is no such page.
    pub metrics: Option<PrometheusHandle>,
    /// Further pages.
    pub extra: Router,
}

/// Serves until the shutdown is requested. It should be the last listener to end, so that `/readyz` can say
/// that the process is draining.
pub async fn serve(listener: TcpListener, ops: Ops, shutdown: Shutdown) {
    let metrics = ops.metrics.clone();
    let router = router(ops);
    let mut door = Door::new(listener);
    let mut connections = Connections::default();
    let mut upkeep = interval(METRICS_UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            _ = upkeep.tick() => if let Some(metrics) = &metrics { metrics.run_upkeep() },
            Some(_) = connections.running.join_next() => {}
            // Last: there may always be somebody.
            (stream, _) = door.accept() => {
                connections.add(connection(stream, router.clone(), shutdown.clone()));
            }
        }
    }
    while connections.running.join_next().await.is_some() {}
}

/// Whoever has a place. Nobody is refused one: an orchestrator that gets no answer ends the process.
#[derive(Default)]
struct Connections {
    running: JoinSet<()>,
    /// The oldest first. Some may have ended.
    places: VecDeque<AbortHandle>,
    warned: Option<Instant>,
}

impl Connections {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        self.places.retain(|place| !place.is_finished());
        if self.places.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.places.pop_front()
        {
            oldest.abort();
            if self.warned.is_none_or(|warned| warned.elapsed() >= BETWEEN_WARNINGS) {
                self.warned = Some(Instant::now());
                tracing::warn!("too many connections to the operations listener: the oldest are closed");
            }
        }
        self.places.push_back(self.running.spawn(connection));
    }
}

fn router(ops: Ops) -> Router {
    let mut router = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(readyz).with_state(ops.readiness));
    if let Some(metrics) = ops.metrics {
        describe_gauge!(TASKS, "Tasks of the runtime that have not ended.");
        describe_gauge!(UNITS_OF_WORK, "Units of work that have not ended, whoever waits for them.");
        let page = async move || {
            record_what_runs();
            ([("content-type", "text/plain; version=0.0.4")], metrics.render())
        };
        router = router.route("/metrics", get(page));
    }
    router.merge(ops.extra)
}

/// Looked at when somebody asks: these are nothing but numbers that there are anyway, and older ones say little.
#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float, and exact up to more tasks than there is memory for"
)]
fn record_what_runs() {
    gauge!(UNITS_OF_WORK).set(call::units_of_work() as f64);
    gauge!(TASKS).set(Handle::current().metrics().num_alive_tasks() as f64);
}

async fn readyz(State(readiness): State<watch::Receiver<Readiness>>) -> (StatusCode, String) {
    let readiness = readiness.borrow().clone();
    match readiness {
        Readiness::Ready => (StatusCode::OK, "ok".to_owned()),
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining".to_owned()),
    }
}

async fn connection(stream: TcpStream, router: Router, shutdown: Shutdown) {
    let answer = service_fn(move |request: Request<Incoming>| {
        router.clone().oneshot(request).map(|answer: Result<_, Infallible>| answer)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(TokioIo::new(stream), answer)
    );
    tokio::select! {
        // An error is a peer that went away.
        _ = connection.as_mut() => return,
        () = shutdown.requested() => {}
        () = sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = sleep(DRAIN) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt as _;

    fn ops(readiness: Readiness) -> Router {
        let extra = Router::new().route("/extra", get(async || "more"));
        router(Ops { readiness: watch::channel(readiness).1, metrics: None, extra })
    }

    async fn got(router: Router, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let Ok(response) = router.oneshot(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn liveness_never_depends_on_readiness() {
        assert_eq!(
            got(ops(Readiness::NotReady("no store".to_owned())), "/livez").await,
            (200, "ok".to_owned())
        );
    }

    #[tokio::test]
    async fn readiness_says_why_not() {
        for (readiness, status, text) in [
            (Readiness::Starting, 503, "starting"),
            (Readiness::Ready, 200, "ok"),
            (Readiness::NotReady("no store".to_owned()), 503, "no store"),
            (Readiness::Draining, 503, "draining"),
        ] {
            assert_eq!(got(ops(readiness), "/readyz").await, (status, text.to_owned()));
        }
    }

    #[tokio::test]
    async fn there_are_the_given_pages_and_no_others() {
        assert_eq!(got(ops(Readiness::Ready), "/extra").await, (200, "more".to_owned()));
        assert_eq!(got(ops(Readiness::Ready), "/metrics").await.0, 404);
        assert_eq!(got(ops(Readiness::Ready), "/").await.0, 404);
    }
}
