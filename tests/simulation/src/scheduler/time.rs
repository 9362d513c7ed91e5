//! Virtual time, and what waits for it.

use std::task::Poll;
use std::time::Duration;

use super::{Sim, State};

impl Sim {
    /// Since the beginning of the run.
    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    /// Tells a clock how much time has passed, whenever some has.
    pub(crate) fn drives(&self, clock: impl Fn(Duration) + Send + 'static) {
        self.state().clocks.push(Box::new(clock));
    }

    pub(crate) fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let sim = self.clone();
        let mut until = None;
        std::future::poll_fn(move |cx| {
            let mut state = sim.state();
            let at = *until.get_or_insert(state.now + duration);
            if state.now >= at {
                return Poll::Ready(());
            }
            state.next += 1;
            let key = (at, state.next);
            state.timers.insert(key, cx.waker().clone());
            Poll::Pending
        })
    }

    /// What comes of some work, if it does in time.
    pub(crate) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let mut end = std::pin::pin!(self.sleep(time));
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => end.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    pub(super) async fn pause(&self) {
        let micros = {
            let State { dice, weather, .. } = &mut *self.state();
            match dice.below(2) {
                _ if dice.in_a_million(weather.stall) => dice.below(60_000),
                0 => 0,
                _ => dice.below(2_500),
            }
        };
        if micros == 0 { self.yield_now().await } else { self.sleep(Duration::from_micros(micros)).await }
    }

    async fn yield_now(&self) {
        let mut yielded = false;
        std::future::poll_fn(move |cx| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
