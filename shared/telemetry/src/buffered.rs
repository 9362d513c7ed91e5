//! Where lines of the log wait for each other, so that one call into the system writes many.
//!
//! A system call for each line costs as much as everything else that is done for a cheap call. A line waits for
//! [`PATIENCE`] at most; one that must not be lost (a warning, an error, what was done to an account) takes everything
//! before it along at once, and whoever logs it goes on when it is written; so does the end of the process. Only a process
//! that is killed loses lines, of the last moments, that say of calls how they ended or that they were not begun.
//!
//! Only the thread `log` writes, so a reader that stands still stops nobody else: one second in all is waited for it, and
//! then nobody waits until it has read on. Meanwhile lines pile up to a bound; those beyond it are lost, and counted.

use std::cell::Cell;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::end;

/// How long a line of the log waits for others.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// As many bytes do not wait for others. Some hundred lines: to wake the thread that writes takes as long as to make a dozen.
const ENOUGH: usize = 128 * 1024;

/// What may wait while the reader does not keep up, in bytes. What must not be lost has as much again.
const ROOM: usize = 1024 * 1024;

/// How long it is waited until something is written: for a reader that stands still, once; at the end, once more. Less where the
/// process has to be gone sooner.
const WAIT: Duration = Duration::from_secs(1);

/// The target of what operators must be able to rely on: who did what to which account.
pub(crate) const SECURITY: &str = "security";

/// The name of events of the target `security` that may wait for others all the same: a call was refused before a password was
/// looked at. Floods are made of these, and a wait for each would cost those who are served.
pub const CAN_WAIT: &str = "can wait";

thread_local! {
    /// What the thread that writes logs itself, it must not wait for.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// Lines on their way. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Buffered(Arc<Lines>);

#[derive(Debug, Default)]
struct Lines {
    waiting: Mutex<Waiting>,
    /// There are lines where there were none, or they are in a hurry.
    some: Condvar,
    /// Lines were written, or are not waited for any more.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// How many bytes were taken in, ever.
    taken_in: u64,
    /// How many of them have been written, or could not be.
    written: u64,
    /// How many lines found no room since this was last said.
    lost: u64,
    /// These lines are not to wait for others.
    hurried: bool,
    /// Whoever reads has kept somebody waiting for too long, and has not read on since.
    stands_still: bool,
}

impl Buffered {
    /// Begins to write, by a thread of its own, which sleeps while nothing is logged. A line waits for others so long at
    /// most. How many lines were lost is told to `lost` once there is room again.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        patience: Duration,
        lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let lines = Arc::<Lines>::default();
        let writing = Arc::clone(&lines);
        Builder::new().name("log".to_owned()).spawn(move || writing.write_for_ever(out, patience, lost))?;
        Ok(Self(lines))
    }

    /// Waits until everything that waits is written, for a second at most.
    pub(crate) fn flush(&self) {
        self.0.flush();
    }
}

impl Lines {
    fn write_for_ever(&self, mut out: impl Write, patience: Duration, lost: impl Fn(u64)) {
        WRITES.set(true);
        // Empty, with the room of what was written before.
        let mut lines = Vec::new();
        loop {
            let waiting = self.some.wait_while(locked(&self.waiting), |waiting| waiting.lines.is_empty());
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let waiting = self.some.wait_timeout_while(waiting, patience, |waiting| !waiting.hurried);
            let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
            waiting.hurried = false;
            mem::swap(&mut waiting.lines, &mut lines);
            let too_many = mem::take(&mut waiting.lost);
            let up_to = waiting.taken_in;
            drop(waiting);
            // There is nobody to tell that telling is not possible.
            drop(out.write_all(&lines).and_then(|()| out.flush()));
            lines.clear();
            lines.shrink_to(2 * ENOUGH);
            let mut waiting = locked(&self.waiting);
            waiting.written = up_to;
            waiting.stands_still = false;
            drop(waiting);
            self.written.notify_all();
            if too_many > 0 {
                lost(too_many);
            }
        }
    }

