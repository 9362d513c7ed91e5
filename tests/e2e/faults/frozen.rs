//! A process that stops in its tracks, as one does that is swapped out or whose machine stands still: its connections stay, and
//! nobody answers on them. `postgres::stuck` has the same of PostgreSQL.

use e2e::{Processes, Service, Settings};

use super::witness::{OF_AUTH, Witness, impatient};
use crate::crashes::BINARIES;

async fn frozen(service: Service, go_on: usize) {
    let mut pair = Processes::start_with(BINARIES, impatient(Settings::default())).await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    for number in 0..pair.replicas() {
        pair.freeze_one(service, number).await;
    }
    assert_eq!(witness.look().await, go_on, "calls that go on");
    for number in 0..pair.replicas() {
        pair.thaw_one(service, number);
    }
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auth_service_that_stands_still_is_an_outage_until_it_goes_on() {
    frozen(Service::Auth, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_service_that_stands_still_hurts_its_own_callers_only() {
    frozen(Service::Users, OF_AUTH).await;
}
