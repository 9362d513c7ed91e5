//! `grpc.health.v1`: whether this process wants calls.
//!
//! tonic-health's own implementation starts out SERVING, its `Watch` of an unknown service is an error, and it lacks
//! `List`; load balancers rely on the opposite of the first two. All services of a process share one status: they share
//! their store, and are ready together or not at all. Liveness is not asked here but of [`ops`](crate::ops).

pub mod pb;

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::MAX_REQUEST_BYTES;
use pb::{
    Health as HealthRpc, HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
    HealthServer, ServingStatus,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotServing,
    Serving,
    ShutDown,
}

/// Its full name, for reflection.
pub const SERVICE: &str = "grpc.health.v1.Health";

/// The health service of a process and the handle that steers it; it starts `NOT_SERVING` for `""` and for
/// each of the names.
#[must_use]
pub fn service(service_names: &[&str]) -> (HealthHandle, HealthServer<Health>) {
    let state = Arc::new(watch::Sender::new(State::NotServing));
    let known = std::iter::once("").chain(service_names.iter().copied()).map(str::to_owned).collect();
    let health = Health { known: Arc::new(known), state: state.subscribe() };
    let server = HealthServer::new(health).max_decoding_message_size(MAX_REQUEST_BYTES);
    (HealthHandle { state }, server)
}

/// Steers what the health service answers. When the last handle is dropped it answers as after a shutdown.
#[derive(Clone, Debug)]
pub struct HealthHandle {
    state: Arc<watch::Sender<State>>,
}

impl HealthHandle {
    /// Sets whether calls are wanted. After [`shutdown`](Self::shutdown) it changes nothing.
    pub fn set_serving(&self, serving: bool) {
        let next = if serving { State::Serving } else { State::NotServing };
        self.change(next);
    }

    /// Answers `NOT_SERVING` for good and ends every `Watch` with UNAVAILABLE, which would otherwise keep its
    /// connection open through the drain.
    pub fn shutdown(&self) {
        self.change(State::ShutDown);
    }

    fn change(&self, next: State) {
        self.state.send_if_modified(|state| {
            let changes = *state != State::ShutDown && *state != next;
            if changes {
                *state = next;
            }
            changes
        });
    }
}

/// Implements `grpc.health.v1.Health`.
#[derive(Clone, Debug)]
pub struct Health {
    known: Arc<BTreeSet<String>>,
    state: watch::Receiver<State>,
}

#[tonic::async_trait]
impl HealthRpc for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.known.contains(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service here"));
        }
        Ok(Response::new(answer(serving_status(*self.state.borrow()))))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        // All at one moment. There are fewer than the hundred beyond which the protocol asks for an error.
        let now = answer(serving_status(*self.state.borrow()));
        let statuses = self.known.iter().map(|service| (service.clone(), now)).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let known = self.known.contains(&request.get_ref().service);
        Ok(Response::new(watch(self.state.clone(), known).boxed()))
    }
}

/// The status now, and again whenever it changes, until the shutdown. Of a service that is not known: that it
/// is not, once; a service does not appear while the process runs, but the protocol keeps the stream open.
fn watch(
    state: watch::Receiver<State>,
    known: bool,
) -> impl Stream<Item = Result<HealthCheckResponse, Status>> + Send {
    let begin = (state, None, false);
    stream::unfold(begin, move |(mut state, told, over)| async move {
        if over {
            return None;
        }
        let news = |state: &State| *state == State::ShutDown || told != Some(shown(*state, known));
        // An error means that the last handle was dropped.
        let now = state.wait_for(news).await.map_or(State::ShutDown, |state| *state);
        let status = shown(now, known);
        if told == Some(status) {
            // No news but the end.
            Some((Err(leaving()), (state, told, true)))
        } else {
            Some((Ok(answer(status)), (state, Some(status), false)))
        }
    })
}

