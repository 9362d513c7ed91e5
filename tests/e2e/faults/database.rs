//! The way to PostgreSQL broken in every way in which processes and networks fail, for both services at once.
//!
//! A host that is gone without a word is `postgres::silence`.

use std::time::Duration;

use e2e::{Engine, Mode, Processes, Proxy, Service, Settings, Way};
use futures::future::join_all;

use super::witness::{Witness, impatient};
use crate::crashes::BINARIES;

fn proxies(pair: &Processes) -> impl Iterator<Item = &Proxy> {
    [Service::Auth, Service::Users].into_iter().flat_map(|service| pair.proxies(Way::ToDatabase(service)))
}

async fn set(pair: &Processes, mode: Mode) {
    join_all(proxies(pair).map(|proxy| proxy.set(mode))).await;
}

async fn pair() -> Processes {
    Processes::start_with(BINARIES, impatient(Settings::on(Engine::Postgres)).proxied()).await
}

/// Everything is an outage while it lasts, and then nothing is.
async fn broken(how: Mode) {
    let pair = pair().await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    set(&pair, how).await;
    // Whoever was under way may be answered still, so the first look is not counted.
    witness.look().await;
    witness.nobody_is_served().await;
    set(&pair, Mode::Pass).await;
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_refuses_connections_is_an_outage_until_it_takes_them() {
    broken(Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_connections_are_reset_is_an_outage_until_they_are_not() {
    broken(Mode::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_cut_off_by_a_network_in_pieces_is_an_outage_until_it_is_whole() {
    broken(Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_a_byte_a_second_is_an_outage_until_it_answers_faster() {
    broken(Mode::Rate(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_garbage_is_an_outage_until_it_makes_sense() {
    broken(Mode::Garbage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_answers_are_lost_is_an_outage_until_they_come() {
    broken(Mode::SwallowReplies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_nothing_more_is_an_outage_until_it_does() {
    broken(Mode::HalfClose).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_database_that_are_reset_now_and_then_are_an_outage_now_and_then() {
    let pair = pair().await;
    let witness = Witness::of(&pair).await;
    for round in 0..20 {
        let (_, ()) = tokio::join!(witness.crowd(2), async {
            tokio::time::sleep(Duration::from_millis(5 * round)).await;
            join_all(proxies(&pair).map(Proxy::sever)).await;
        });
    }
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_the_database_that_takes_its_time_hurts_nobody() {
    let pair = pair().await;
    let witness = Witness::of(&pair).await;
    let (least, most) = (Duration::from_millis(1), Duration::from_millis(20));
    set(&pair, Mode::Delay { least, most }).await;
    for _ in 0..5 {
        witness.everybody_is_served().await;
    }
    set(&pair, Mode::Pass).await;
    witness.goes_on().await;
}
