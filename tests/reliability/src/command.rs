//! The command: which rounds are run, and the table of what came of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::{Binaries, Service};
use futures::StreamExt as _;
use futures::stream;

use crate::checker::Check;
use crate::mutants::{self, MUTANTS, Mutant};
use crate::nemesis::Fault;
use crate::round::{self, Plan, Report};
use crate::site::Store;
use crate::table::{Found, Table};
use crate::workload::EVERYTHING;

/// Looks for violations of the invariants under faults.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// How many rounds are run on each engine.
    #[arg(long, default_value_t = 2)]
    rounds: u64,
    /// What the first round is made from; each further one from the number after.
    #[arg(long)]
    seed: Option<u64>,
    /// Only on this engine.
    #[arg(long)]
    engine: Option<Store>,
    /// How many seconds a round lasts at least.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How many faults there are in a round.
    #[arg(long, default_value_t = 6)]
    faults: usize,
    /// Run the deliberate defects too, each of which has to be found.
    #[arg(long)]
    mutants: bool,
    /// Run only these of them, and no other round. One that is unknown, or not on the engine that is asked for, is an error.
    #[arg(long, value_delimiter = ',')]
    only_mutants: Vec<String>,
    /// How many clients there are.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// After so many seconds it is said that it took longer than it is to.
    #[arg(long)]
    within: Option<u64>,
    /// A folder for the history, the stories and the logs of each round in which something was broken or missed, and of the last
    /// one of each deliberate defect that was not found.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where the services under test are; the default is beside this program.
    #[arg(long)]
    binaries: Option<PathBuf>,
}

/// So many times the clients guess at passwords.
const CROWD: u64 = 8;
/// So many defects are looked for at once: a round waits for processes to start and for clients to be answered, most of the time.
const AT_ONCE: usize = 2;

/// Runs what was asked for.
pub async fn run(arguments: Arguments) -> ExitCode {
    let begun = Instant::now();
    let chosen = match chosen(&arguments) {
        Ok(chosen) => chosen,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let binaries = binaries(arguments.binaries.as_ref());
    let first = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    let is_wanted = |store| arguments.engine.is_none_or(|only| only == store);
    println!("--seed {first}");
    let mut table = Table::default();
    let stores = [Store::Sqlite, Store::Postgres].into_iter().filter(|store| is_wanted(*store));
    for store in stores.filter(|_| arguments.only_mutants.is_empty()) {
        for plan in plans(&arguments, binaries, store, first) {
            let seed = plan.seed;
            let begun = Instant::now();
            let report = Box::pin(round::run(&plan)).await;
            announce(&format!("{store:?}, seed {seed}"), &report, begun);
            for (_, story) in &report.violations {
                println!("{story}");
            }
            for what in &report.missed {
                println!("missed: {what}");
            }
            if !report.violations.is_empty() || !report.missed.is_empty() {
                let about = if plan.limits_guesses { "-guesses" } else { "" };
                keep(arguments.keep.as_ref(), &format!("{store:?}-{seed}{about}"), &report);
            }
            table.add(store, &report);
        }
    }
    let hunts = chosen.into_iter().map(|mutant| Box::pin(hunt(mutant, binaries, first, &arguments)));
    let mut hunts = stream::iter(hunts).buffered(AT_ONCE);
    while let Some((mutant, found)) = hunts.next().await {
        table.add_mutant(mutant, found);
    }
    println!("\n{table}");
    let took = begun.elapsed().as_secs();
    println!("It took {took} s.");
    // Machines differ, so that is no failure.
    if let Some(within) = arguments.within.filter(|within| took > *within) {
        println!("warning: that is longer than the {within} s that it is to take");
    }
    // Last of all: of a long output the end is what is looked at.
    let failures = table.failures();
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The deliberate defects that are asked for.
fn chosen(arguments: &Arguments) -> Result<Vec<&'static Mutant>, String> {
    let is_wanted = |mutant: &&Mutant| arguments.engine.is_none_or(|only| only == mutant.store);
    if arguments.only_mutants.is_empty() {
        if arguments.rounds == 0 && !arguments.mutants {
            return Err("no rounds and no deliberate defects: nothing would be looked at".into());
        }
        return Ok(MUTANTS.iter().filter(|_| arguments.mutants).filter(is_wanted).collect());
    }
    let named = arguments.only_mutants.iter().map(|name| {
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name);
        let mutant = mutant.ok_or_else(|| format!("there is no deliberate defect {name}"))?;
        is_wanted(&mutant)
            .then_some(mutant)
            .ok_or_else(|| format!("{name} shows on {:?} alone", mutant.store))
    });
    named.collect()
}

