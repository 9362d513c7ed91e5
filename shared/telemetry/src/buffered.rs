//! Where lines of the log wait for each other, so that one call into the system writes many.
//!
//! A system call for each line costs as much as everything else that is done for a cheap call. A line waits for
//! [`PATIENCE`] at most; one that must not be lost (a warning, an error, what was done to an account) takes everything
//! before it along at once, and so does the end of the process. Only a process that is killed loses lines, of the last
//! moments, that say of calls how they ended. A reader that does not keep up holds up whoever logs: lines are neither
//! thrown away nor piled up without end.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, park_timeout};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line of the log waits for others.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What may wait, in bytes.
const ROOM: usize = 32 * 1024;

/// The target of what operators must be able to rely on: who did what to which account.
pub(crate) const SECURITY: &str = "security";

/// Lines on their way to `W`. Clones share them.
#[derive(Debug)]
pub(crate) struct Buffered<W>(Arc<Lines<W>>);

impl<W> Clone for Buffered<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Lines<W> {
    waiting: Mutex<Vec<u8>>,
    /// There are lines where there were none.
    some: Condvar,
    /// Taken before `waiting`, so that lines are written in the order in which they came.
    out: Mutex<W>,
}

impl<W: Write + Send + 'static> Buffered<W> {
    /// Begins to write, by a thread of its own, which sleeps while nothing is logged. A line waits for others so long at most.
    pub(crate) fn start(out: W, patience: Duration) -> io::Result<Self> {
        let lines = Arc::new(Lines { waiting: Mutex::default(), some: Condvar::new(), out: Mutex::new(out) });
        let writing = Arc::clone(&lines);
        Builder::new().name("log".to_owned()).spawn(move || writing.write_for_ever(patience))?;
        Ok(Self(lines))
    }

    /// Writes everything that waits.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

impl<W: Write> Lines<W> {
    fn write_for_ever(&self, patience: Duration) {
        loop {
            let waiting = self.some.wait_while(locked(&self.waiting), |waiting| waiting.is_empty());
            drop(waiting);
            park_timeout(patience);
            self.flush();
        }
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = locked(&self.waiting);
        let first = waiting.is_empty();
        waiting.extend_from_slice(line);
        let full = waiting.len() >= ROOM;
        drop(waiting);
        if at_once || full {
            self.flush();
        } else if first {
            self.some.notify_one();
        }
    }

    fn flush(&self) {
        let mut out = locked(&self.out);
        let lines = mem::take(&mut *locked(&self.waiting));
        // There is nobody to tell that telling is not possible.
        drop(out.write_all(&lines).and_then(|()| out.flush()));
    }
}

/// Nothing that panics leaves lines by halves.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line that is being written.
pub(crate) struct Line<'a, W: Write> {
    lines: &'a Lines<W>,
    at_once: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a, W: Write + 'a> MakeWriter<'a> for Buffered<W> {
    type Writer = Line<'a, W>;

    fn make_writer(&'a self) -> Line<'a, W> {
        Line { lines: &self.0, at_once: true }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a, W> {
        Line { lines: &self.0, at_once: *of.level() <= Level::WARN || of.target() == SECURITY }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing::subscriber::with_default;

    use super::*;

    struct Sent(Sender<String>);

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.send(String::from_utf8_lossy(bytes).into_owned()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Longer than any test lasts.
    const FOR_EVER: Duration = Duration::from_hours(1);

    fn log(patience: Duration) -> (Buffered<Sent>, Receiver<String>) {
        let (sender, written) = channel();
        (Buffered::start(Sent(sender), patience).unwrap(), written)
    }

    fn logged(lines: &Buffered<Sent>, log: impl FnOnce()) {
        let text = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        with_default(text.with_writer(lines.clone()).finish(), log);
    }

    #[test]
    fn lines_wait_for_each_other() {
        let (lines, written) = log(FOR_EVER);
        logged(&lines, || {
            tracing::info!("one");
            tracing::info!("two");
        });
        assert!(written.try_recv().is_err(), "not at once");
        lines.flush();
        assert_eq!(written.try_recv().unwrap(), " INFO one\n INFO two\n");
    }

    #[test]
    fn no_line_waits_for_long() {
        let (lines, written) = log(Duration::from_millis(1));
        for _ in 0..3 {
            logged(&lines, || tracing::info!("one"));
            assert_eq!(written.recv_timeout(Duration::from_mins(1)).unwrap(), " INFO one\n");
        }
    }

    #[test]
    fn what_must_not_be_lost_takes_along_what_came_before() {
        for log_it in
            [|| tracing::warn!("it"), || tracing::error!("it"), || tracing::info!(target: "security", "it")]
        {
            let (lines, written) = log(FOR_EVER);
            logged(&lines, || {
                tracing::info!("one");
                log_it();
            });
            let written = written.try_recv().unwrap();
            assert!(written.starts_with(" INFO one\n") && written.ends_with(" it\n"), "{written}");
        }
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let (lines, written) = log(FOR_EVER);
        logged(&lines, || tracing::info!("{}", "x".repeat(ROOM)));
        assert!(written.try_recv().unwrap().len() > ROOM);
    }
}
