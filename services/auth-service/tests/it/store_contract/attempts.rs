//! Attempts at passwords, and what is counted of them.

use auth_core::domain::{
    AddressCount, Attempt, AttemptId, ClientAddress, Failures, Purpose, Standing, Undecided,
};
use auth_core::ports::{Reader as _, Store, Transaction as _};
use chrono::TimeDelta;
use futures::future::join_all;

use super::engines::Engine;
use super::{in_tx, name};

fn address(text: &str) -> ClientAddress {
    ClientAddress::of(Some(text.parse().unwrap()))
}

fn attempt(purpose: Purpose, username: &str, from: &str) -> Attempt {
    Attempt { purpose, username: name(username), address: address(from) }
}

fn log_in(username: &str, from: &str) -> Attempt {
    attempt(Purpose::LogIn, username, from)
}

async fn standing<S: Store>(engine: &Engine<S>, attempt: &Attempt) -> Standing {
    engine.store.reader().standing(attempt).await.unwrap()
}

async fn reserve<S: Store>(engine: &Engine<S>, number: u128, attempt: &Attempt) {
    in_tx!(engine, tx => {
        let standing = tx.lock_standing(attempt).await.unwrap();
        tx.reserve_attempt(AttemptId::from_random(number), attempt, standing.lapse_time()).await.unwrap();
    });
}

async fn settle<S: Store>(
    engine: &Engine<S>,
    number: u128,
    attempt: &Attempt,
    outcome: impl FnOnce(&Standing) -> Standing,
) -> Standing {
    in_tx!(engine, tx => {
        let before = tx.lock_standing(attempt).await.unwrap();
        let after = outcome(&before);
        tx.settle_attempt(AttemptId::from_random(number), attempt, &before, &after).await.unwrap();
        after
    })
}

/// Reserves an attempt and lets it fail.
async fn fail<S: Store>(engine: &Engine<S>, attempt: &Attempt) -> Standing {
    reserve(engine, 0, attempt).await;
    settle(engine, 0, attempt, Standing::failed).await
}

fn counts(standing: &Standing) -> (u32, u32, u32) {
    let failures = |failures: Option<Failures>| failures.map_or(0, |failures| failures.count);
    (failures(standing.pair), failures(standing.account), standing.address.map_or(0, |count| count.count))
}

pub(super) async fn nothing_is_known_of_a_new_attempt<S: Store>(engine: &Engine<S>) {
    let standing = standing(engine, &log_in("alice", "192.0.2.1")).await;
    assert_eq!(counts(&standing), (0, 0, 0));
    assert_eq!(standing.undecided, Undecided::default());
}

pub(super) async fn an_attempt_is_undecided_until_it_is_settled_given_back_or_lapses<S: Store>(
    engine: &Engine<S>,
) {
    let here = log_in("Alice", "192.0.2.1");
    for number in 1..=3 {
        reserve(engine, number, &here).await;
    }
    let undecided =
        async |username: &str, from: &str| standing(engine, &log_in(username, from)).await.undecided;
    let all = |of_account, of_pair, of_address| Undecided { of_account, of_pair, of_address };
    assert_eq!(undecided("aLICE", "192.0.2.1").await, all(3, 3, 3));
    assert_eq!(undecided("alice", "192.0.2.2").await, all(3, 0, 0));
    assert_eq!(undecided("bobby", "192.0.2.1").await, all(0, 0, 3));
    let other = standing(engine, &attempt(Purpose::ChangePassword, "alice", "192.0.2.1")).await;
    assert_eq!(other.undecided, all(0, 0, 0));

    settle(engine, 1, &here, Standing::failed).await;
    in_tx!(engine, tx => tx.release_attempt(AttemptId::from_random(2)).await.unwrap());
    assert_eq!(undecided("alice", "192.0.2.1").await, all(1, 1, 1));
    engine.advance(TimeDelta::seconds(60));
    assert_eq!(undecided("alice", "192.0.2.1").await, all(0, 0, 0));
}

pub(super) async fn failures_are_kept_for_each_purpose_account_and_address<S: Store>(engine: &Engine<S>) {
    for _ in 0..2 {
        fail(engine, &log_in("Alice", "192.0.2.1")).await;
    }
    fail(engine, &log_in("alice", "2001:db8::1")).await;
    let known = async |attempt: &Attempt| counts(&standing(engine, attempt).await);
    assert_eq!(known(&log_in("alice", "192.0.2.1")).await, (2, 3, 2));
    assert_eq!(known(&log_in("alice", "2001:db8::ffff")).await, (1, 3, 1));
    assert_eq!(known(&log_in("alice", "192.0.2.3")).await, (0, 3, 0));
    assert_eq!(known(&log_in("bobby", "192.0.2.1")).await, (0, 0, 2));
    for purpose in [Purpose::ChangePassword, Purpose::RegisterAccount] {
        assert_eq!(known(&attempt(purpose, "alice", "192.0.2.1")).await, (0, 0, 0));
        fail(engine, &attempt(purpose, "alice", "192.0.2.1")).await;
        assert_eq!(known(&attempt(purpose, "alice", "192.0.2.1")).await, (1, 1, 1));
    }
    assert_eq!(known(&log_in("alice", "192.0.2.1")).await, (2, 3, 2));
}