fn shown(state: State, known: bool) -> ServingStatus {
    if known { serving_status(state) } else { ServingStatus::ServiceUnknown }
}

fn serving_status(state: State) -> ServingStatus {
    match state {
        State::Serving => ServingStatus::Serving,
        State::NotServing | State::ShutDown => ServingStatus::NotServing,
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn leaving() -> Status {
    Status::unavailable("the server is shutting down: connect again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use tonic::Code;

    fn health() -> (HealthHandle, Health) {
        let state = Arc::new(watch::Sender::new(State::NotServing));
        let known = Arc::new(BTreeSet::from([String::new(), "a.B".to_owned()]));
        let health = Health { known, state: state.subscribe() };
        (HealthHandle { state }, health)
    }

    fn of(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.to_owned() })
    }

    async fn checked(health: &Health, service: &str) -> Result<ServingStatus, Code> {
        health
            .check(of(service))
            .await
            .map(|answer| answer.get_ref().status())
            .map_err(|status| status.code())
    }

    #[tokio::test]
    async fn nothing_is_served_until_someone_says_so() {
        let (handle, health) = health();
        assert_eq!(checked(&health, "").await, Ok(ServingStatus::NotServing));
        handle.set_serving(true);
        assert_eq!(checked(&health, "").await, Ok(ServingStatus::Serving));
        assert_eq!(checked(&health, "a.B").await, Ok(ServingStatus::Serving));
        assert_eq!(checked(&health, "x.Y").await, Err(Code::NotFound));
    }

    #[tokio::test]
    async fn everything_that_is_known_is_listed_with_its_status() {
        let (handle, health) = health();
        let listed = async || {
            let list = health.list(Request::new(HealthListRequest {})).await.expect("a list").into_inner();
            let mut listed: Vec<_> =
                list.statuses.iter().map(|(name, is)| (name.clone(), is.status())).collect();
            listed.sort();
            listed
        };
        let all = |status| vec![(String::new(), status), ("a.B".to_owned(), status)];
        assert_eq!(listed().await, all(ServingStatus::NotServing));
        handle.set_serving(true);
        assert_eq!(listed().await, all(ServingStatus::Serving));
        handle.shutdown();
        assert_eq!(listed().await, all(ServingStatus::NotServing));
    }

    #[tokio::test]
    async fn nothing_is_served_after_the_shutdown() {
        let (handle, health) = health();
        handle.shutdown();
        handle.set_serving(true);
        assert_eq!(checked(&health, "").await, Ok(ServingStatus::NotServing));
    }

    #[tokio::test]
    async fn a_watch_tells_every_change_and_ends_with_the_shutdown() {
        let (handle, health) = health();
        let mut told = health.watch(of("a.B")).await.expect("a stream").into_inner();
        let mut next = async || told.next().await.map(|item| item.map(|answer| answer.status()));
        assert!(matches!(next().await, Some(Ok(ServingStatus::NotServing))));
        handle.set_serving(true);
        assert!(matches!(next().await, Some(Ok(ServingStatus::Serving))));
        handle.set_serving(true);
        assert!(next().now_or_never().is_none(), "nothing has changed");
        handle.shutdown();
        assert!(matches!(next().await, Some(Ok(ServingStatus::NotServing))));
        assert!(matches!(next().await, Some(Err(status)) if status.code() == Code::Unavailable));
        assert!(next().await.is_none());
    }

    #[tokio::test]
    async fn a_watch_of_an_unknown_service_says_so_and_stays() {
        let (handle, health) = health();
        let mut told = health.watch(of("x.Y")).await.expect("a stream").into_inner();
        let first = told.next().await.expect("an item").expect("a status");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        handle.set_serving(true);
        assert!(told.next().now_or_never().is_none(), "it is as unknown as before");
        handle.shutdown();
        let last = told.next().await.expect("an item").expect_err("the end");
        assert_eq!(last.code(), Code::Unavailable);
    }
}
