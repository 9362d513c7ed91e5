//! Disks that are full, and one that cannot be written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use e2e::{Cluster, Engine, Processes, Service, Settings, eventually};

use super::witness::{Witness, impatient};
use crate::crashes::BINARIES;

/// What a disk has room for, in MiB: a server of PostgreSQL, its databases, and some of its log.
const DISK: u32 = 256;
/// How many looks at a full disk there are at most until nothing can be written any more: a page has room for some rows more.
const LOOKS: usize = 100;

/// Looks until somebody hears that there is no room.
async fn there_is_no_room(witness: &Witness) {
    for _ in 0..LOOKS {
        if !witness.is_everybody_served().await {
            return;
        }
    }
    panic!("there is room for everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_postgres_is_an_outage_until_there_is_room() {
    let server = Cluster::start_on_small_disk(DISK, &[]).await;
    let pair = Processes::start_with(BINARIES, impatient(Settings::on(Engine::Postgres)).at(&server)).await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    server.fill_disk().await;
    there_is_no_room(&witness).await;
    witness.crowd(4).await;
    server.empty_disk().await;
    witness.goes_on().await;
}

/// Of one service or the other, whose files do not grow any more.
async fn full_disk_under_a_file(service: Service) {
    let settings = impatient(Settings::on(Engine::Sqlite)).open_to_faults();
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    pair.limit_file_size(service, 0, Some(1));
    there_is_no_room(&witness).await;
    witness.crowd(4).await;
    pair.limit_file_size(service, 0, None);
    witness.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_file_of_auth_service_is_an_outage_until_there_is_room() {
    full_disk_under_a_file(Service::Auth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_file_of_users_service_is_an_outage_until_there_is_room() {
    full_disk_under_a_file(Service::Users).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_does_not_start_in_a_folder_that_cannot_be_written_and_does_when_it_can() {
    let settings = impatient(Settings::on(Engine::Sqlite)).open_to_faults();
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let witness = Witness::of(&pair).await;
    witness.everybody_is_served().await;
    for service in [Service::Users, Service::Auth] {
        pair.end_one(service, 0).await;
    }
    let folder = pair.home().to_owned();
    let files = [Service::Auth, Service::Users].map(|service| pair.data().file(service));
    let protect = |is_protected: bool| {
        for file in &files {
            fs::set_permissions(file, Permissions::from_mode(if is_protected { 0o400 } else { 0o600 }))
                .expect("its owner may");
        }
        let mode = if is_protected { 0o500 } else { 0o700 };
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("its owner may");
    };
    protect(true);
    for service in [Service::Auth, Service::Users] {
        let refused = pair.command_output(service, &["serve"]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{service:?}: {said}");
        let file = files[service as usize].display().to_string();
        assert!(said.contains(&file) && said.contains("cannot be opened"), "{service:?}: {said}");
    }
    protect(false);
    for service in [Service::Auth, Service::Users] {
        pair.run_one(service, 0).await;
    }
    pair.ready().await;
    eventually("its files to be used", async || witness.is_everybody_served().await.then_some(())).await;
    witness.goes_on().await;
}
