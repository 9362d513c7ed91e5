//! Sessions.

use std::time::Duration;

use auth_core::domain::Session;
use auth_core::ports::{Reader as _, Store, Transaction as _};
use chrono::TimeDelta;
use tokio::time::timeout;

use super::engines::Engine;
use super::{add, id, in_tx, lives, open, session_id};

pub(super) async fn a_session_is_found_with_its_account_while_it_lives<S: Store>(engine: &Engine<S>) {
    let account = add(engine, 1, "alice").await;
    let session = open(engine, 1, id(1)).await;
    let live = engine.store.reader().live_session(&session.id).await.unwrap().unwrap();
    assert_eq!((&live.session, &live.account), (&session, &account));
    assert!(live.now >= session.create_time);
    engine.advance(TimeDelta::minutes(30));
    assert!(!lives(engine, 1).await);
    assert!(!lives(engine, 2).await);
}

pub(super) async fn a_session_ends_once_and_only_for_its_user<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    let session = open(engine, 1, id(1)).await;
    let end = async |user| in_tx!(engine, tx => tx.end_session(id(user), &session_id(1)).await.unwrap());
    assert_eq!(end(2).await, None);
    assert!(lives(engine, 1).await);
    assert_eq!(end(1).await, Some(session));
    assert_eq!(end(1).await, None);
    open(engine, 1, id(1)).await;
    engine.advance(TimeDelta::minutes(30));
    assert_eq!(end(1).await, None, "an expired one was not alive");
}

pub(super) async fn all_sessions_end_but_the_one_that_is_kept<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    open(engine, 9, id(1)).await;
    engine.advance(TimeDelta::minutes(30));
    for number in 1..=3 {
        open(engine, number, id(1)).await;
    }
    open(engine, 4, id(2)).await;
    let end = async |keep| in_tx!(engine, tx => tx.end_sessions(id(1), keep).await.unwrap());
    let kept = session_id(2);
    assert_eq!(end(Some(&kept)).await, 2, "the expired one does not count");
    assert!(lives(engine, 2).await);
    assert_eq!(end(None).await, 1);
    assert_eq!(end(None).await, 0);
    assert!(lives(engine, 4).await, "another user's");
}

pub(super) async fn the_oldest_sessions_make_room<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    open(engine, 9, id(2)).await;
    let mut newest = None;
    for number in 1..=4 {
        newest = Some(open(engine, number, id(1)).await);
        engine.advance(TimeDelta::seconds(1));
    }
    let another = Session { id: session_id(5), ..newest.unwrap() };
    in_tx!(engine, tx => tx.open_session(&another, 2).await.unwrap());
    for (number, alive) in [(1, false), (2, false), (3, true), (4, true), (5, true), (9, true)] {
        assert_eq!(lives(engine, number).await, alive, "{number}");
    }
}

pub(super) async fn where_only_one_may_be_the_new_one_is_the_one<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    open(engine, 1, id(1)).await;
    let newest = open(engine, 2, id(1)).await;
    let another = Session { id: session_id(3), ..newest };
    in_tx!(engine, tx => tx.open_session(&another, 0).await.unwrap());
    for (number, alive) in [(1, false), (2, false), (3, true)] {
        assert_eq!(lives(engine, number).await, alive, "{number}");
    }
}

/// Neither takes the lock of the account.
pub(super) async fn what_makes_room_may_be_used_or_ended_at_that_moment<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    for is_ended in [false, true] {
        let oldest = open(engine, 1, id(1)).await;
        let another = Session { id: session_id(2), ..oldest.clone() };
        let mut holder = engine.store.begin().await.unwrap();
        if is_ended {
            holder.end_session(id(1), &oldest.id).await.unwrap().expect("it lives");
        } else {
            let later = oldest.expire_time + TimeDelta::minutes(5);
            holder.use_session(&oldest.id, later, later).await.unwrap().expect("it lives");
        }
        let mut opening =
            Box::pin(async { in_tx!(engine, tx => tx.open_session(&another, 0).await.unwrap()) });
        let early = timeout(Duration::from_millis(50), &mut opening).await;
        assert!(early.is_err(), "{is_ended}: it waits for what is held");
        tokio::join!(opening, async { holder.commit().await.unwrap() });
        assert_eq!((lives(engine, 1).await, lives(engine, 2).await), (false, true), "{is_ended}");
        in_tx!(engine, tx => tx.end_sessions(id(1), None).await.unwrap());
    }
}

pub(super) async fn a_use_raises_the_expiry_and_never_lowers_it<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    let session = open(engine, 1, id(1)).await;
    let used = async |minutes: i64| {
        let by = TimeDelta::minutes(minutes);
        let (expiry, last_use) = (session.expire_time + by, session.last_used_time + by);
        in_tx!(engine, tx => tx.use_session(&session.id, expiry, last_use).await.unwrap().unwrap())
    };
    let raised = used(5).await;
    assert_eq!(raised.expire_time, session.expire_time + TimeDelta::minutes(5));
    assert_eq!(raised.last_used_time, session.last_used_time + TimeDelta::minutes(5));
    assert_eq!(used(1).await, raised);
    let live = engine.store.reader().live_session(&session.id).await.unwrap().unwrap();
    assert_eq!(live.session, raised);
}

pub(super) async fn a_use_never_brings_a_session_back<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    let session = open(engine, 1, id(1)).await;
    engine.advance(TimeDelta::minutes(30));
    let later = session.expire_time + TimeDelta::hours(1);
    assert_eq!(in_tx!(engine, tx => tx.use_session(&session.id, later, later).await.unwrap()), None);
    assert_eq!(in_tx!(engine, tx => tx.use_session(&session_id(7), later, later).await.unwrap()), None);
    assert!(!lives(engine, 1).await);
    assert!(!lives(engine, 7).await);
}

pub(super) async fn sessions_are_listed_newest_first_page_by_page<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    add(engine, 2, "bobby").await;
    open(engine, 99, id(1)).await;
    engine.advance(TimeDelta::minutes(30));
    for number in 1..=3 {
        open(engine, number, id(1)).await;
        engine.advance(TimeDelta::seconds(1));
    }
    open(engine, 50, id(2)).await;
    let reader = engine.store.reader();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = reader.live_sessions(id(1), after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.position());
        seen.extend(page.into_iter().map(|session| session.id));
    }
    assert_eq!(seen, [session_id(3), session_id(2), session_id(1)]);
}

pub(super) async fn only_what_has_expired_is_purged_in_batches<S: Store>(engine: &Engine<S>) {
    add(engine, 1, "alice").await;
    for number in 1..=5 {
        open(engine, number, id(1)).await;
    }
    engine.advance(TimeDelta::minutes(30));
    open(engine, 6, id(1)).await;
    let mut purged = Vec::new();
    for _ in 0..4 {
        purged.push(in_tx!(engine, tx => tx.purge(2, 1000).await.unwrap()));
    }
    assert_eq!(purged, [2, 2, 1, 0]);
    assert!(lives(engine, 6).await);
}
