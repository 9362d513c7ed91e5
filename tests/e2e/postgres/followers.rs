//! The account feed between replicas: how soon what happened shows on the other ones, that one of them brings it and another
//! takes over when that one dies, and what all of it costs a database while nothing happens.

use std::time::{Duration, Instant};

use api::identity::DisableAccountRequest;
use api::users::{ListUsersRequest, User, UserState};
use e2e::{Caller, Pair, Processes, Service, Settings, eventually, sign_up, sql};
use tokio::time::sleep;

use crate::crashes::BINARIES;

const REPLICAS: usize = 2;
const CHANGES: usize = 200;
/// Long enough for whatever happens every few seconds to happen some times.
const IDLE: Duration = Duration::from_secs(10);

/// Whoever brings the feed, and how often that was somebody else before.
async fn lease(database: &str) -> String {
    sql(database, "select lease_owner, fence from feed").await
}

/// How a list shows the user of this name, whether the feed has brought it or not.
async fn listed(caller: &Caller, username: &str) -> Option<User> {
    let request = ListUsersRequest { username_prefix: username.into(), ..Default::default() };
    let users = caller.ok(request).await.message.users;
    users.into_iter().find(|user| user.username == username)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_shows_on_the_other_replica_and_one_of_them_brings_it_all() {
    let app = Pair::start_with(Settings::replicated(REPLICAS).unlimited()).await;
    let database = app.data().url(Service::Users);
    app.signed_up("first").await;
    eventually("somebody to lead", async || listed(&app.admin, "first").await).await;
    let leader = lease(&database).await;

    let mut waits = Vec::new();
    for number in 0..CHANGES / 2 {
        let username = format!("newcomer{number}");
        let account_id = app.signed_up(&username).await.user_id;
        waits.push(shows(&app, number, &username, UserState::Active).await);
        // Past users-service, which would apply it on the spot.
        app.full.ok(DisableAccountRequest { account_id, ..Default::default() }).await;
        waits.push(shows(&app, number + 1, &username, UserState::Inactive).await);
    }
    waits.sort_unstable();
    println!(
        "{} changes, from the OK to a list without a token: p50 {:.1?}, p95 {:.1?}, max {:.1?}",
        waits.len(),
        waits[waits.len() / 2],
        waits[waits.len() * 95 / 100],
        waits[waits.len() - 1]
    );
    assert_eq!(lease(&database).await, leader, "one of them brought it all");
}

/// How long it takes to show on a replica, in this state.
async fn shows(app: &Pair, replica: usize, username: &str, state: UserState) -> Duration {
    let began = Instant::now();
    let replica = app.admin.of_replica(replica % REPLICAS);
    eventually("the change", async || {
        listed(&replica, username).await.filter(|user| user.state() == state).map(drop)
    })
    .await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_that_brings_the_feed_is_killed_the_other_takes_over_and_misses_nothing() {
    let mut pair = Processes::prepared(BINARIES, Settings::replicated(REPLICAS).unlimited()).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let database = pair.data().url(Service::Users);
    let mut leaders = Vec::new();
    // Whichever of them had the lease before: the second that is killed has it for certain.
    for killed in 0..REPLICAS {
        let alive = pair.resume(&root).of_replica(1 - killed);
        let name = |number: usize| format!("round{killed}.{number}");
        for number in 0..10 {
            pair.anonymous.ok(sign_up(&name(number))).await;
        }
        pair.kill_one(Service::Users, killed).await;
        let since = Instant::now();
        for number in 10..20 {
            pair.anonymous.ok(sign_up(&name(number))).await;
        }
        for number in 0..20 {
            eventually("everybody", async || listed(&alive, &name(number)).await).await;
        }
        println!("everybody shows {:.1?} after process {killed} was killed", since.elapsed());
        leaders.push(lease(&database).await);
        pair.run(Service::Users, None).await;
        pair.ready().await;
    }
    assert_ne!(leaders[0], leaders[1], "the other took over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_has_little_to_do_while_nothing_happens() {
    let app = Pair::start_with(Settings::replicated(REPLICAS).unlimited()).await;
    let urls = [Service::Auth, Service::Users].map(|service| app.data().url(service));
    let count = async |url: &str| -> i64 {
        let count = "select xact_commit from pg_stat_database where datname = current_database()";
        sql(url, count).await.parse().expect("a number")
    };
    let before = [count(&urls[0]).await, count(&urls[1]).await];
    // To be idle is what this is about.
    sleep(IDLE).await;
    let after = [count(&urls[0]).await, count(&urls[1]).await];
    let each_second = [0, 1].map(|at| (after[at] - before[at]) / i64::try_from(IDLE.as_secs()).expect("few"));
    println!(
        "transactions a second of {REPLICAS} idle replicas: {} on auth-service's database, {} on users-service's",
        each_second[0], each_second[1]
    );
    assert!(each_second.iter().all(|count| *count < 50), "{each_second:?}");
}
