//! What can be seen of a process from outside, and what can be done to one.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit, setrlimit};

/// A process, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process(Pid);

impl Process {
    pub(crate) fn new(pid: u32) -> Self {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Self(pid.expect("the number of a process"))
    }

    /// Asks it to end, as an operator does.
    pub fn terminate(self) {
        kill_process(self.0, Signal::TERM).expect("it runs");
    }

    /// Asks it to end, as somebody does who presses Ctrl+C where it runs.
    pub fn interrupt(self) {
        kill_process(self.0, Signal::INT).expect("it runs");
    }

    /// Ends it without a word, as `kill -9` and the kernel do when memory is short.
    pub fn kill(self) {
        kill_process(self.0, Signal::KILL).expect("it runs");
    }

    /// Stops it where it is: its connections stay, and nobody answers on them. It may take a moment until it has stopped.
    pub fn freeze(self) {
        kill_process(self.0, Signal::STOP).expect("it runs");
    }

    /// Lets it go on.
    pub fn thaw(self) {
        kill_process(self.0, Signal::CONT).expect("it runs");
    }

    /// Whether it has stopped where it is.
    #[must_use]
    pub fn is_frozen(self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("it runs");
        status.lines().any(|line| line.starts_with("State:\tT"))
    }

    /// Lets no file of it grow beyond so many bytes, or lets them grow again. Whoever has not been told to ignore the signal
    /// `XFSZ` dies of it.
    pub fn limit_file_size(self, limit: Option<u64>) {
        // What it inherited.
        let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: limit.or(maximum), maximum };
        prlimit(Some(self.0), Resource::Fsize, limit).expect("its own soft limit");
    }

    /// How much memory it has, in KiB: what is its own and in use, not what is mapped.
    #[must_use]
    pub fn memory(self) -> u64 {
        self.memory_if_it_runs().expect("it runs, and has memory")
    }

    /// The same; `None` if it has ended.
    #[must_use]
    pub fn memory_if_it_runs(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse().expect("a number of KiB"))
    }

    /// How many files and sockets it has open.
    #[must_use]
    pub fn open_files(self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0)).expect("it runs").count()
    }

    /// Lets it have so many files and sockets open; what is open already stays so.
    pub fn limit_open_files(self, limit: usize) {
        let limit = Some(u64::try_from(limit).expect("a number"));
        let limit = Rlimit { current: limit, maximum: limit };
        prlimit(Some(self.0), Resource::Nofile, limit).expect("fewer are always possible");
    }

    /// Lets it open nothing more than it has open, until it closes something.
    pub fn limit_open_files_to_these(self) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.0)).expect("it runs");
        let numbers = open.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
        let numbers: BTreeSet<usize> = numbers.collect();
        // It may have been started with some of far higher numbers.
        let free = (0..=numbers.len()).find(|number| !numbers.contains(number));
        self.limit_open_files(free.expect("one number more than files"));
    }
}

/// Lets this process have as many files and sockets open as the machine allows, which have to be this many.
pub fn need_open_files(needed: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    assert!(maximum.is_none_or(|maximum| maximum >= needed), "`ulimit -Hn` is less than {needed}");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit");
}

/// Lets this process, and every one that it starts from now on, have so many files and sockets open and no more.
pub fn limit_open_files(limit: u64) {
    let limit = Some(limit);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit })
        .expect("fewer are always possible");
}
