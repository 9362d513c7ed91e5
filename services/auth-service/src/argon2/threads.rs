//! The threads that hash, each with the memory of one hash.
//!
//! They are not tokio's: a hash takes a core for as long as a thousand cheap calls, so the workers that serve those must
//! never be the ones that hash, nor wait for them: where there are more threads than cores, those that hash step back. The
//! memory is kept, because to be given 19 MiB of new pages costs a good part of what it takes to fill them; it is first
//! asked for by the first hash.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::Block;
use auth_core::Cause;
use tokio::sync::oneshot;

/// One piece of work, and where it leaves its result.
type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Hands work to threads of their own.
#[derive(Debug)]
pub(super) struct Threads(Sender<Job>);

impl Threads {
    /// Starts `count` threads. They end when this is dropped.
    pub(super) fn start(count: usize, kept_blocks: usize) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("hash-{number}")).spawn(move || {
                step_back();
                work_off(&queue, Memory { blocks: Vec::new(), kept_blocks });
            })?;
        }
        Ok(Self(jobs))
    }

    /// Runs `work` on the next thread that is free. It is run to its end, also when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, Cause> + Send + 'static,
    ) -> Result<T, Cause> {
        let (done, result) = oneshot::channel();
        let job = move |memory: &mut Memory| {
            // Whoever waited may have gone.
            let _ = done.send(work(memory));
        };
        self.0.send(Box::new(job)).map_err(|_| "the threads that hash have ended")?;
        result.await.map_err(|_| "hashing panicked")?
    }
}

/// How much nicer than the rest of the process the threads that hash are. On a core that somebody else wants as well they
/// have a tenth of it then (sched(7): 110 parts of weight against 1024), and whoever wakes up to answer a call is let in at
/// once, as long as the calls have had less than the other nine. Without it a call may wait for the slice of a hash, some
/// 3 ms, and with 5 in place of 10 it still does where the calls have just had a quarter; with `SCHED_IDLE` a flood of cheap
/// calls, or of refused ones, leaves nothing to those that hash.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Asks the scheduler to let others in first, which needs no privilege.
#[cfg(target_os = "linux")]
fn step_back() {
    // On Linux a nice value is a thread's.
    if let Err(cause) = rustix::process::nice(NICER) {
        tracing::warn!(?cause, "threads that hash cannot step back behind those that serve calls");
    }
}

#[cfg(not(target_os = "linux"))]
const fn step_back() {}

fn work_off(queue: &Mutex<Receiver<Job>>, mut memory: Memory) {
    loop {
        // One thread waits for the next job, the others for their turn to wait.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A thread that is gone would be a permit that never hashes. Whoever waits for the job hears of it.
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            memory.blocks = Vec::new();
        }
        memory.shrink();
    }
}

/// The memory of one hash at a time.
#[derive(Default)]
pub(super) struct Memory {
    blocks: Vec<Block>,
    kept_blocks: usize,
}

impl Memory {
    /// So many blocks of 1 KiB, with whatever is in them: Argon2 writes each before it reads it.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        &mut self.blocks[..count]
    }

    /// A stored hash may have asked for much more than those of today do: that is given back.
    fn shrink(&mut self) {
        if self.blocks.len() > self.kept_blocks {
            self.blocks.truncate(self.kept_blocks);
            self.blocks.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_the_one_who_waits_and_the_thread_works_on() {
        let threads = Threads::start(1, 8).unwrap();
        let broken = threads.run(|_| -> Result<(), Cause> { panic!("boom") }).await;
        assert!(broken.is_err());
        assert_eq!(threads.run(|_| Ok(1)).await.unwrap(), 1);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threads_that_hash_step_back() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let threads = Threads::start(1, 8).unwrap();
        let theirs = threads.run(move |_| Ok(nice())).await.unwrap();
        assert_eq!(theirs, (nice() + NICER).min(19));
    }

    #[tokio::test]
    async fn memory_is_kept_as_far_as_it_is_usual() {
        let threads = Threads::start(1, 8).unwrap();
        let sizes = |memory: &mut Memory, count| (memory.blocks.capacity(), memory.blocks(count).len());
        let (before, used) = threads.run(move |memory| Ok(sizes(memory, 8))).await.unwrap();
        assert_eq!((before, used), (0, 8), "none before the first hash");
        let address = |memory: &mut Memory| memory.blocks(8).as_ptr().addr();
        let first = threads.run(move |memory| Ok(address(memory))).await.unwrap();
        assert_eq!(threads.run(move |memory| Ok(address(memory))).await.unwrap(), first);
        assert_eq!(threads.run(move |memory| Ok(sizes(memory, 1024))).await.unwrap().1, 1024);
        let after = threads.run(|memory| Ok(memory.blocks.capacity())).await.unwrap();
        assert!(after < 1024, "{after}");
    }
}