/// The rounds on one engine. The last is about guesses at passwords, which are not limited in the others so that clients can
/// do much.
fn plans(arguments: &Arguments, binaries: Binaries, store: Store, first: u64) -> Vec<Plan> {
    let seeds = first..first + arguments.rounds;
    let usual = seeds.map(|seed| Plan {
        binaries,
        store,
        seed,
        clients: arguments.clients,
        mix: EVERYTHING,
        lasts: Duration::from_secs_f64(arguments.seconds),
        faults: arguments.faults,
        kinds: Fault::of(store),
        limits_guesses: false,
        defect: None,
    });
    let mut plans: Vec<Plan> = usual.collect();
    if let Some(last) = plans.last().cloned() {
        plans.push(Plan {
            clients: arguments.clients * CROWD,
            mix: mutants::GUESSES,
            lasts: mutants::LASTS,
            faults: 1,
            kinds: vec![Fault::Kill(Service::Auth)],
            limits_guesses: true,
            ..last
        });
    }
    plans
}

/// Runs rounds with a defect until each check that is for it has found it; says what each found, and in which round.
async fn hunt(
    mutant: &'static Mutant,
    binaries: Binaries,
    first: u64,
    arguments: &Arguments,
) -> (&'static Mutant, BTreeMap<Check, Found>) {
    let clients = arguments.clients;
    let mut found = BTreeMap::new();
    for round in 1..=mutants::ROUNDS {
        let plan = Plan {
            binaries,
            store: mutant.store,
            seed: first + round,
            // Guesses that are not many at once are one after the other.
            clients: if mutant.limits_guesses { clients * CROWD } else { clients },
            mix: mutant.mix,
            lasts: mutant.lasts,
            faults: mutant.faults.len(),
            kinds: mutant.faults.to_vec(),
            limits_guesses: mutant.limits_guesses,
            defect: Some(mutant),
        };
        let begun = Instant::now();
        let report = Box::pin(round::run(&plan)).await;
        announce(mutant.name, &report, begun);
        for (check, story) in &report.violations {
            if mutant.found_by.contains(check) && !found.contains_key(check) {
                println!("{check} finds {}: {story}", mutant.name);
                // A line of a log is long.
                let what = story.lines().next().unwrap_or_default().chars().take(100).collect();
                found.insert(*check, Found { round, what });
            }
        }
        if mutant.found_by.iter().all(|check| found.contains_key(check)) {
            break;
        }
        for (check, story) in report.violations.iter().filter(|(check, _)| !found.contains_key(check)) {
            println!("{check} is not for {}: {story}", mutant.name);
        }
        if round == mutants::ROUNDS {
            keep(arguments.keep.as_ref(), mutant.name, &report);
        }
    }
    (mutant, found)
}

fn announce(what: &str, report: &Report, begun: Instant) {
    let Report { history, injected, violations, .. } = report;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{what}: {} calls, {} faults, {} violations in {took:.1} s",
        history.len(),
        injected.len(),
        violations.len()
    );
}

/// Writes down what tells how it came about, if there is a folder for that, and says where.
fn keep(folder: Option<&PathBuf>, name: &str, report: &Report) {
    let Some(folder) = folder.map(|folder| folder.join(name)) else { return };
    fs::create_dir_all(&folder).expect("the folder can be made");
    let history: Vec<String> = report.history.iter().map(|record| format!("{record}\n")).collect();
    let stories: Vec<&str> = report.violations.iter().map(|(_, story)| story.as_str()).collect();
    let [auth, users] = &report.logs;
    let files = [
        ("history", &history.concat()),
        ("stories", &stories.concat()),
        ("auth.log", auth),
        ("users.log", users),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("a file can be written");
    }
    println!("kept in {}", folder.display());
}

fn binaries(folder: Option<&PathBuf>) -> Binaries {
    let folder = folder.cloned().unwrap_or_else(|| {
        let program = std::env::current_exe().expect("this program is somewhere");
        program.parent().expect("in a folder").to_owned()
    });
    let program = |name: &str| -> &'static str {
        let path = folder.join(name);
        assert!(path.exists(), "{} is not there: build the package e2e", path.display());
        Box::leak(path.display().to_string().into_boxed_str())
    };
    Binaries { auth: program("auth-service-under-test"), users: program("users-service-under-test") }
}
