use chrono::TimeDelta;

use crate::Error;
use crate::commands::{ChangePassword, DisableAccount, SetPassword, SignUp};
use crate::domain::{Account, Attempt, AttemptId, Client, ClientAddress, Purpose};
use crate::ports::{Reader as _, Store as _, Transaction as _};
use crate::testing::{PASSWORD, World};
use identity::Username;

const NEW: &str = "an entirely new one";
const REQUEST_ID: &str = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c";

fn from(address: &str) -> Client {
    Client::new("a test", Some(address.parse().unwrap()))
}

fn attempt(username: &str) -> Attempt {
    let username = Username::parse(username).unwrap();
    Attempt { purpose: Purpose::LogIn, username, address: ClientAddress::of(None) }
}

async fn fail(world: &World, times: u32, username: &str, address: &str) {
    for _ in 0..times {
        let failed = world.log_in_from(from(address), username, "wrong").await;
        assert!(matches!(failed, Err(Error::InvalidCredentials)), "{failed:?}");
    }
}

fn refused<T>(outcome: Result<T, Error>, seconds: u64) -> bool {
    matches!(outcome, Err(Error::RateLimited { retry_after }) if retry_after.as_secs() == seconds)
}

/// Reserves an attempt that nobody decides.
async fn leave_undecided(world: &World, number: u128, username: &str) {
    let (attempt, mut tx) = (attempt(username), world.commands.store.begin().await.unwrap());
    let standing = tx.lock_standing(&attempt).await.unwrap();
    tx.reserve_attempt(AttemptId::from_random(number), &attempt, standing.lapse_time()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn undecided(world: &World, username: &str) -> u32 {
    world.commands.store.reader().standing(&attempt(username)).await.unwrap().undecided.of_account
}

async fn sign_up(world: &World, name: &str, password: &str, id: &str) -> Result<Account, Error> {
    let policy = &world.commands.passwords;
    let command = SignUp::parse(policy, name, password.to_owned(), id, &World::client());
    command.map_err(Error::InvalidFields)?.execute(&world.commands).await
}

#[tokio::test]
async fn too_many_failures_are_refused_without_a_hash_whether_or_not_there_is_such_an_account() {
    let world = World::new();
    world.signed_up("alice").await;
    for name in ["alice", "nobody"] {
        fail(&world, 5, name, "192.0.2.1").await;
        let before = world.hashes();
        let again = world.log_in_from(from("192.0.2.1"), &name.to_uppercase(), PASSWORD).await;
        assert!(refused(again, 1), "{name}");
        assert_eq!(world.hashes(), before, "{name}");
    }
}

#[tokio::test]
async fn a_delay_ends_by_itself_and_the_next_one_is_longer() {
    let world = World::new();
    world.signed_up("alice").await;
    fail(&world, 5, "alice", "192.0.2.1").await;
    for seconds in [1, 2, 4] {
        assert!(refused(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await, seconds));
        world.clock.advance(TimeDelta::seconds(seconds.try_into().unwrap()));
        fail(&world, 1, "alice", "192.0.2.1").await;
    }
    world.clock.advance(TimeDelta::seconds(8));
    assert!(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await.is_ok());
    fail(&world, 5, "alice", "192.0.2.1").await;
}

#[tokio::test]
async fn one_address_does_not_delay_another_before_a_hundred_failures() {
    let world = World::new();
    world.signed_up("alice").await;
    for attacker in 0..19 {
        fail(&world, 5, "alice", &format!("192.0.2.{attacker}")).await;
    }
    fail(&world, 4, "alice", "192.0.2.19").await;
    assert!(world.log_in_from(from("198.51.100.1"), "alice", PASSWORD).await.is_ok(), "99 failures");
    fail(&world, 1, "alice", "192.0.2.19").await;
    assert!(refused(world.log_in_from(from("198.51.100.1"), "alice", PASSWORD).await, 1));
    world.clock.advance(TimeDelta::seconds(1));
    assert!(world.log_in_from(from("198.51.100.1"), "alice", PASSWORD).await.is_ok(), "the delay ends");
}

#[tokio::test]
async fn an_address_that_fails_with_many_accounts_is_refused() {
    let world = World::new();
    world.signed_up("alice").await;
    for number in 0..60 {
        fail(&world, 5, &format!("user{number}"), "192.0.2.1").await;
    }
    assert!(refused(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await, 900));
    assert!(world.log_in_from(from("192.0.2.2"), "alice", PASSWORD).await.is_ok());
    world.clock.advance(TimeDelta::minutes(15));
    assert!(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_right_password_of_an_inactive_account_is_neither_a_failure_nor_a_success() {
    let world = World::new();
    let id = world.signed_up("alice").await;
    DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
    fail(&world, 4, "alice", "192.0.2.1").await;
    for _ in 0..3 {
        let inactive = world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await;
        assert!(matches!(inactive, Err(Error::AccountInactive)));
    }
    fail(&world, 1, "alice", "192.0.2.1").await;
    assert!(refused(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await, 1));
}

#[tokio::test]
async fn a_password_that_is_set_by_another_forgets_the_failures_of_the_account() {
    let world = World::new();
    let id = world.signed_up("alice").await;
    fail(&world, 5, "alice", "192.0.2.1").await;
    let policy = &world.commands.passwords;
    let command = SetPassword::parse(policy, &id.to_string(), NEW.into(), 0).unwrap();
    command.execute(&world.commands).await.unwrap();
    assert!(world.log_in_from(from("192.0.2.1"), "alice", NEW).await.is_ok());
}

#[tokio::test]
async fn changing_a_password_is_counted_by_itself() {
    let world = World::new();
    let opened = world.logged_in("alice").await;
    let principal = world.principal(&opened.token).await.unwrap();
    let change = async |current: &str| {
        let (policy, client) = (&world.commands.passwords, from("192.0.2.1"));
        let command =
            ChangePassword::parse(policy, principal.clone(), current.into(), NEW.into(), client).unwrap();
        command.execute(&world.commands).await
    };
    for _ in 0..5 {
        assert!(matches!(change("wrong").await, Err(Error::CurrentPasswordMismatch)));
    }
    assert!(refused(change(PASSWORD).await, 1));
    assert!(world.is_good(&opened.token).await, "the session lives on");
    assert!(world.log_in_from(from("192.0.2.1"), "alice", PASSWORD).await.is_ok());
    world.clock.advance(TimeDelta::seconds(1));
    assert!(change(PASSWORD).await.is_ok());
}

#[tokio::test]
async fn who_never_gets_to_hash_has_tried_nothing() {
    let world = World::new();
    world.signed_up("alice").await;
    for _ in 0..20 {
        world.hasher.refuse_next_turn();
        assert!(matches!(world.log_in("alice", "wrong").await, Err(Error::HasherBusy { .. })));
    }
    world.hasher.be_busy(true);
    for _ in 0..20 {
        assert!(matches!(world.log_in("alice", "wrong").await, Err(Error::HasherBusy { .. })));
    }
    world.hasher.be_busy(false);
    assert_eq!(undecided(&world, "alice").await, 0);
    assert!(world.log_in("alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn others_that_are_undecided_are_waited_for_and_are_no_failures() {
    let world = World::new();
    world.signed_up("alice").await;
    for number in 0..5 {
        leave_undecided(&world, number, "alice").await;
    }
    let before = world.clock.now();
    assert!(matches!(world.log_in("alice", PASSWORD).await, Err(Error::HasherBusy { .. })));
    assert!(world.clock.now() > before, "it waited for a turn");
    world.signed_up("bobby").await;
    assert!(world.log_in("bobby", PASSWORD).await.is_ok(), "others are not kept waiting");
    world.clock.advance(TimeDelta::seconds(60));
    assert!(world.log_in("alice", PASSWORD).await.is_ok(), "those whose process died lapse");
}

#[tokio::test]
async fn a_repeated_sign_up_waits_for_others_that_are_undecided() {
    let world = World::new();
    sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.unwrap();
    for number in 0..5 {
        leave_undecided(&world, number, "alice").await;
    }
    let before = world.clock.now();
    assert!(matches!(sign_up(&world, "alice", PASSWORD, REQUEST_ID).await, Err(Error::HasherBusy { .. })));
    assert!(world.clock.now() > before, "it waited for a turn");
    world.clock.advance(TimeDelta::seconds(60));
    assert!(sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.is_ok());
}

#[tokio::test]
async fn every_attempt_is_settled() {
    let world = World::new();
    world.signed_up("alice").await;
    world.log_in("alice", PASSWORD).await.unwrap();
    fail(&world, 2, "alice", "192.0.2.1").await;
    assert_eq!(undecided(&world, "alice").await, 0);
}

#[tokio::test]
async fn a_repeated_sign_up_is_no_place_to_guess_at_passwords() {
    let world = World::new();
    sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.unwrap();
    for _ in 0..5 {
        let guess = sign_up(&world, "alice", "another good password", REQUEST_ID).await;
        assert!(matches!(guess, Err(Error::RequestIdReused)));
    }
    assert!(refused(sign_up(&world, "alice", PASSWORD, REQUEST_ID).await, 1));
    assert!(refused(world.log_in("alice", PASSWORD).await, 1), "they count as log-ins");
    world.clock.advance(TimeDelta::seconds(1));
    assert!(sign_up(&world, "alice", PASSWORD, REQUEST_ID).await.is_ok());
}

#[tokio::test]
async fn sign_ups_are_counted_by_address_also_those_of_a_name_that_is_taken() {
    let world = World::new();
    for number in 0..150 {
        world.signed_up(&format!("user{number}")).await;
        assert!(matches!(sign_up(&world, "user0", PASSWORD, "").await, Err(Error::UsernameTaken(_))));
    }
    assert!(refused(sign_up(&world, "alice", PASSWORD, "").await, 3600));
    world.clock.advance(TimeDelta::hours(1));
    assert!(sign_up(&world, "alice", PASSWORD, "").await.is_ok());
}

#[tokio::test]
async fn a_sign_up_that_nobody_had_time_for_does_not_count() {
    let world = World::new();
    for _ in 0..400 {
        world.hasher.refuse_next_turn();
        assert!(matches!(sign_up(&world, "alice", PASSWORD, "").await, Err(Error::HasherBusy { .. })));
    }
    assert!(sign_up(&world, "alice", PASSWORD, "").await.is_ok());
}
