//! One round: nothing is stored, people come, things fail, everything is mended and looked at.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{Binaries, Cluster, Service, shapes};
use tokio::time::{Instant, sleep};

use crate::busy::{lasts, missed, unjudged};
use crate::checker::{Check, End, Findings, Invariant, check, check_guesses, check_unlimited, story};
use crate::driver::{By, Driver, Patience};
use crate::history::{Answer, Call, Does, Moment, Record, Role, Secret, Who};
use crate::mutants::Mutant;
use crate::nemesis::{Fault, Injected, Watch, name, recovery, schedule, torment};
use crate::rest::rest;
use crate::site::{Site, Store};
use crate::vault::{OF_THE_SUPER_ADMIN, found, traces_of};
use crate::workload::{self, Client, Mix, Operators};
use crate::world::{Held, World};

/// What a round is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the programs are.
    pub binaries: Binaries,
    /// Where data is kept.
    pub store: Store,
    /// What the schedule and the clients are made from.
    pub seed: u64,
    /// How many clients there are.
    pub clients: u64,
    /// What they do.
    pub mix: Mix,
    /// For how long at least.
    pub lasts: Duration,
    /// How many faults there are.
    pub faults: usize,
    /// Which.
    pub kinds: Vec<Fault>,
    /// Whether guesses at passwords are limited, as they are in production. Then nobody can do much else.
    pub limits_guesses: bool,
    /// The deliberate defect, if there is one.
    pub defect: Option<&'static Mutant>,
}

/// What came of a round.
#[derive(Debug)]
pub struct Report {
    /// Every call.
    pub history: Vec<Record>,
    /// What failed.
    pub injected: Vec<Injected>,
    /// What it was to do and did not; of a round with a deliberate defect nothing is asked.
    pub missed: Vec<String>,
    /// How long both sides took to agree in the end.
    pub agreed: Option<Duration>,
    /// What the processes of each service said.
    pub logs: [String; 2],
    /// How often each check looked at something.
    pub judged: BTreeMap<Check, usize>,
    /// What must not be, with its story.
    pub violations: Vec<(Check, String)>,
}

/// What is not agreed upon by then never will be: a projector that died holds the lease for 10 s more.
const AGREES: Duration = Duration::from_secs(30);
/// A name that no client calls on.
const WATCHMAN: &str = "watchman";

/// Runs a round.
pub async fn run(plan: &Plan) -> Report {
    let mut site = Site::start(plan).await;
    let operators = Operators::of(&site.processes);
    let driver = Arc::new(Driver::new(site.processes.by_every_way(), operators, plan.store.replicas()));
    let world = Arc::new(World::default());
    let watch = Box::pin(settle_in(&driver, &world, plan.seed)).await;
    site.measure().await;
    let nobody = "a super admin and an admin could not be made, and nothing failed";
    site.judge(Check::NobodyCanBegin, watch.is_none().then(|| nobody.to_owned()));
    let injected = if let Some(watch) = &watch {
        work(plan, &mut site, &driver, &world, watch).await
    } else {
        Vec::new()
    };
    if let Some(found) = plan.defect.and_then(|mutant| mutant.shows_in(&driver.history())) {
        return Report::new(plan, &site, &driver, injected, &found);
    }

    Box::pin(site.whole()).await;
    driver.over(site.processes.by_every_way());
    if let Some(watch) = &watch {
        let recovered = recovery(&driver, &world, watch, Instant::now()).await;
        let what = || "some process does not do what an admin may ask for, and nothing fails".to_owned();
        site.judge(Check::NotBack, recovered.contains(&None).then(what));
    }
    rest(&site, &driver).await;
    let mended = driver.now();
    Box::pin(last_looks(&driver, &world, plan.seed)).await;
    if !plan.limits_guesses {
        Box::pin(Client::new(&driver, &world, plan.seed).patient().deserve_denials()).await;
    }
    let mut operator = Client::new(&driver, &world, plan.seed).patient();
    let demoted = Box::pin(operator.demote_everybody()).await;
    let wrong = demoted.is_none().then(|| "a second super admin could not be made".to_owned());
    site.judge(Check::NoSecondSuperAdmin, wrong);
    if let Some(count) = demoted {
        let wrong = (count == 0).then(|| "none of the super admins could be demoted".to_owned());
        site.judge(Check::NobodyCanBeDemoted, wrong);
    }
    let (end, agreed) = Box::pin(agreement(&site, &driver, mended, plan.agrees())).await;

    let history = driver.history();
    let mut findings = check(&history, Some(&end));
    if plan.limits_guesses {
        findings.extend(check_guesses(&history));
    } else {
        findings.extend(check_unlimited(&history, Some(&end)));
    }
    Box::pin(outside(&mut site, &driver, &world, &history, &injected)).await;
    findings.extend(site.take_findings());
    let mut report = Report { agreed, ..Report::new(plan, &site, &driver, injected, &findings) };
    if plan.defect.is_none() {
        report.missed.extend(site.tables_of_nobody().await);
    }
    report
}