    fn add(&self, line: &[u8], Urgency { at_once, relied_on }: Urgency) {
        let mut waiting = locked(&self.waiting);
        if waiting.lines.len() >= if relied_on { 2 * ROOM } else { ROOM } {
            waiting.lost += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        waiting.taken_in += line.len() as u64;
        let hurries = !waiting.hurried && (at_once || waiting.lines.len() >= ENOUGH);
        waiting.hurried |= hurries;
        if at_once && !WRITES.get() {
            self.some.notify_one();
            self.wait(waiting);
        } else {
            drop(waiting);
            if first || hurries {
                self.some.notify_one();
            }
        }
    }

    /// Waits until what was taken in is written, unless others have waited for too long before.
    fn wait(&self, waiting: MutexGuard<'_, Waiting>) {
        let up_to = waiting.taken_in;
        let unwritten = |waiting: &mut Waiting| waiting.written < up_to && !waiting.stands_still;
        let waited = self.written.wait_timeout_while(waiting, end::for_a_line(WAIT), unwritten);
        let (mut waiting, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            waiting.stands_still = true;
            drop(waiting);
            self.written.notify_all();
        }
    }

    fn flush(&self) {
        let mut waiting = locked(&self.waiting);
        waiting.hurried = true;
        self.some.notify_one();
        let up_to = waiting.taken_in;
        let at_most = end::for_the_log(WAIT);
        drop(self.written.wait_timeout_while(waiting, at_most, |waiting| waiting.written < up_to));
    }
}

/// Nothing that panics leaves lines by halves.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a line while others wait.
#[derive(Clone, Copy, Debug)]
struct Urgency {
    /// It takes everything before it along, and whoever logs it waits until it is written.
    at_once: bool,
    /// There is room for it where there is none for others.
    relied_on: bool,
}

/// A line that is being written.
pub(crate) struct Line<'a> {
    lines: &'a Lines,
    urgency: Urgency,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.urgency);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Buffered {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: &self.0, urgency: Urgency { at_once: true, relied_on: true } }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        let relied_on = *of.level() <= Level::WARN || of.target() == SECURITY;
        let urgency = Urgency { at_once: relied_on && of.name() != CAN_WAIT, relied_on };
        Line { lines: &self.0, urgency }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

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

    /// Writes when it is read: each piece waits for a word.
    struct Read {
        words: Receiver<()>,
        out: Sent,
    }

    impl Write for Read {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.words.recv().map_err(io::Error::other)?;
            self.out.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Longer than any test lasts.
    const FOR_EVER: Duration = Duration::from_hours(1);

    /// So many, if each of them waited, would wait for far longer than any machine needs to do it.
    const MANY: u32 = 200;
    /// Far longer than one wait and whatever else a busy machine does, far less than all of them.
    const NOT_EACH: Duration = Duration::from_secs(100);

    fn log(patience: Duration) -> (Buffered, Receiver<String>) {
        let (sender, written) = channel();
        (Buffered::start(Sent(sender), patience, |_| ()).unwrap(), written)
    }

    /// A log whose reader stands still until it is told to read on, and what is said to be lost.
    fn unread() -> (Buffered, Sender<()>, Receiver<String>, Receiver<u64>) {
        let ((read_on, words), (sender, written), (told, lost)) = (channel(), channel(), channel());
        let out = Read { words, out: Sent(sender) };
        let lines =
            Buffered::start(out, Duration::ZERO, move |count| told.send(count).unwrap_or_default()).unwrap();
        (lines, read_on, written, lost)
    }

    fn logged(lines: &Buffered, log: impl FnOnce()) {
        let text = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false);
        with_default(text.with_writer(lines.clone()).finish(), log);
    }

    fn took(what: impl FnOnce()) -> Duration {
        let begun = Instant::now();
        what();
        begun.elapsed()
    }

    fn soon<T>(of: &Receiver<T>) -> T {
        of.recv_timeout(Duration::from_mins(1)).unwrap()
    }

    #[test]
    fn lines_wait_for_each_other() {
        let (lines, written) = log(FOR_EVER);
        logged(&lines, || {
            tracing::info!("one");
            tracing::info!(name: CAN_WAIT, target: "security", "two");
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
            assert_eq!(soon(&written), " INFO one\n");
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
    fn many_lines_do_not_wait_for_more() {
        let (lines, written) = log(FOR_EVER);
        logged(&lines, || tracing::info!("{}", "x".repeat(ENOUGH)));
        assert!(soon(&written).len() > ENOUGH);
    }

    #[test]
    fn a_reader_that_stands_still_holds_everybody_up_for_a_second_in_all() {
        let (lines, read_on, written, _lost) = unread();
        logged(&lines, || {
            let info = || (0..MANY).for_each(|_| tracing::info!("{}", "x".repeat(10_000)));
            assert!(took(info) < NOT_EACH, "who can do without is never held up");
            assert!(took(|| tracing::warn!("one")) >= WAIT);
            assert!(took(|| (0..MANY).for_each(|_| tracing::warn!("more"))) < NOT_EACH);
            assert!(took(|| (0..MANY).for_each(|_| tracing::info!(target: "security", "last"))) < NOT_EACH);
        });
        // Nor is the end, which is to come.
        lines.flush();
        drop(read_on);
        drop(written);
    }

    #[test]
    fn whoever_waits_already_gives_up_with_the_first() {
        let (lines, _read_on, _written, _lost) = unread();
        let waits = || logged(&lines, || tracing::warn!("it"));
        let all = took(|| std::thread::scope(|scope| (0..MANY).for_each(|_| drop(scope.spawn(waits)))));
        assert!(all < NOT_EACH, "{all:?}");
    }

    #[test]
    fn once_the_reader_has_read_on_it_is_waited_for_again() {
        let (lines, read_on, written, _lost) = unread();
        logged(&lines, || tracing::warn!("one"));
        read_on.send(()).unwrap();
        assert_eq!(soon(&written), " WARN one\n");
        lines.flush();
        // It stands still again.
        assert!(took(|| logged(&lines, || tracing::warn!("two"))) >= WAIT);
        read_on.send(()).unwrap();
        read_on.send(()).unwrap();
        assert_eq!(soon(&written), " WARN two\n");
        lines.flush();
        logged(&lines, || tracing::warn!("three"));
        assert_eq!(written.try_recv().unwrap(), " WARN three\n", "written when it was logged");
    }

    #[test]
    fn what_waits_is_bounded_and_what_is_lost_is_told_when_there_is_room_again() {
        let (lines, read_on, written, lost) = unread();
        logged(&lines, || {
            // Taken at once by the thread that writes, which then stands still.
            tracing::info!("first");
            while !locked(&lines.0.waiting).lines.is_empty() {
                std::thread::yield_now();
            }
            let line = "x".repeat(1023 - " INFO ".len());
            (0..1024 + 7).for_each(|_| tracing::info!("{line}"));
            tracing::warn!("there is room for what must not be lost");
            (0..512).for_each(|_| tracing::info!(name: CAN_WAIT, target: "security", "{line}"));
            (0..512 + 3).for_each(|_| tracing::info!(target: "security", "{line}"));
        });
        assert!(lost.try_recv().is_err());
        drop(std::iter::repeat_with(|| read_on.send(())).take(3).collect::<Vec<_>>());
        assert_eq!(soon(&written), " INFO first\n");
        let waited = soon(&written);
        assert!(waited.len() > 2 * ROOM - 1024 && waited.len() < 2 * ROOM + 1024, "{}", waited.len());
        assert!(waited.contains(" WARN there is room"));
        // Those of the calls, and of those that must not be lost the ones beyond as much again.
        assert_eq!(soon(&lost), 7 + 3);
    }

    #[test]
    fn the_thread_that_writes_does_not_wait_for_what_it_logs() {
        let (sender, written) = channel();
        let logs = Arc::new(std::sync::OnceLock::<Buffered>::new());
        let told = Arc::clone(&logs);
        let says = move |count| logged(told.get().unwrap(), || tracing::warn!(count, "lost"));
        let lines = Buffered::start(Sent(sender), FOR_EVER, says).unwrap();
        logs.set(lines.clone()).unwrap();
        let all = took(|| {
            for _ in 0..MANY {
                locked(&lines.0.waiting).lost = 5;
                logged(&lines, || tracing::warn!("it"));
                assert_eq!(soon(&written), " WARN it\n");
                assert_eq!(soon(&written), " WARN lost count=5\n");
            }
        });
        assert!(all < NOT_EACH, "{all:?}");
    }
}
