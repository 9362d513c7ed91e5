//! Clears away what was left unfinished, every now and then, until the shutdown is requested.

use std::time::Duration;

use fail_point::mutant;
use grpc_kit::Shutdown;
use tokio::time::sleep;
use users_core::commands::{Context, SweepReservations};
use users_core::ports::Ports;

/// What is swept is a day old: a few minutes more do not matter.
const INTERVAL: Duration = Duration::from_mins(10);

/// Sweeps in intervals; the first time after one, so that a restart does not add to the load of starting.
pub(crate) async fn run<P: Ports>(commands: Context<P>, shutdown: Shutdown) {
    // A defect: the task dies, and nobody else does its work.
    assert!(!mutant("sweeper.panics"), "a defect");
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(INTERVAL) => {}
        }
        match SweepReservations.execute(&commands).await {
            Ok(()) => tracing::debug!("reservations were swept"),
            Err(error) => tracing::warn!(%error, "reservations were not swept: they will be"),
        }
    }
}