impl Plan {
    /// For how long it is waited until both sides agree: with a defect no longer than that it is seen that they never will, if
    /// that is what is looked for.
    fn agrees(&self) -> Duration {
        match self.defect {
            Some(mutant) if !mutant.found_by.iter().any(|check| check.invariant() == Invariant::I2) => {
                Duration::ZERO
            }
            // Where there is one process it has no lease to wait for.
            Some(_) if self.store == Store::Sqlite => Duration::from_secs(3),
            _ => AGREES,
        }
    }
}

impl Report {
    /// What is known of a round when it is over.
    fn new(plan: &Plan, site: &Site, driver: &Driver, injected: Vec<Injected>, findings: &Findings) -> Self {
        let history = driver.history();
        let missed = match plan.defect {
            Some(_) => Vec::new(),
            None => [missed(plan, &history, &injected), unjudged(plan, &findings.judged)].concat(),
        };
        Self {
            missed,
            injected,
            agreed: None,
            logs: [Service::Auth, Service::Users].map(|service| site.processes.log(service)),
            judged: findings.judged.clone(),
            violations: findings
                .violations
                .iter()
                .map(|found| (found.check, story(found, &history)))
                .collect(),
            history,
        }
    }
}

/// Clients work while things fail.
async fn work(
    plan: &Plan,
    site: &mut Site,
    driver: &Arc<Driver>,
    world: &Arc<World>,
    watch: &Watch,
) -> Vec<Injected> {
    let stop = Arc::new(AtomicBool::new(false));
    let working = {
        let (driver, world, stop, plan) =
            (Arc::clone(driver), Arc::clone(world), Arc::clone(&stop), plan.clone());
        tokio::spawn(async move {
            workload::run(&driver, &world, plan.seed, plan.clients, plan.mix, &stop).await;
        })
    };
    let begun = Instant::now();
    let steps = schedule(plan.seed, &plan.kinds, plan.faults, plan.store);
    let injected = torment(site, &steps, driver, world, watch).await;
    lasts(plan, driver, begun).await;
    stop.store(true, Ordering::Relaxed);
    working.await.expect("the clients end");
    injected
}

/// A super admin, a few whom nobody calls on, and a few for the others to begin with.
async fn settle_in(driver: &Arc<Driver>, world: &Arc<World>, seed: u64) -> Option<Watch> {
    let mut client = Client::new(driver, world, seed).patient();
    if !client.make_the_first_super_admin("superadmin").await {
        return None;
    }
    let mut super_admin = None;
    for _ in 0..2 {
        super_admin = client.log_in("superadmin", OF_THE_SUPER_ADMIN, true).await.or(super_admin);
    }
    let super_admin = super_admin?;
    let watch = watch(driver, world, &mut client, &super_admin).await?;
    for number in 0..6 {
        let name = world.new_name();
        let role = if number < 3 { Role::Admin } else { Role::User };
        client.create_user(&super_admin, &name, role).await;
        let made = world.everybody().into_iter().find(|person| person.name == name);
        if let Some(secret) = made.and_then(|person| person.secrets.last().copied()) {
            client.log_in(&name, secret, false).await;
        }
    }
    Some(watch)
}

/// An admin, and somebody for each process on whom it acts, of whom nobody else knows.
async fn watch(
    driver: &Arc<Driver>,
    world: &Arc<World>,
    client: &mut Client,
    super_admin: &Held,
) -> Option<Watch> {
    let secret = world.new_secret();
    let watchman = watchman(driver, client, secret).await?;
    let by = By { replica: 0, token: Some(&super_admin.token), patience: Patience::Much };
    if !client.make_admin(by, super_admin, WATCHMAN).await {
        return None;
    }
    let wards: Vec<String> = (0..driver.replicas()).map(|number| format!("warded{number}")).collect();
    for name in &wards {
        client.create_user(super_admin, name, Role::User).await;
        world.keep_to_oneself(name);
    }
    Some(Watch { watchman, wards })
}

