//! Where the time of a cheap call goes, by the function that runs: `perf record` of the server, each sample counted for one
//! part. A part's time is its share of the CPU time of a call.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::cost_per_call::CALLERS;
use super::figures::{Figure, Section, Unit};
use super::home::{Home, connections};
use super::{Bench, Engine};
use crate::drive::{Call, Target, Window, as_f64, closed_loop};
use crate::usage::CpuTime;

const WARM_UP: Duration = Duration::from_secs(1);
/// Samples a second. None in step with the kernel's own clock.
const FREQUENCY: &str = "2999";

/// What is counted together, in the order in which it is shown; the last one is everything else.
const PARTS: [&str; 17] = [
    "h2, hyper, tonic, prost",
    "kernel: answers to the callers (`writev`)",
    "kernel: statements to PostgreSQL (`sendto`)",
    "kernel: reads of sockets",
    "kernel: SQLite's locks of the file (`fcntl`)",
    "kernel: writing the log",
    "kernel: waiting and waking (`epoll`, `futex`)",
    "malloc and free",
    "memmove, memcmp",
    "sqlx",
    "SQLite and rusqlite",
    "spans, lines of the log, metrics",
    "auth-service: use case, rows, messages",
    "tokio",
    "grpc-kit's layer",
    "digests of the token and of the workload's credential",
    "the rest: the standard library, clock, interrupts",
];
const REST: usize = PARTS.len() - 1;

/// The part of a call of the kernel's, by a piece of the name of a function that it goes through.
const SYSTEM_CALLS: [(&str, usize); 10] = [
    ("writev", 1),
    ("sendto", 2),
    ("sendmsg", 2),
    ("sys_recv", 3),
    ("sys_read", 3),
    ("fcntl", 4),
    ("pread", 10),
    ("sys_write", 5),
    ("epoll", 6),
    ("futex", 6),
];

/// The part of a function of a C library's, by what its name begins with.
const OF_C: [(&str, usize); 12] = [
    ("malloc", 7),
    ("_int_", 7),
    ("cfree", 7),
    ("free", 7),
    ("realloc", 7),
    ("calloc", 7),
    ("unlink_chunk", 7),
    ("tcache", 7),
    ("__mem", 8),
    ("mem", 8),
    ("aws_lc", 15),
    ("sqlite3", 10),
];

/// The part of a function of ours or of a crate's, by the first crate that its name has.
const OF_CRATES: [(&str, usize); 39] = [
    ("h2", 0),
    ("hyper", 0),
    ("hyper_util", 0),
    ("tonic", 0),
    ("tonic_prost", 0),
    ("prost", 0),
    ("prost_types", 0),
    ("http", 0),
    ("http_body", 0),
    ("http_body_util", 0),
    ("tower", 0),
    ("tower_service", 0),
    ("axum", 0),
    ("matchit", 0),
    ("bytes", 0),
    ("httpdate", 0),
    ("api", 0),
    ("sqlx", 9),
    ("sqlx_core", 9),
    ("sqlx_postgres", 9),
    ("rusqlite", 10),
    ("tracing", 11),
    ("tracing_core", 11),
    ("tracing_subscriber", 11),
    ("telemetry", 11),
    ("metrics", 11),
    ("metrics_exporter_prometheus", 11),
    ("metrics_util", 11),
    ("auth_service", 12),
    ("auth_core", 12),
    ("identity", 12),
    ("database", 12),
    ("clock", 12),
    ("chrono", 12),
    ("credentials", 12),
    ("tokio", 13),
    ("mio", 13),
    ("grpc_kit", 14),
    ("sha2", 15),
];

