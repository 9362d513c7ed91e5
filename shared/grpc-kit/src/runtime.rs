//! The threads on which a command does its work.

use std::io;
use std::panic;
use std::process;

use tokio::runtime::{Builder, Runtime};

/// Does the work of a command, on as many threads as the process has cores. Where the system gives it none, the process
/// ends with 1 and says so.
pub fn block_on<E: From<io::Error>>(work: impl Future<Output = Result<(), E>>) -> Result<(), E> {
    let runtime = built(Builder::new_multi_thread().enable_all())?;
    let done = runtime.block_on(work);
    // Dropped, it would wait for threads that look names up or read files for as long as that takes.
    runtime.shutdown_background();
    done
}

/// A thread that the system does not give (a limit of processes, no memory for its stack) is a panic of tokio's, which on its
/// way out waits for ever for the threads that it was given before.
fn built(builder: &mut Builder) -> io::Result<Runtime> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|panic| {
        eprintln!("cannot start: {}", panic.payload_as_str().unwrap_or("no threads"));
        process::exit(1);
    }));
    let runtime = builder.build();
    panic::set_hook(usual);
    runtime
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// Set in the process that is to fail: this test once more.
    const STARTS: &str = "STARTS_WITHOUT_THREADS";
    const MORE_THAN_THERE_IS: usize = 1 << 60;

    #[test]
    fn a_process_that_is_given_no_threads_ends_and_says_so() {
        if env::var_os(STARTS).is_some() {
            drop(built(Builder::new_multi_thread().thread_stack_size(MORE_THAN_THERE_IS)));
            return;
        }
        let mut itself = Command::new(env::current_exe().unwrap());
        let name = "runtime::tests::a_process_that_is_given_no_threads_ends_and_says_so";
        let output = itself.args(["--exact", name, "--nocapture"]).env(STARTS, "1").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.starts_with("cannot start: OS can't spawn worker thread"), "{said}");
    }

    #[test]
    fn what_the_work_gives_is_given_back_and_the_usual_hook_is_there_again() {
        let failed: io::Result<()> = block_on(async { Err(io::Error::other("no")) });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        block_on(async {
            let panics = tokio::spawn(async { panic!("as usual") }).await;
            assert!(panics.unwrap_err().is_panic());
            Ok::<_, io::Error>(())
        })
        .unwrap();
    }
}
