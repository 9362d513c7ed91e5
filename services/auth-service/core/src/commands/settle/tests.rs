//! Every command whose commit was lost, made or not, answers what is the case.

use LostCommit::{Made, Undone};
use chrono::TimeDelta;
use identity::Username;

use super::*;
use crate::commands::{
    Authenticate, ChangePassword, DisableAccount, EnableAccount, ExpectedVersion, LogOut, Opened,
    RefreshSession, RegisterAccount, RevokeAllSessions, RevokeSession, RevokeSessions, SetPassword, SignUp,
};
use crate::domain::{AccountState, Client, PasswordHash};
use crate::testing::{LostCommit, PASSWORD, World};

const ID: &str = "0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c";
const NEW: &str = "an entirely new one";

fn lose(world: &World, lost: LostCommit) {
    world.commands.store.lose_commits([lost]);
}

/// As after a commit whose reply was lost.
async fn settle(world: &World, trace: Trace<'_>) -> Result<(), StoreError> {
    world.commands.settle(&trace, "lost".into()).await
}

/// OK when it was made, else that nothing was changed.
fn is_the_truth<T>(lost: LostCommit, outcome: &Result<T, Error>) -> bool {
    match lost {
        Made => outcome.is_ok(),
        Undone => matches!(outcome, Err(Error::Store(StoreError::Unavailable(_)))),
    }
}

async fn account(world: &World, id: UserId) -> Option<Account> {
    let found = world.commands.store.reader().account(&AccountKey::Id(id)).await.unwrap();
    found.map(|stored| stored.account)
}

async fn sign_up(world: &World, request_id: &str) -> Result<Account, Error> {
    let policy = &world.commands.passwords;
    let command = SignUp::parse(policy, "alice", PASSWORD.to_owned(), request_id, &World::client());
    command.unwrap().execute(&world.commands).await
}

async fn register(world: &World, username: &str) -> Result<Account, Error> {
    let command = RegisterAccount::parse(&world.commands.passwords, ID, username, PASSWORD.to_owned());
    command.unwrap().execute(&world.commands).await
}

async fn set_password(world: &World, id: UserId) -> Result<super::super::AccountChanged, Error> {
    let command = SetPassword::parse(&world.commands.passwords, &id.to_string(), NEW.to_owned(), 0);
    command.unwrap().execute(&world.commands).await
}

async fn change_password(world: &World, opened: &Opened) -> Result<Opened, Error> {
    let principal = world.principal(&opened.token).await.unwrap();
    let policy = &world.commands.passwords;
    let command = ChangePassword::parse(policy, principal, PASSWORD.into(), NEW.into(), Client::default());
    command.unwrap().execute(&world.commands).await
}

#[tokio::test]
async fn a_sign_up_is_there_or_can_be_repeated() {
    for request_id in ["", ID] {
        for lost in [Made, Undone] {
            let world = World::with_throttle(None);
            lose(&world, lost);
            let outcome = sign_up(&world, request_id).await;
            assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
            match outcome {
                Ok(added) => assert_eq!(account(&world, added.id).await, Some(added)),
                Err(_) => assert_eq!(sign_up(&world, request_id).await.unwrap().version.number, 1),
            }
        }
    }
}

#[tokio::test]
async fn a_registration_is_there_or_can_be_repeated() {
    for lost in [Made, Undone] {
        let world = World::with_throttle(None);
        lose(&world, lost);
        let outcome = register(&world, "alice").await;
        assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
        assert_eq!(register(&world, "alice").await.unwrap().version.number, 1);
    }
}

#[tokio::test]
async fn an_account_that_somebody_else_added_meanwhile_is_not_taken_for_the_lost_one() {
    let new = NewAccount {
        id: UserId::parse(ID).unwrap(),
        username: Username::parse("alice").unwrap(),
        password_hash: PasswordHash::new("lost".to_owned()),
    };
    // The same id with another name, the same of another moment, and the name with another id.
    for other in ["Bobby", "alice", "ALICE"] {
        let world = World::with_throttle(None);
        let mut tx = world.commands.store.begin().await.unwrap();
        let now = tx.now().await.unwrap();
        let Insertion::Inserted(added) = tx.insert_account(&new, now).await.unwrap() else { panic!() };
        drop(tx);
        world.clock.advance(TimeDelta::seconds(1));
        if other == "ALICE" {
            world.signed_up(other).await;
        } else {
            register(&world, other).await.unwrap();
        }
        let settled = settle(&world, Trace::AccountAdded { new: &new, added: &added }).await;
        assert!(matches!(settled, Err(StoreError::Unavailable(_))), "{other}");
    }
}

#[tokio::test]
async fn a_log_in_gives_a_session_that_is_there() {
    for lost in [Made, Undone] {
        let world = World::with_throttle(None);
        world.signed_up("alice").await;
        lose(&world, lost);
        let outcome = world.log_in("alice", PASSWORD).await;
        assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
        if let Ok(opened) = outcome {
            assert!(world.is_good(&opened.token).await);
        }
    }
}

