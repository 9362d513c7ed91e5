//! What a process has used, as Linux tells it.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::drive::Window;

/// The time that each thread of a process has spent on a core, and when that was read.
#[derive(Debug)]
pub(crate) struct CpuTime {
    read: Instant,
    threads: HashMap<String, u64>,
}

/// What was used between two times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// The time on a core.
    pub(crate) cpu: Duration,
    /// The time that went by.
    pub(crate) wall: Duration,
}

impl CpuTime {
    /// Reads it. To the nanosecond and by thread, because `/proc/PID/stat` goes by ticks of 10 ms.
    pub(crate) fn of(pid: u32) -> Self {
        let read = Instant::now();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
        let threads = tasks.filter_map(|task| {
            let task = task.ok()?;
            // One that has ended meanwhile is of no use any more.
            let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            let on_cpu = schedstat.split(' ').next()?.parse().ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), on_cpu))
        });
        let threads: HashMap<_, _> = threads.collect();
        assert!(!threads.is_empty(), "Linux does not tell what threads use (CONFIG_SCHED_INFO)");
        Self { read, threads }
    }

    /// What the process uses while calls are made, within their window.
    pub(crate) async fn within(window: Window, pid: u32) -> Used {
        window.opens().await;
        let before = Self::of(pid);
        window.closes().await;
        Self::of(pid).since(&before)
    }

    /// What was used since. Of a thread that has ended in between, nothing is known: its last use is not in it.
    pub(crate) fn since(&self, earlier: &Self) -> Used {
        let used = |(thread, on_cpu): (&String, &u64)| {
            on_cpu.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0))
        };
        let cpu = Duration::from_nanos(self.threads.iter().map(used).sum());
        Used { cpu, wall: self.read - earlier.read }
    }
}

impl Used {
    /// How much of one core that was.
    pub(crate) fn of_a_core(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

/// The memory that is resident, in KiB.
pub(crate) fn resident_kib(pid: u32) -> f64 {
    status_kib(pid, "VmRSS")
}

/// The most memory that ever was resident, in KiB.
pub(crate) fn most_resident_kib(pid: u32) -> f64 {
    status_kib(pid, "VmHWM")
}

fn status_kib(pid: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
    value.unwrap_or_else(|| panic!("no {key} in the status of a process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let pid = std::process::id();
        let before = CpuTime::of(pid);
        let mut used = std::iter::repeat_with(|| CpuTime::of(pid).since(&before));
        let used = used.find(|used| used.cpu >= Duration::from_millis(1)).expect("it goes on");
        assert!(!used.wall.is_zero(), "{used:?}");
    }

    #[test]
    fn a_process_has_been_as_large_as_it_is() {
        let pid = std::process::id();
        assert!(resident_kib(pid) > 100.0);
        assert!(most_resident_kib(pid) >= resident_kib(pid) / 2.0);
    }
}