/// Measures on one engine.
pub(crate) async fn run(bench: &Bench, home: &Home, engine: Engine) -> Section {
    let auth = home.auth().await;
    let token = home.token(&auth).await;
    let calls = [
        ("`Authenticate`", Call::authenticate(&home.workload_token, &token), auth.internal),
        ("`GetCurrentSession`", Call::get_current_session(&token), auth.public),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut figures = Vec::new();
    for (name, call, address) in calls {
        let target = connections(address, CALLERS).await;
        let mut rounds = vec![Vec::new(); PARTS.len() + 1];
        for round in 0..bench.rounds {
            bench.progress("profile", round);
            let record = folder.path().join("perf.data");
            let parts = parts_of_a_call(bench, &target, &call, auth.process.id(), &record).await;
            for (rounds, micros) in rounds.iter_mut().zip(parts) {
                rounds.push(micros);
            }
        }
        let names = PARTS.into_iter().chain(["all of it"]);
        figures.extend(
            names
                .zip(rounds)
                .map(|(part, rounds)| Figure::median(format!("{name}: {part}"), Unit::Micros, rounds)),
        );
    }
    auth.process.end().await;
    let title = match engine {
        Engine::Sqlite => "Where the time of a cheap call goes, on SQLite",
        Engine::Postgres => "Where the time of a cheap call goes, on PostgreSQL",
    };
    let note = "By `perf record`, by the function that runs; of system calls, by the call. A part's time is its share of the \
                samples times the CPU time of a call, which perf itself makes longer.";
    Section { title, figures, notes: vec![note.to_owned()] }
}

/// Microseconds of each part, and of all.
async fn parts_of_a_call(
    bench: &Bench,
    target: &Target,
    call: &Call,
    server: u32,
    record: &Path,
) -> Vec<f64> {
    let window = Window::new(WARM_UP, bench.window);
    let recorded = async {
        tokio::time::sleep(WARM_UP).await;
        let seconds = bench.window.as_secs_f64().to_string();
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-g", "-F", FREQUENCY, "-p", &server.to_string()]);
        perf.arg("-o").arg(record).args(["--", "sleep", &seconds]);
        let status = perf.status().await.expect("perf is in the package linux-perf");
        assert!(status.success(), "perf records nothing: see kernel.perf_event_paranoid");
    };
    let used = CpuTime::within(window, server);
    let calls = closed_loop(target, std::slice::from_ref(call), CALLERS, window);
    let (tally, used, ()) = tokio::join!(calls, used, recorded);
    assert!(tally.successes() == tally.total(), "not all are OK:\n{tally}");
    let micros = 1e6 * used.of_a_core() / tally.goodput();
    let mut perf = Command::new("perf");
    perf.args(["script", "-F", "ip,sym,dso", "-i"]).arg(record);
    let script = perf.output().await.expect("perf runs");
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let mut parts: Vec<_> =
        shares(&String::from_utf8_lossy(&script.stdout)).into_iter().map(|share| share * micros).collect();
    parts.push(micros);
    parts
}

/// What part of all samples each part has.
fn shares(script: &str) -> Vec<f64> {
    let mut counts = vec![0_usize; PARTS.len()];
    let mut frames = Vec::new();
    for line in script.lines().chain([""]) {
        match frame(line) {
            Some(frame) => frames.push(frame),
            None if frames.is_empty() => {}
            None => {
                counts[part(&frames)] += 1;
                frames.clear();
            }
        }
    }
    let all = counts.iter().sum::<usize>();
    assert!(all > 0, "perf has recorded nothing");
    counts.into_iter().map(|count| as_f64(count) / as_f64(all)).collect()
}

/// `ADDRESS NAME (OBJECT)`.
fn frame(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (name, object) = rest.rsplit_once(" (")?;
    Some((name, object.trim_end_matches(')')))
}

/// Of a sample, the innermost frame first.
fn part(frames: &[(&str, &str)]) -> usize {
    let (name, object) = frames[0];
    let of = |table: &[(&str, usize)], fits: &dyn Fn(&str) -> bool| {
        table.iter().find(|(known, _)| fits(known)).map(|(_, part)| *part)
    };
    if object.starts_with('[') && !["[vdso]", "[unknown]"].contains(&object) {
        // From the outside, where the call is; what it leads to can be anything.
        let mut outside_first = frames.iter().rev();
        let call = outside_first.find_map(|(name, _)| of(&SYSTEM_CALLS, &|known| name.contains(known)));
        return call.unwrap_or(REST);
    }
    if name.contains("::") {
        let crates = name.split(|sign: char| !(sign.is_alphanumeric() || sign == '_' || sign == ':'));
        let mut roots = crates.filter_map(|path| path.split_once("::").map(|(root, _)| root));
        return roots.find_map(|root| of(&OF_CRATES, &|known| root == known)).unwrap_or(REST);
    }
    let of_c = of(&OF_C, &|known| name.starts_with(known));
    // The only C in the program that is called for a cheap call, but for the digests.
    let of_the_program = (!object.contains(".so") && !object.starts_with('[')).then_some(10);
    of_c.or(of_the_program).unwrap_or(REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_what_runs_and_in_the_kernel_to_the_call() {
        let script = "
    1a2b h2::hpack::huffman::decode::decode (/bin/auth-service)
    7fff [unknown] ([unknown])

    ffffffff82010edc __tcp_cleanup_rbuf ([kernel.kallsyms])
    ffffffff81e31750 __x64_sys_recvfrom ([kernel.kallsyms])
       10a974 __libc_recv (/lib/libc.so.6)

    1 <core::pin::Pin<P> as grpc_kit::layer::Thing>::poll (/bin/auth-service)

    1 balance_nonroot (/bin/auth-service)

    1 __vdso_clock_gettime ([vdso])
    2 _int_free (/lib/libc.so.6)

    2 _int_free (/lib/libc.so.6)
";
        let shares = shares(script);
        let known: Vec<_> =
            PARTS.iter().zip(&shares).filter(|(_, share)| **share > 0.0).map(|(part, _)| *part).collect();
        assert_eq!(known, [PARTS[0], PARTS[3], PARTS[7], PARTS[10], PARTS[14], PARTS[REST]]);
        assert!(shares.iter().sum::<f64>() > 0.999);
    }
}
