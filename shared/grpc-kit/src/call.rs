//! What is known about the call that is being served, and work that outlives its caller.
//!
//! The [`CallLayer`](crate::CallLayer) puts the [`Call`] into a task-local, so an adapter deep below the
//! handler (the client of another service, say) can pass on the request id, the trace and the time left
//! without every function in between having a parameter for it. Decisions never depend on it.

use std::{net::SocketAddr, panic::resume_unwind, sync::Arc, sync::LazyLock, sync::OnceLock};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

tokio::task_local! {
    static CURRENT: Arc<Call>;
    /// Closed when whoever waits for this unit of work has gone.
    static CALLER: watch::Receiver<()>;
}

/// The call that is being served.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called, as `/package.Service/Method`; cut where it is none and long.
    pub path: Arc<str>,
    /// The caller's `x-request-id` where it is valid, else one made here; 1 to 64 visible ASCII characters.
    pub request_id: String,
    /// When the answer is `DEADLINE_EXCEEDED`; streaming calls have none.
    pub deadline: Option<Instant>,
    /// W3C trace context, well-formed: that of the call's own span where traces are recorded, else as received.
    pub traceparent: Option<String>,
    /// The vendors' part of the trace context; never without `traceparent`.
    pub tracestate: Option<String>,
    /// The other end of the connection: a proxy's address when there is one in between.
    pub peer: Option<SocketAddr>,
    /// Whose token it came with, once that is known.
    pub user_id: OnceLock<Uuid>,
}

impl Call {
    /// One of which no more is known than what it is called.
    #[must_use]
    pub fn new(path: impl Into<Arc<str>>, request_id: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            request_id: request_id.into(),
            deadline: None,
            traceparent: None,
            tracestate: None,
            peer: None,
            user_id: OnceLock::new(),
        }
    }
}

/// The call that this task is serving; `None` outside of one (start-up, background work).
#[must_use]
pub fn current() -> Option<Call> {
    shared().map(|call| Call::clone(&call))
}

