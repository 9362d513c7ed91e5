//! How a process, or a part of it, learns that it should end.
//!
//! A [`Shutdown`] is a signal that is given once and stays given. It is an argument of everything that runs
//! until told otherwise; nothing here decides in which order the parts of a service end.

use std::{io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::spawn_blocking,
    time::timeout,
};

/// What a shell reports of a process that SIGINT ended: 128 + 2.
const INTERRUPTED: i32 = 130;

/// How long the log may take for its last line, of a process that ends at once: nothing about an end waits for a reader.
const LAST_WORD: Duration = Duration::from_millis(100);

/// The waiting end of the signal. Clones wait for the same signal.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// The giving end of the signal. When the last one is dropped the signal is given too: whoever owned what is
/// running is gone.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Requests the shutdown. Once is enough; more change nothing.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// A signal that is given by hand.
    #[must_use]
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// The signal that SIGTERM or SIGINT gives. A second one ends the process at once, with exit code 130:
    /// whoever asks twice does not want to wait for a drain.
    ///
    /// # Errors
    /// When the process cannot listen to signals.
    pub fn on_signals() -> io::Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (trigger, shutdown) = Self::new();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            trigger.request();
            tracing::info!("draining: asked to end");
            either(&mut terminate, &mut interrupt).await;
            let said = spawn_blocking(|| tracing::warn!("ending at once: asked a second time"));
            drop(timeout(LAST_WORD, said).await);
            std::process::exit(INTERRUPTED);
        });
        Ok(shutdown)
    }

    /// Waits for the signal; returns at once when it has been given.
    pub async fn requested(&self) {
        // An error means that the last trigger was dropped.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// Whether the signal has been given.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn every_clone_hears_the_signal_and_it_stays_given() {
        let (trigger, shutdown) = Shutdown::new();
        let clone = shutdown.clone();
        assert!(clone.requested().now_or_never().is_none());
        assert!(!clone.is_requested());
        trigger.request();
        clone.requested().await;
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_dropped_trigger_is_a_request() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        shutdown.requested().await;
        assert!(shutdown.is_requested());
    }
}