async fn watchman(driver: &Arc<Driver>, client: &mut Client, secret: Secret) -> Option<Held> {
    let call = Call::new(Does::SignUp, Who::Nobody).on(WATCHMAN).setting(secret);
    let message = api::auth::SignUpRequest {
        username: WATCHMAN.into(),
        password: driver.vault.password(secret),
        request_id: String::new(),
    };
    let by = By { replica: 0, token: None, patience: Patience::Much };
    let read =
        |made: &api::auth::SignUpResponse| Answer { id: Some(made.user_id.clone()), ..Default::default() };
    driver.make(by, call, message, read).await.ok()?;
    for _ in 0..20 {
        if let Some(held) = client.log_in(WATCHMAN, secret, false).await {
            return Some(held);
        }
    }
    None
}

/// Everything is mended: each token is shown to each process once more, each password tried, and each list read.
async fn last_looks(driver: &Arc<Driver>, world: &Arc<World>, seed: u64) {
    let mut client = Client::new(driver, world, seed).patient();
    client.probe(&world.tokens()).await;
    for person in world.everybody() {
        for secret in person.secrets {
            client.log_in(&person.name, secret, false).await;
        }
    }
    for _ in 0..4 {
        client.list_users().await;
        client.forge_a_token().await;
    }
}

/// What is stored once both sides agree, and how long that took.
async fn agreement(
    site: &Site,
    driver: &Driver,
    mended: Moment,
    patience: Duration,
) -> (End, Option<Duration>) {
    let begun = Instant::now();
    loop {
        let end = site.stored(mended, driver.now()).await;
        if end.disagreements().is_empty() {
            return (end, Some(begun.elapsed()));
        }
        if begun.elapsed() >= patience {
            return (end, None);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What no call shows: what is in the logs, what is taken up, and who did not come back.
async fn outside(site: &mut Site, driver: &Driver, world: &World, history: &[Record], injected: &[Injected]) {
    let traces = secrets(site, driver, world);
    for service in [Service::Auth, Service::Users] {
        let log = site.processes.log(service);
        look_for_secrets(site, Check::SecretInLog, &format!("{} logs", name(service)), &traces, &log);
        site.look_for_panics(name(service), &log);
        site.look_at_all_of(service).await;
    }
    let commands = driver.operators.heard.text();
    site.look_for_panics("a command", &commands);
    for (who, said) in [
        ("callers are told", driver.heard.text()),
        ("commands say", commands),
        ("metrics say", site.take_pages()),
        ("PostgreSQL logs", site.cluster().map(Cluster::log).unwrap_or_default()),
    ] {
        look_for_secrets(site, Check::SecretTold, who, &traces, &said);
    }
    site.count_rows(history).await;
    site.count_connections().await;
    for Injected { fault, overlaps, recovered, .. } in injected {
        let other = overlaps.map(|other| format!(" and \"{other}\"")).unwrap_or_default();
        let what =
            || format!("after \"{fault}\"{other} some process did not do any more what an admin may ask for");
        site.judge(Check::NotBack, recovered.contains(&None).then(what));
    }
}

/// Looks through what was said, line by line.
fn look_for_secrets(site: &mut Site, check: Check, who: &str, traces: &[String], said: &str) {
    site.judged(check, said.lines().count());
    if let Some(line) = found(traces, said) {
        site.judge(check, Some(format!("{who}: {line}")));
    }
}

/// Every shape of what may be in no log.
fn secrets(site: &Site, driver: &Driver, world: &World) -> Vec<String> {
    let mut traces = driver.vault.traces();
    traces.extend(shapes(e2e::PASSWORD.as_bytes()));
    for name in ["peppers", "signing-key.pem", "full-token", "verify-token"] {
        let file = fs::read_to_string(site.processes.home().join(name)).expect("a file of the services");
        let of_file = traces_of(&file);
        assert!(!of_file.is_empty(), "there is no secret in {name}");
        traces.extend(of_file);
    }
    for held in world.tokens().iter().take(1) {
        // The header of a token is the same in all of them.
        traces.extend(shapes(held.token.split('.').next().unwrap_or_default().as_bytes()));
    }
    traces.push("$argon2".to_owned());
    traces
}
