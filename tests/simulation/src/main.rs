//! Runs seeds: `simulation SEED` tells the story of one, `simulation --seeds COUNT [FROM]` counts what many came to, and
//! `simulation --catch CHECK COUNT` looks for one in which a check finds something, for a build with a defect.

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use simulation::{Check, run, run_all};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--seeds", count] => many(count, "0"),
        ["--seeds", count, from] => many(count, from),
        ["--catch", check, count] => catch(check, count),
        [seed] => one(seed),
        _ => None,
    };
    match outcome {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("simulation SEED | --seeds COUNT [FROM] | --catch CHECK COUNT");
            ExitCode::from(2)
        }
    }
}

fn one(seed: &str) -> Option<bool> {
    let report = run(seed.parse().ok()?, true);
    for line in &report.story {
        println!("{line}");
    }
    for violation in &report.violations {
        println!("{}: {}", violation.check, violation.what);
    }
    Some(report.violations.is_empty())
}

fn many(count: &str, from: &str) -> Option<bool> {
    let (count, from): (u64, u64) = (count.parse().ok()?, from.parse().ok()?);
    let begin = Instant::now();
    let summary = run_all(from..from + count);
    print!("{summary}");
    println!("{:.1} s", begin.elapsed().as_secs_f64());
    Some(summary.violations.is_empty())
}

fn catch(check: &str, count: &str) -> Option<bool> {
    let check = Check::all().find(|known| known.to_string() == check)?;
    let count: u64 = count.parse().ok()?;
    let caught = (0..count).find_map(|seed| {
        let report = run(seed, false);
        report.found_by(check).map(|violation| (seed, violation.what.clone()))
    });
    match &caught {
        Some((seed, what)) => println!("seed {seed} breaks {check}: {what}"),
        None => println!("no seed below {count} breaks {check}"),
    }
    Some(caught.is_some())
}
