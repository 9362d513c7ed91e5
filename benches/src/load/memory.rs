//! How large the services become.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::sleep;

use super::Bench;
use super::cost_per_call::start_echo;
use super::figures::{Figure, Section, Unit};
use super::home::{Auth, Home};
use super::process::Process;
use crate::drive::{Call, Connection, Window, as_f64, open_loop};
use crate::usage::{most_resident_kib, resident_kib};

/// How many times as many log-ins as can be hashed.
const STORM: f64 = 20.0;
/// Connections that do nothing.
const IDLE: usize = 2_000;
/// Until a server has done whatever it does afterwards.
const SETTLES: Duration = Duration::from_secs(1);
/// Until it has given back what it had for a crowd that left.
const GIVES_BACK: Duration = Duration::from_secs(3);

/// What may be used, in MiB.
const BASE: f64 = 20.0;
const BEYOND_HASHES: f64 = 64.0;
/// Of one hash, by auth-service's default parameters.
const HASH: f64 = 19_456.0 / 1024.0;

/// Measures.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let token = {
        let auth = home.auth().await;
        let token = home.token(&auth).await;
        auth.process.end().await;
        token
    };
    let call = Call::get_current_session(&token);
    let storm_rate = STORM * bench.argon2_rate(2.0).await.a_cpu_second;
    let permits = as_f64(bench.permits);
    let (mut bases, mut storms, mut growths) = (Vec::new(), Vec::new(), Vec::new());
    let (mut idle, mut left, mut echos, mut users_bases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench.progress("memory", round);
        let auth = home.auth().await;
        succeeds(&call, &auth.connection().await).await;
        sleep(SETTLES).await;
        let base = resident_kib(auth.process.id()) / 1024.0;
        let target = auth.target(16 * 32).await;
        let window = Window::new(Duration::ZERO, bench.window);
        open_loop(&target, &home.log_ins(), storm_rate, window).await;
        let most = most_resident_kib(auth.process.id()) / 1024.0;
        auth.process.end().await;
        bases.push(base);
        storms.push(most);
        growths.push(most - base);
        let auth = home.auth().await;
        let crowd = a_crowd(&auth.process, auth.public, &call).await;
        idle.push(crowd.each);
        left.push(crowd.left);
        let echo = start_echo(bench, home, &auth, &token).await;
        echos.push(a_crowd(&echo, echo.addresses[0], &call).await.each);
        echo.end().await;
        users_bases.push(base_of_users(home, &auth, &token).await);
        auth.process.end().await;
    }
    let figures = vec![
        Figure::median("after the start, one call answered, nothing hashed", Unit::Mib, bases).at_most(BASE),
        Figure::median("the most through a storm of log-ins", Unit::Mib, storms),
        Figure::median("of that beyond the first figure", Unit::Mib, growths)
            .at_most(permits.mul_add(HASH, BEYOND_HASHES)),
        Figure::median("a connection that had one call and is idle", Unit::Kib, idle).at_most(8.0),
        Figure::median("the same of the echo server, which is tonic's own", Unit::Kib, echos),
        Figure::median("what is left when they have all gone", Unit::Mib, left),
        Figure::median("users-service after the start, one call answered", Unit::Mib, users_bases)
            .at_most(BASE),
    ];
    let note = format!(
        "Resident memory of the process, auth-service's but for the last line. The storm: {storm_rate:.0} log-ins a second for {:.0} s; {permits:.0} hashes \
         at a time, each of 19 MiB. Idle connections: what {IDLE} of them add, divided by their number; and beyond what there was \
         before they came, {} s after they went.",
        bench.window.as_secs_f64(),
        GIVES_BACK.as_secs()
    );
    Section { title: "Memory", figures, notes: vec![note] }
}

/// In MiB.
async fn base_of_users(home: &Home, auth: &Auth, token: &str) -> f64 {
    let users = home.users(auth).await;
    let connection = Connection::open(users.addresses[0]).await.expect("it listens");
    let call = Call::get_current_user(token);
    // Until it has heard of the account.
    while !call.make(&connection).await.is_ok() {}
    sleep(SETTLES).await;
    let base = resident_kib(users.id()) / 1024.0;
    users.end().await;
    base
}

/// What many connections take.
struct Crowd {
    /// Each, in KiB.
    each: f64,
    /// All of them when they have gone, in MiB.
    left: f64,
}

async fn a_crowd(server: &Process, address: SocketAddr, call: &Call) -> Crowd {
    let open = async || Connection::open(address).await.expect("it listens");
    // Whatever the server makes once, it has made after these.
    let first = open().await;
    stream::iter(0..1000).for_each_concurrent(16, async |_| succeeds(call, &first).await).await;
    sleep(SETTLES).await;
    let before = resident_kib(server.id());
    let come = async |_| {
        let connection = open().await;
        succeeds(call, &connection).await;
        connection
    };
    let connections: Vec<Connection> = stream::iter(0..IDLE).map(come).buffer_unordered(16).collect().await;
    sleep(SETTLES).await;
    let each = (resident_kib(server.id()) - before) / as_f64(connections.len());
    drop(connections);
    sleep(GIVES_BACK).await;
    Crowd { each, left: (resident_kib(server.id()) - before) / 1024.0 }
}

async fn succeeds(call: &Call, connection: &Connection) {
    let ending = call.make(connection).await;
    assert!(ending.is_ok(), "a call ended {}", ending.label);
}
