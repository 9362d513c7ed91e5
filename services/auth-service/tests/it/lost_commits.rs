//! Use cases over PostgreSQL whose connection is lost while they commit: what they answer is what is the case.
//!
//! A proxy between store and server cuts the connection at the commit: before the server hears of it, while it commits,
//! or when it has.

use auth_core::commands::{DisableAccount, LogOut, RevokeAllSessions};
use auth_core::domain::AccountKey;
use auth_core::ports::{Reader as _, Store as _};
use auth_core::testing::PASSWORD;
use auth_core::{Error, StoreError};
use identity::UserId;
use test_kit::{Commits, Cut};
use uuid::Uuid;

use crate::over_postgres::Scene;
use crate::store_contract::name;

const CUTS: [Cut; 3] = [Cut::Before, Cut::During, Cut::After];

/// Whether it was done, as the answer says. That it is not known would be an answer too, but not with a server that is
/// there all the time.
fn done<T: std::fmt::Debug>(cut: Cut, outcome: Result<T, Error>) -> Option<T> {
    match outcome {
        Ok(done) => {
            assert_ne!(cut, Cut::Before, "the server never heard of it");
            Some(done)
        }
        Err(Error::Store(StoreError::Unavailable(_))) => {
            assert_ne!(cut, Cut::After, "the server did it");
            None
        }
        Err(other) => panic!("{cut:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_there_if_the_answer_says_so() {
    for cut in CUTS {
        let scene = Scene::new(None).await;
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let added = done(cut, scene.sign_up("alice").await);
        assert_eq!(scene.exists(AccountKey::Username(name("alice"))).await, added.is_some(), "{cut:?}");

        let id = UserId::new(Uuid::from_u128(7));
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let added = done(cut, scene.register(id).await);
        assert_eq!(scene.exists(AccountKey::Id(id)).await, added.is_some(), "{cut:?}");
        assert_eq!(scene.register(id).await.unwrap(), id, "a repeat succeeds");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_there_if_the_answer_says_so() {
    for cut in CUTS {
        let scene = Scene::new(None).await;
        let id = scene.sign_up("alice").await.unwrap();
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let opened = done(cut, scene.log_in("alice", PASSWORD).await);
        let live = scene.cx.store.reader().live_sessions(id, None, 10).await.unwrap();
        assert_eq!(live.first().map(|session| &session.id), opened.as_ref().map(|opened| &opened.session.id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_to_end_has_ended_when_it_is_answered() {
    for cut in CUTS {
        let scene = Scene::new(None).await;
        let user_id = scene.sign_up("alice").await.unwrap();
        let opened = scene.log_in("alice", PASSWORD).await.unwrap();
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let log_out = LogOut { user_id, session_id: opened.session.id.clone() };
        log_out.execute(&scene.cx).await.unwrap();
        assert!(!scene.lives(&opened).await, "{cut:?}");

        let opened = scene.log_in("alice", PASSWORD).await.unwrap();
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let all = RevokeAllSessions { user_id, keep: None };
        assert_eq!(all.execute(&scene.cx).await.unwrap(), 1);
        assert!(!scene.lives(&opened).await, "{cut:?}");

        let opened = scene.log_in("alice", PASSWORD).await.unwrap();
        scene.proxy.cut_commits(cut, Commits::Nth(1));
        let disabled = done(cut, DisableAccount::any_version(user_id).execute(&scene.cx).await);
        assert_eq!(scene.lives(&opened).await, disabled.is_none(), "{cut:?}");
    }
}
