//! Connections to PostgreSQL that its operator ends, and a server that has no place for any.

use std::time::Duration;

use e2e::{Cluster, Engine, Processes, Service, Settings};

use super::witness::{Witness, impatient};
use crate::crashes::BINARIES;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_ended_again_and_again_cost_no_more_than_what_was_under_way() {
    let pair = Processes::start_with(BINARIES, impatient(Settings::on(Engine::Postgres))).await;
    let witness = Witness::of(&pair).await;
    let mut ended = 0;
    for round in 0..20_u8 {
        let (_, cut) = tokio::join!(witness.crowd(2), async {
            tokio::time::sleep(Duration::from_millis(5 * u64::from(round))).await;
            let one =
                pair.data().cut_one_connection([Service::Auth, Service::Users][usize::from(round % 2)]).await;
            usize::from(one)
                + pair.data().cut_connections(Service::Auth).await
                + pair.data().cut_connections(Service::Users).await
        });
        ended += cut;
    }
    assert!(ended > 40, "there was hardly anything to end: {ended}");
    witness.goes_on().await;
    println!("{ended} connections were ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_place_for_a_connection_is_an_outage_until_it_has_one() {
    let server = Cluster::start(&["max_connections=30"]).await;
    let settings = impatient(Settings::on(Engine::Postgres)).at(&server);
    let pair = Processes::start_with(BINARIES, settings).await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    let taken = server.take_every_connection().await;
    witness.nobody_is_served().await;
    drop(taken);
    witness.goes_on().await;
}
