//! The usual metrics of the process itself, under the names that every Prometheus client library gives them.
//!
//! Read from `/proc`; where there is none (this is not Linux) they are absent. The crate that would do it brings bindings to
//! three other systems.

use std::fs;

use metrics::{counter, describe_counter, describe_gauge, gauge};

/// The unit of the times in `/proc`, as Linux shows it to programs on every machine that this is built for: `USER_HZ`.
const TICKS_PER_SECOND: u64 = 100;

/// What Linux says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    cpu_seconds: u64,
    /// Since the epoch of Unix.
    start_seconds: u64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
}

/// Describes them.
pub(crate) fn describe() {
    describe_counter!("process_cpu_seconds_total", "Time on processors, in whole seconds.");
    describe_gauge!("process_resident_memory_bytes", "Memory that is in RAM, in bytes.");
    describe_gauge!("process_virtual_memory_bytes", "Memory that is mapped, in bytes.");
    describe_gauge!("process_start_time_seconds", "When the process began, in seconds since 1970.");
    describe_gauge!("process_threads", "Threads of the process.");
    describe_gauge!("process_open_fds", "Open file descriptors.");
    describe_gauge!("process_max_fds", "How many file descriptors may be open.");
}

/// Looks at the process, for its metrics. Takes some tens of microseconds.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and exact up to 8 petabytes")]
pub fn record_process() {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    if let Some(process) = process(&read("/proc/self/stat"), &read("/proc/self/status"), &read("/proc/stat"))
    {
        counter!("process_cpu_seconds_total").absolute(process.cpu_seconds);
        gauge!("process_start_time_seconds").set(process.start_seconds as f64);
        gauge!("process_resident_memory_bytes").set(process.resident_bytes as f64);
        gauge!("process_virtual_memory_bytes").set(process.virtual_bytes as f64);
        gauge!("process_threads").set(process.threads as f64);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is the folder's own.
        gauge!("process_open_fds").set(descriptors.count().saturating_sub(1) as f64);
    }
    if let Some(max) = number_after(&read("/proc/self/limits"), "Max open files") {
        gauge!("process_max_fds").set(max as f64);
    }
}

/// From `/proc/self/stat`, `/proc/self/status` and `/proc/stat`: see proc(5).
fn process(stat: &str, status: &str, system: &str) -> Option<Process> {
    // The second field is the program's name in parentheses, which may hold anything; what follows begins with the third.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
        start_seconds: number_after(system, "btime")? + field(22)? / TICKS_PER_SECOND,
        resident_bytes: number_after(status, "VmRSS:")? * 1024,
        virtual_bytes: number_after(status, "VmSize:")? * 1024,
        threads: number_after(status, "Threads:")?,
    })
}

/// The first number in the line that begins so.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 9 0 0 0 250 151 0 0 20 0 7 0 30000 9 9 9";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t    1024 kB\nThreads:\t7\n";
        let read = process(stat, status, "cpu 1 2\nbtime 1700000000\n").unwrap();
        let expected = Process {
            cpu_seconds: 4,
            start_seconds: 1_700_000_300,
            resident_bytes: 1024 * 1024,
            virtual_bytes: 2 * 1024 * 1024,
            threads: 7,
        };
        assert_eq!(read, expected);
        assert_eq!(process("", "", ""), None);
    }

    #[test]
    fn limits_are_read_by_name() {
        let limits = "Max processes   5   6   processes\nMax open files            1024                 4096   files\n";
        assert_eq!(number_after(limits, "Max open files"), Some(1024));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_can_be_read() {
        let read = |file: &str| fs::read_to_string(file).unwrap();
        let seen =
            process(&read("/proc/self/stat"), &read("/proc/self/status"), &read("/proc/stat")).unwrap();
        assert!(seen.resident_bytes > 100_000 && seen.resident_bytes <= seen.virtual_bytes, "{seen:?}");
        assert!(seen.start_seconds > 1_700_000_000 && seen.threads > 0, "{seen:?}");
    }
}