#[tokio::test]
async fn a_password_is_the_new_one_or_the_old_one_as_the_answer_says() {
    for own in [true, false] {
        for lost in [Made, Undone] {
            let world = World::with_throttle(None);
            let opened = world.logged_in("alice").await;
            lose(&world, lost);
            let outcome = if own {
                change_password(&world, &opened).await.map(|opened| Some(opened.token))
            } else {
                set_password(&world, opened.session.user_id).await.map(|_| None)
            };
            assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
            let valid = if lost == Made { NEW } else { PASSWORD };
            assert!(world.log_in("alice", valid).await.is_ok());
            assert_eq!(world.is_good(&opened.token).await, lost == Undone);
            if let Ok(Some(token)) = outcome {
                assert!(world.is_good(&token).await);
            }
        }
    }
}

#[tokio::test]
async fn an_account_is_in_the_state_that_the_answer_says() {
    for lost in [Made, Undone] {
        let world = World::with_throttle(None);
        let opened = world.logged_in("alice").await;
        let id = opened.session.user_id;
        lose(&world, lost);
        let outcome = DisableAccount::any_version(id).execute(&world.commands).await;
        assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
        assert_eq!(world.is_good(&opened.token).await, lost == Undone);

        DisableAccount::any_version(id).execute(&world.commands).await.unwrap();
        lose(&world, lost);
        let enable = EnableAccount { account_id: id, expected: ExpectedVersion::ANY };
        let outcome = enable.execute(&world.commands).await;
        assert!(is_the_truth(lost, &outcome), "{lost:?} {outcome:?}");
        let expected = if lost == Made { AccountState::Active } else { AccountState::Disabled };
        assert_eq!(account(&world, id).await.unwrap().state, expected);
    }
}

#[tokio::test]
async fn what_was_to_end_has_ended_once_it_is_answered() {
    for lost in [Made, Undone] {
        for way in 0..6 {
            let world = World::with_throttle(None);
            let opened = world.logged_in("alice").await;
            let (user_id, session_id) = (opened.session.user_id, opened.session.id.clone());
            let spelled = session_id.to_string();
            let cx = &world.commands;
            lose(&world, lost);
            match way {
                0 => LogOut { user_id, session_id }.execute(cx).await.unwrap(),
                1 => RevokeSession { user_id, session_id: spelled }.execute(cx).await.unwrap(),
                2 => {
                    let all = RevokeAllSessions { user_id, keep: None };
                    assert_eq!(all.execute(cx).await.unwrap(), 1);
                }
                3 | 4 => {
                    let session_id = (way == 3).then_some(spelled);
                    let revoke = RevokeSessions { account_id: user_id, session_id };
                    assert_eq!(revoke.execute(cx).await.unwrap(), 1);
                }
                _ => {
                    cx.store.lose_commits([lost, lost]);
                    LogOut { user_id, session_id }.execute(cx).await.unwrap();
                }
            }
            assert!(!world.is_good(&opened.token).await, "{lost:?} {way}");
        }
    }
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_new_token() {
    for lost in [Made, Undone] {
        let world = World::with_throttle(None);
        let opened = world.logged_in("alice").await;
        world.clock.advance(TimeDelta::minutes(10));
        lose(&world, lost);
        let refreshed = RefreshSession { session: opened.session }.execute(&world.commands).await.unwrap();
        world.clock.advance(TimeDelta::minutes(26));
        lose(&world, lost);
        let check = Authenticate { token: refreshed.token.expose(), skip_renewal: false };
        let due = check.execute(&world.commands).await.unwrap().unwrap().due.unwrap();
        let used = due.execute(&world.commands).await.unwrap().unwrap();
        world.clock.advance(TimeDelta::minutes(29));
        assert!(world.is_good(&used.renewed.unwrap().token).await, "{lost:?}");
    }
}

#[tokio::test]
async fn a_store_that_comes_back_in_time_gives_the_answer() {
    let world = World::with_throttle(None);
    let id = world.signed_up("alice").await;
    let account = account(&world, id).await.unwrap();
    world.commands.store.refuse_begins(20);
    settle(&world, Trace::AccountChanged { before: &account, after: &account }).await.unwrap();
}

#[tokio::test]
async fn a_caller_without_time_for_another_look_hears_at_once_that_it_is_not_known() {
    let world = World::with_throttle(None);
    let id = world.signed_up("alice").await;
    let account = account(&world, id).await.unwrap();
    world.commands.store.refuse_begins(1);
    world.clock.hurry();
    let unknown = settle(&world, Trace::AccountChanged { before: &account, after: &account }).await;
    assert!(matches!(unknown, Err(StoreError::OutcomeUnknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn what_cannot_be_found_out_is_not_guessed() {
    let world = World::with_throttle(None);
    let id = world.signed_up("alice").await;
    let before = account(&world, id).await.unwrap();
    let after = DisableAccount::any_version(id).execute(&world.commands).await.unwrap().account;
    let change = || Trace::AccountChanged { before: &before, after: &after };
    world.commands.store.refuse_begins(1000);
    let away = settle(&world, change()).await;
    assert!(matches!(away, Err(StoreError::OutcomeUnknown(_))), "{away:?}");
    world.commands.store.refuse_begins(0);
    settle(&world, change()).await.unwrap();
    // Another change writes over the place where it would show.
    let enable = EnableAccount { account_id: id, expected: ExpectedVersion::ANY };
    enable.execute(&world.commands).await.unwrap();
    let covered = settle(&world, change()).await;
    assert!(matches!(covered, Err(StoreError::OutcomeUnknown(_))), "{covered:?}");
}