pub(super) async fn what_is_settled_is_read_back_until_it_is_forgotten<S: Store>(engine: &Engine<S>) {
    let (here, there) = (log_in("alice", "192.0.2.1"), log_in("alice", "192.0.2.2"));
    fail(engine, &there).await;
    fail(engine, &here).await;
    let written = fail(engine, &here).await;
    let read = standing(engine, &here).await;
    assert_eq!((read.pair, read.account, read.address), (written.pair, written.account, written.address));
    assert_eq!(counts(&read), (2, 3, 2));

    reserve(engine, 1, &here).await;
    settle(engine, 1, &here, Standing::succeeded).await;
    assert_eq!(counts(&standing(engine, &here).await), (0, 1, 2));
    assert_eq!(counts(&standing(engine, &there).await), (1, 1, 1));
    engine.advance(TimeDelta::minutes(15));
    assert_eq!(counts(&standing(engine, &there).await), (1, 1, 0));
    engine.advance(TimeDelta::hours(24));
    assert_eq!(counts(&standing(engine, &there).await), (0, 0, 0));
    assert_eq!(counts(&fail(engine, &there).await), (1, 1, 1), "what has expired is not gone on from");
}

pub(super) async fn the_failures_of_an_account_can_be_forgotten<S: Store>(engine: &Engine<S>) {
    for from in ["192.0.2.1", "192.0.2.2"] {
        fail(engine, &log_in("Alice", from)).await;
        fail(engine, &log_in("bobby", from)).await;
    }
    in_tx!(engine, tx => tx.forget_failures(&name("alICE")).await.unwrap());
    assert_eq!(counts(&standing(engine, &log_in("alice", "192.0.2.1")).await), (0, 0, 2));
    assert_eq!(counts(&standing(engine, &log_in("bobby", "192.0.2.1")).await), (1, 2, 2));
}

async fn sign_up<S: Store>(engine: &Engine<S>, address: &ClientAddress) -> AddressCount {
    in_tx!(engine, tx => {
        let count = tx.lock_sign_ups(address).await.unwrap().one_more();
        tx.write_sign_ups(address, Some(count)).await.unwrap();
        count
    })
}

pub(super) async fn sign_ups_are_counted_by_address<S: Store>(engine: &Engine<S>) {
    let here = address("192.0.2.1");
    let known = async || engine.store.reader().sign_ups(&here).await.unwrap().count;
    assert_eq!(known().await, None);
    let mut written = None;
    for _ in 0..3 {
        written = Some(sign_up(engine, &here).await);
    }
    assert_eq!(known().await, written);
    assert_eq!(written.map(|count| count.count), Some(3));
    assert_eq!(engine.store.reader().sign_ups(&address("192.0.2.2")).await.unwrap().count, None);
    assert_eq!(counts(&standing(engine, &log_in("alice", "192.0.2.1")).await), (0, 0, 0));
    in_tx!(engine, tx => tx.write_sign_ups(&here, None).await.unwrap());
    assert_eq!(known().await, None);
    in_tx!(engine, tx => {
        let count = tx.lock_sign_ups(&here).await.unwrap().one_more();
        tx.write_sign_ups(&here, Some(AddressCount { count: 7, ..count })).await.unwrap();
    });
    engine.advance(TimeDelta::hours(1));
    assert_eq!(known().await, None);
}

/// Half of them on one account from many addresses, half from one address on many accounts.
pub(super) async fn of_a_crowd_that_decides_at_once_only_so_many_are_admitted<S: Store>(engine: &Engine<S>) {
    let admit = async |number: u32, attempt: Attempt, full: fn(&Undecided) -> bool| {
        let mut tx = engine.store.begin().await.unwrap();
        let standing = tx.lock_standing(&attempt).await.unwrap();
        if full(&standing.undecided) {
            return 0;
        }
        let id = AttemptId::from_random(number.into());
        tx.reserve_attempt(id, &attempt, standing.lapse_time()).await.unwrap();
        tx.commit().await.unwrap();
        1
    };
    let on_one_account = (0..40).map(|number| {
        admit(number, log_in("alice", &format!("192.0.2.{number}")), |undecided| undecided.of_account >= 5)
    });
    assert_eq!(join_all(on_one_account).await.into_iter().sum::<u32>(), 5);
    let from_one_address = (100..140).map(|number| {
        admit(number, log_in(&format!("user{number}"), "198.51.100.1"), |undecided| undecided.of_address >= 5)
    });
    assert_eq!(join_all(from_one_address).await.into_iter().sum::<u32>(), 5);
}

pub(super) async fn counts_that_have_expired_are_purged_and_those_that_are_too_many<S: Store>(
    engine: &Engine<S>,
) {
    let purge = async |kept| in_tx!(engine, tx => tx.purge(100, kept).await.unwrap());
    for number in 0..4 {
        fail(engine, &log_in("alice", &format!("192.0.2.{number}"))).await;
        engine.advance(TimeDelta::seconds(1));
    }
    for number in 0..4 {
        sign_up(engine, &address(&format!("198.51.100.{number}"))).await;
        engine.advance(TimeDelta::seconds(1));
    }
    reserve(engine, 7, &log_in("alice", "192.0.2.0")).await;
    assert_eq!(purge(1000).await, 0);
    // Four pairs, the account, four addresses that failed and four that signed up. Of the three that stay the account is one:
    // it failed last, as the last pair did.
    assert_eq!(purge(3).await, 2 + 1 + 1);
    assert_eq!(counts(&standing(engine, &log_in("alice", "192.0.2.0")).await).0, 0);
    assert_eq!(counts(&standing(engine, &log_in("alice", "192.0.2.3")).await), (1, 4, 1));
    engine.advance(TimeDelta::minutes(15));
    assert_eq!(purge(1000).await, 3 + 1, "the addresses that failed, and the attempt that was never decided");
    engine.advance(TimeDelta::hours(24));
    assert_eq!(purge(1000).await, 3 + 3);
    assert_eq!(purge(1000).await, 0);
}