/// What a line of the log says of the call during which it is written, each with its name; `None` outside of one.
#[must_use]
pub fn fields() -> Option<[(&'static str, String); 2]> {
    let of = |call: &Arc<Call>| [("path", call.path.to_string()), ("request_id", call.request_id.clone())];
    CURRENT.try_with(of).ok()
}

/// Says whose token the call that this task is serving came with, for the log.
pub fn is_of(user_id: Uuid) {
    // Whoever was said first stays.
    let _ = CURRENT.try_with(|call| call.user_id.set(user_id));
}

/// When the call that this task is serving is over; `None` where it has no end, and outside of one.
#[must_use]
pub fn deadline() -> Option<Instant> {
    CURRENT.try_with(|call| call.deadline).ok().flatten()
}

/// Runs `future` as a part of `call`.
pub async fn scope<F: Future>(call: Call, future: F) -> F::Output {
    scope_shared(Arc::new(call), future).await
}

/// As [`scope`], of a call that is shared already.
pub(crate) fn scope_shared<F: Future>(call: Arc<Call>, future: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(call, future)
}

/// Runs `poll`, one step of something that is not a future, as a part of `call`.
pub(crate) fn scope_step<R>(call: Arc<Call>, poll: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(call, poll)
}

pub(crate) fn shared() -> Option<Arc<Call>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Runs `future` to its end, even when the caller stops waiting for it.
///
/// tonic drops a handler's future when the client cancels, disconnects or runs out of time. A transaction
/// dropped in the middle is worse than one that nobody waits for: with sqlx 0.9.0 a connection whose
/// `BEGIN` was cut goes back to the pool inside an open transaction, and later writes on it are
/// acknowledged and then lost. So whatever writes runs here, in a task of its own, as a part of the handler's call.
///
/// # Panics
/// When `future` panics, in the caller: the panic is answered like one of the handler's own.
pub async fn unit_of_work<F, T>(future: F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let running = Running::count();
    // Dropped with this future, that is when the caller goes away.
    let (_waiting, caller) = watch::channel(());
    let work = async move {
        let _running = running;
        CALLER.scope(caller, future).await
    };
    let task = match shared() {
        Some(call) => tokio::spawn(CURRENT.scope(call, work)),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Cancelled: the runtime itself is being dropped, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Waits until nobody waits for this unit of work any more; outside of one, forever.
///
/// For what has not begun yet and need not be, such as a place in a queue. What has begun goes on to its end.
pub async fn abandoned() {
    match CALLER.try_with(watch::Receiver::clone) {
        // Nothing is ever sent: it ends when the sender is gone.
        Ok(mut caller) => while caller.changed().await.is_ok() {},
        Err(_) => std::future::pending().await,
    }
}

/// Whether nobody waits for this unit of work any more; outside of one, never.
#[must_use]
pub fn is_abandoned() -> bool {
    CALLER.try_with(|caller| caller.has_changed().is_err()).unwrap_or(false)
}

/// Waits until no unit of work is running in this process.
///
/// For the end of a drain, when calls have ended but work whose caller went away may not have.
pub async fn units_of_work_done() {
    let mut running = RUNNING.subscribe();
    // The sender is a static: it is never closed.
    let _ = running.wait_for(|count| *count == 0).await;
}

/// How many units of work are running in this process, those included that nobody waits for any more.
#[must_use]
pub fn units_of_work() -> usize {
    *RUNNING.borrow()
}

/// How many units of work are running in this process.
static RUNNING: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// One running unit of work; ceases to count when dropped, however that came about.
struct Running;

impl Running {
    fn count() -> Self {
        RUNNING.send_modify(|count| *count += 1);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::panic::AssertUnwindSafe;
    use tokio::sync::oneshot;

    /// One of which nothing is known but its name.
    pub(crate) fn call(request_id: &str) -> Call {
        Call::new("/tandem.probe.v1.ProbeService/Get", request_id)
    }

    #[tokio::test]
    async fn a_unit_of_work_runs_to_its_end_when_its_caller_goes_away() {
        let (go, wait) = oneshot::channel::<()>();
        let (ended, end) = oneshot::channel();
        let mut caller = Box::pin(unit_of_work(async move {
            let _ = wait.await;
            let _ = ended.send(());
        }));
        assert!(caller.as_mut().now_or_never().is_none(), "the work has begun and waits");
        drop(caller);
        go.send(()).expect("the work is still waiting");
        end.await.expect("the work came to its end");
        units_of_work_done().await;
    }

    #[tokio::test]
    async fn a_unit_of_work_hears_that_its_caller_has_gone_and_not_before() {
        let (told, hear) = oneshot::channel();
        let mut caller = Box::pin(unit_of_work(async move {
            let before = is_abandoned();
            abandoned().await;
            let _ = told.send((before, is_abandoned()));
        }));
        assert!(caller.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
        assert!(caller.as_mut().now_or_never().is_none(), "it waits for as long as somebody waits for it");
        drop(caller);
        assert_eq!(hear.await.expect("it hears of it"), (false, true));
        assert!(!is_abandoned());
        assert!(abandoned().now_or_never().is_none(), "outside of one there is nobody to go away");
    }

    #[tokio::test]
    async fn a_unit_of_work_is_a_part_of_its_call() {
        let seen = scope(call("r-1"), unit_of_work(async { current().map(|call| call.request_id) })).await;
        assert_eq!(seen.as_deref(), Some("r-1"));
        assert!(current().is_none(), "there is no call outside of one");
    }

    #[tokio::test]
    async fn a_panic_in_a_unit_of_work_is_the_callers() {
        let outcome = AssertUnwindSafe(unit_of_work(async { panic!("boom") })).catch_unwind().await;
        let panic = outcome.expect_err("the panic goes on in the caller");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"boom"));
    }
}
