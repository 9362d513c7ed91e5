//! When much that was held is free, it is given back to the system: what connections took that have gone, and requests that
//! did not come whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::{runtime::Handle, task::spawn_blocking, time::sleep};

/// The rest of a crowd that leaves has left by then.
const LEAVING: Duration = Duration::from_secs(1);

/// Whether a crowd is leaving some listener: what all of them had is given back at once.
static LEAVES: AtomicBool = AtomicBool::new(false);

/// What a listener has many of for a while: its connections, or the bytes of requests that have not come whole.
#[derive(Debug)]
pub(crate) struct Crowd {
    /// Fewer are not worth it: the next ones use again what they took.
    worth_it: usize,
    /// Of those that were there since something was given back last.
    most: usize,
}

impl Crowd {
    /// Nobody yet; nothing is given back for fewer than `worth_it`.
    pub(crate) const fn new(worth_it: usize) -> Self {
        Self { worth_it, most: 0 }
    }

    /// Somebody has come: so many are there now.
    pub(crate) fn comes(&mut self, now: usize) {
        self.most = self.most.max(now);
    }

    /// Somebody has gone.
    pub(crate) fn leaves(&mut self, now: usize) {
        // What is dropped with the runtime ends with the process.
        if self.has_left(now)
            && let Ok(runtime) = Handle::try_current()
            && !LEAVES.swap(true, Ordering::Relaxed)
        {
            runtime.spawn(async {
                sleep(LEAVING).await;
                LEAVES.store(false, Ordering::Relaxed);
                // Not on a thread that serves calls: it may take some milliseconds.
                let given = spawn_blocking(heap::give_back).await.unwrap_or(false);
                tracing::debug!(given, "a crowd has left, and its memory is given back");
            });
        }
    }

    /// Whether half of them have gone at least. Where connections come as others go, they use what those had.
    const fn has_left(&mut self, now: usize) -> bool {
        let has_left = self.most.saturating_sub(now) >= self.worth_it && now <= self.most / 2;
        if has_left {
            self.most = now;
        }
        has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORTH_IT: usize = 256;

    fn crowd(most: usize) -> Crowd {
        let mut crowd = Crowd::new(WORTH_IT);
        crowd.comes(most);
        crowd
    }

    #[test]
    fn a_crowd_has_left_when_half_of_it_has_and_then_half_of_the_rest() {
        let mut crowd = crowd(5000);
        let left: Vec<_> = (0..5000).rev().filter(|now| crowd.has_left(*now)).collect();
        assert_eq!(left, [2500, 1250, 625, 312, 56]);
    }

    #[test]
    fn a_few_are_no_crowd() {
        let mut crowd = crowd(WORTH_IT - 1);
        assert!(!crowd.has_left(0));
    }

    #[test]
    fn those_who_come_as_others_go_keep_what_there_is() {
        let mut crowd = crowd(5000);
        for _ in 0..10_000 {
            assert!(!crowd.has_left(4999));
            crowd.comes(5000);
        }
    }
}
