//! How many hashes may run at a time where no setting says so: as many as auth-service may use cores, by its affinity and by the
//! quota of its cgroup. On a machine with one core there is nothing to tell apart.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use e2e::{Engine, Processes, Service, Settings};

use crate::crashes::BINARIES;

/// Runs what follows where the cgroups of the system are these.
const IN_CGROUPS: &str = "mount --bind \"$0\" /sys/fs/cgroup && exec \"$@\"";

/// What a quota is a part of, in microseconds.
const PERIOD: usize = 100_000;

#[tokio::test]
async fn there_are_as_many_permits_as_cores_that_the_process_may_use() {
    let pair = Processes::prepared(BINARIES, Settings::on(Engine::Sqlite)).await;
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("and this");
    let first = allowed.trim().split([',', '-']).next().expect("one at least");
    assert_eq!(permits(&pair, &["taskset", "--cpu-list", first]).await, 1);
}

#[tokio::test]
async fn there_are_as_many_permits_as_cores_that_the_quota_of_the_cgroup_pays_for() {
    let pair = Processes::prepared(BINARIES, Settings::on(Engine::Sqlite)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let within = ["unshare", "--map-root-user", "--mount", "sh", "-c", IN_CGROUPS, &place];
    write_quota(folder.path(), PERIOD);
    let probe =
        Command::new(within[0]).args(&within[1..]).arg("true").output().expect("the package util-linux");
    if !probe.status.success() {
        // Some systems let nobody make namespaces, in containers above all.
        let why = String::from_utf8_lossy(&probe.stderr).into_owned();
        return eprintln!("NOT RUN: cgroups cannot be shown to a process here: {why}");
    }
    let quotas = [(PERIOD / 2, 1), (PERIOD, 1), (PERIOD * 3 / 2, 1), (PERIOD * cores(), cores())];
    for (quota, expected) in quotas {
        write_quota(folder.path(), quota);
        assert_eq!(permits(&pair, &within).await, expected, "{quota} of {PERIOD}");
    }
}

fn cores() -> usize {
    available_parallelism().expect("one at least").get()
}

/// As the settings are printed by auth-service, run by way of another program.
async fn permits(pair: &Processes, by: &[&str]) -> usize {
    let output = pair.operator(Service::Auth, 0).by(by).run(&["config", "print"]).await;
    assert!(output.status.success(), "{by:?}: {}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("text");
    let line = printed.lines().find_map(|line| line.strip_prefix("max_parallel_hashes = "));
    let line = line.unwrap_or_else(|| panic!("no permits in:\n{printed}"));
    line.strip_suffix(" # built-in default").expect("nobody sets it").parse().expect("a number")
}

/// Lets the cgroup that this process is in have a quota, in a folder that stands for the system's of cgroups: of version 2, and of
/// version 1 where the controller of the CPU is one of its.
fn write_quota(folder: &Path, quota: usize) {
    let cgroups = fs::read_to_string("/proc/self/cgroup").expect("Linux says it");
    for line in cgroups.lines() {
        let (controllers, cgroup) =
            line.split_once(':').and_then(|(_, rest)| rest.split_once(':')).expect("three parts");
        let cgroup = cgroup.trim_start_matches('/');
        let files: &[(&str, String)] = match controllers {
            "" => &[("cgroup.controllers", "cpu\n".to_owned()), ("cpu.max", format!("{quota} {PERIOD}\n"))],
            cpu if cpu.split(',').any(|controller| controller == "cpu") => {
                &[("cpu.cfs_quota_us", format!("{quota}\n")), ("cpu.cfs_period_us", format!("{PERIOD}\n"))]
            }
            _ => continue,
        };
        let place =
            if controllers.is_empty() { folder.join(cgroup) } else { folder.join("cpu").join(cgroup) };
        fs::create_dir_all(&place).expect("a folder");
        for (name, content) in files {
            fs::write(place.join(name), content).expect("written");
        }
    }
}
