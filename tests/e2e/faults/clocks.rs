//! Processes whose clock is wrong. On PostgreSQL that is the server's time as this process understands it.

use api::auth::{GetCurrentSessionRequest, LogOutRequest, RefreshSessionRequest, SignUpRequest};
use api::users::{GetCurrentUserRequest, ListUsersRequest};
use chrono::TimeDelta;
use e2e::{Person, Processes, Service, Settings, eventually, sign_up};

use super::witness::impatient;
use crate::crashes::BINARIES;

async fn pair(settings: Settings) -> Processes {
    Processes::start_with(BINARIES, impatient(settings).open_to_faults()).await
}

fn move_all(pair: &Processes, service: Service, offset: TimeDelta) {
    for number in 0..pair.replicas() {
        pair.move_clock(service, number, offset);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_the_clock_of_auth_service_and_not_by_that_of_users_service() {
    let pair = pair(Settings::default()).await;
    pair.anonymous.ok(sign_up("newcomer")).await;
    let newcomer = Person::log_in(&pair.anonymous, "newcomer").await;
    move_all(&pair, Service::Users, TimeDelta::hours(2));
    newcomer.ok(GetCurrentUserRequest::default()).await;
    move_all(&pair, Service::Users, TimeDelta::hours(-2));
    newcomer.ok(GetCurrentUserRequest::default()).await;
    move_all(&pair, Service::Auth, TimeDelta::minutes(31));
    newcomer.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    newcomer.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    let later = Person::log_in(&pair.anonymous, "newcomer").await;
    later.ok(GetCurrentUserRequest::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_falls_back_and_a_restart_with_it_bring_no_ended_session_back() {
    let mut pair = pair(Settings::default()).await;
    pair.anonymous.ok(sign_up("newcomer")).await;
    let gone = Person::log_in(&pair.anonymous, "newcomer").await;
    let newcomer = Person::log_in(&pair.anonymous, "newcomer").await;
    gone.ok(LogOutRequest {}).await;
    for restarts in [false, true] {
        move_all(&pair, Service::Auth, TimeDelta::minutes(-20));
        if restarts {
            for number in 0..pair.replicas() {
                pair.end_one(Service::Auth, number).await;
                pair.run_one(Service::Auth, number).await;
            }
            pair.ready().await;
        }
        let (gone, newcomer) = (pair.resume(&gone), pair.resume(&newcomer));
        gone.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
        gone.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
        newcomer.ok(GetCurrentUserRequest::default()).await;
        newcomer.ok(RefreshSessionRequest {}).await;
        move_all(&pair, Service::Auth, TimeDelta::zero());
        newcomer.ok(GetCurrentUserRequest::default()).await;
        gone.refused("UNAUTHENTICATED", GetCurrentUserRequest::default()).await;
    }
}

/// Who brings the feed is decided by a lease, and that by time: whoever is ahead takes it for over at once, whoever is behind
/// for good for ever.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_disagree_by_hours_and_jump_lose_nobody() {
    let pair = pair(Settings::default()).await;
    let super_admin = pair.super_admin().await;
    let offsets = [TimeDelta::zero(), TimeDelta::hours(1), TimeDelta::hours(-1)];
    let mut signed_up = 0;
    for round in 0..6 {
        for number in 0..pair.replicas() {
            pair.move_clock(Service::Users, number, offsets[(round + number) % offsets.len()]);
            pair.move_clock(Service::Auth, number, offsets[(2 * round + number) % offsets.len()] / 12);
        }
        for _ in 0..5 {
            let username = format!("newcomer{signed_up}");
            let request_id = format!("0198f0c2-7d1e-4cc3-98a4-{signed_up:012}");
            let request = SignUpRequest { request_id, ..sign_up(&username) };
            let first = pair.anonymous.ok(request.clone()).await.message.user_id;
            assert_eq!(pair.anonymous.ok(request).await.message.user_id, first, "a repeat is one");
            signed_up += 1;
        }
        eventually("everybody to be there once", async || {
            let all = ListUsersRequest {
                username_prefix: "newcomer".into(),
                include_total: true,
                ..Default::default()
            };
            let listed = super_admin.ok(all).await.message.total_size;
            assert!(listed <= signed_up, "{listed} of {signed_up}");
            (listed == signed_up).then_some(())
        })
        .await;
    }
}
