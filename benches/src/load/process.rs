//! Programs that run on the server's cores.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a start may take before it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// A process whose output nobody takes would be in trouble if it said more.
    _output: Lines<BufReader<ChildStdout>>,
    /// Where it listens, in the order in which it says so.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Process {
    /// Starts it and waits until it has said so many times where it listens. What it logs goes to a file.
    pub(crate) async fn start(mut command: Command, listeners: usize, log: &Path) -> Self {
        let log_file = File::options().append(true).create(true).open(log).expect("a file for the log");
        command.stdout(Stdio::piped()).stderr(log_file).kill_on_drop(true);
        let mut child = command.spawn().expect("taskset is in the package util-linux");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = timeout(PATIENCE, said_addresses(&mut output, listeners)).await;
        match said {
            Ok(addresses) if addresses.len() == listeners => Self { child, _output: output, addresses },
            _ => panic!(
                "a server does not say where it listens:\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            ),
        }
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("nobody has waited for its end")
    }

    /// From now on instructions are counted; of a program that was started as [`counted`].
    pub(crate) async fn zero_counts(&self) {
        self.control_counts("--zero").await;
    }

    /// Writes down how many there were.
    pub(crate) async fn dump_counts(&self) {
        self.control_counts("--dump").await;
    }

    async fn control_counts(&self, order: &str) {
        let mut command = Command::new("callgrind_control");
        // Both look for each other by what the environment says of the user.
        command.env_clear().args([order, &self.id().to_string()]);
        let output = command.output().await.expect("callgrind_control is in the package valgrind");
        assert!(output.status.success(), "{order}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn end(mut self) {
        self.child.kill().await.expect("it is killed");
    }
}

/// In so many lines; fewer if it ends before.
async fn said_addresses(output: &mut Lines<BufReader<ChildStdout>>, listeners: usize) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    while addresses.len() < listeners {
        let Some(line) = output.next_line().await.expect("its output") else { break };
        addresses.extend(line.rsplit(' ').next().and_then(|word| word.parse::<SocketAddr>().ok()));
    }
    addresses
}

/// The same, with each instruction that it executes counted by valgrind, which makes it some fifty times slower. Counts are
/// written to the file when [`Process::dump_counts`] asks for it, with `.1` behind its name.
pub(crate) fn counted(cores: &str, program: &Path, counts: &Path) -> Command {
    let mut command = pinned(cores, Path::new("valgrind"));
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counts.display())).arg(program);
    command
}

/// A program that may run on these cores only, and knows nothing of the environment that this runs in, but for what the
/// images set: huge pages for whoever asks the kernel for memory.
pub(crate) fn pinned(cores: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command
        .args(["--cpu-list", cores])
        .arg(program)
        .env_clear()
        .env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
