//! What it was measured on.

use std::fs;

use super::home::Home;
use super::{Bench, Engine};

/// Prints it.
pub(crate) async fn describe(bench: &Bench, home: &Home, engine: Engine) {
    let cpus = read("/proc/cpuinfo");
    let model = value(&cpus, "model name").unwrap_or("an unknown model");
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    let postgres = match home.database() {
        Some(database) => {
            let version = sqlx::query_scalar::<_, String>("show server_version");
            let version = version.fetch_one(&mut database.connect().await).await.expect("it knows");
            format!("PostgreSQL {} with fsync off", version.split(' ').next().unwrap_or(&version))
        }
        None => "no PostgreSQL".to_owned(),
    };
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("unknown");
    let own = read("/proc/self/status");
    let own = value(&own, "Cpus_allowed_list").unwrap_or("unknown");
    println!("{cores} cores ({model}), Linux {}, {postgres}; data on {engine}.", kernel.trim());
    println!(
        "Servers on core {}, driver and PostgreSQL on core {own}, {} rounds. Load average at the start: {load}.",
        bench.cores, bench.rounds
    );
    println!(
        "Each figure is the median of the rounds unless it says otherwise, with the least and the most."
    );
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim())
}
