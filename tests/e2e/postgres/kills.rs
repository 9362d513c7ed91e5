//! Processes are killed two hundred times, one after the other, under load over two replicas of each service: nothing that
//! was acknowledged is lost, whatever its process was about when it died.

use std::sync::Arc;

use api::users::{CreateUserRequest, UserRole};
use e2e::{Caller, PASSWORD, Person, Processes, Service, Settings};
use tokio::task::JoinSet;

use super::load::{Crew, Load};
use crate::crashes::BINARIES;

/// How often one is killed.
const KILLS: usize = 200;
const REPLICAS: usize = 2;
const CLIENTS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_however_often_processes_are_killed() {
    let mut pair = Processes::prepared(BINARIES, Settings::replicated(REPLICAS).unlimited()).await;
    pair.run(Service::Auth, None).await;
    pair.run(Service::Users, None).await;
    pair.ready().await;
    let root = pair.super_admin().await;
    let create = CreateUserRequest {
        username: "admin".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: String::new(),
    };
    root.ok(create).await;
    let admin = Person::log_in(&pair.anonymous, "admin").await;
    let load = Arc::new(Load::on_mortals(Crew {
        anonymous: pair.anonymous.clone(),
        admin: Caller::clone(&admin),
        super_admin: Caller::clone(&root),
    }));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).client());
    }
    for kill in 0..KILLS {
        let service = [Service::Auth, Service::Users][kill % 2];
        load.are_served(1 + kill % 7).await;
        pair.kill_one(service, kill / 2 % REPLICAS).await;
        pair.run(service, None).await;
    }
    load.stop();
    clients.join_all().await;
    println!("{CLIENTS} clients, processes killed {KILLS} times:\n{}", load.tally);
    assert!(load.errors() > KILLS / 4, "nobody noticed that processes died");
    println!("facts that held: {}", load.check().await);
}
