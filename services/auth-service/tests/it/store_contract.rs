//! What every store must do. Each behaviour is written once and runs on every engine and on the fake: another engine is
//! one more function in `engines` and one more module here.

mod accounts;
mod attempts;
pub(crate) mod engines;
mod feed;
mod requests;
mod sessions;

use auth_core::domain::{
    Account, AccountKey, Client, NewAccount, PasswordHash, Session, SessionId, SessionPolicy, StoredAccount,
};
use auth_core::ports::{Insertion, Reader as _, Store, Transaction};
use chrono::TimeDelta;
use engines::Engine;
use identity::{UserId, Username};
use uuid::Uuid;

/// Runs every behaviour on every engine, each with a store of its own.
macro_rules! contract {
    ($($module:ident: $($behaviour:ident),+ $(,)?;)+) => { $(
        mod $module {
            use super::super::engines;
            use super::super::$module as behaviours;

            mod memory {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $behaviour() {
                        behaviours::$behaviour(&engines::memory()).await;
                    }
                )+
            }

            mod sqlite {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $behaviour() {
                        let (engine, _folder) = engines::sqlite().await;
                        behaviours::$behaviour(&engine).await;
                    }
                )+
            }

            mod postgres {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $behaviour() {
                        let (engine, _database) = engines::postgres().await;
                        behaviours::$behaviour(&engine).await;
                    }
                )+
            }

            mod pooled_postgres {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $behaviour() {
                        let (engine, _database) = engines::pooled_postgres().await;
                        behaviours::$behaviour(&engine).await;
                    }
                )+
            }
        }
    )+

        /// Every behaviour on PostgreSQL, for who wants to know what becomes of the database.
        pub(crate) async fn all_on_postgres(see: impl AsyncFn(&Postgres)) {
            $( $( {
                let (_place, database) = engines::migrated(1).await;
                super::$module::$behaviour(&engines::on_postgres(database.clone())).await;
                see(&database).await;
            } )+ )+
        }
    };
}

pub(crate) mod on {
    use database::Postgres;

    use super::engines;

    contract! {
        accounts:
            an_account_is_found_by_id_and_by_name_in_any_case,
            a_name_is_taken_ignoring_case_and_an_id_once,
            a_change_is_written_whole_and_moves_to_the_end_of_the_feed,
            a_rehash_is_no_change,
            what_is_not_committed_did_not_happen,
            a_hundred_parallel_writers_all_succeed;
        sessions:
            a_session_is_found_with_its_account_while_it_lives,
            a_session_ends_once_and_only_for_its_user,
            all_sessions_end_but_the_one_that_is_kept,
            the_oldest_sessions_make_room,
            where_only_one_may_be_the_new_one_is_the_one,
            what_makes_room_may_be_used_or_ended_at_that_moment,
            a_use_raises_the_expiry_and_never_lowers_it,
            a_use_never_brings_a_session_back,
            sessions_are_listed_newest_first_page_by_page,
            only_what_has_expired_is_purged_in_batches;
        requests:
            a_request_id_is_taken_once_a_day,
            a_request_id_is_free_when_its_account_was_not_added;
        attempts:
            nothing_is_known_of_a_new_attempt,
            an_attempt_is_undecided_until_it_is_settled_given_back_or_lapses,
            failures_are_kept_for_each_purpose_account_and_address,
            what_is_settled_is_read_back_until_it_is_forgotten,
            the_failures_of_an_account_can_be_forgotten,
            sign_ups_are_counted_by_address,
            of_a_crowd_that_decides_at_once_only_so_many_are_admitted,
            counts_that_have_expired_are_purged_and_those_that_are_too_many;
        feed:
            changes_come_in_the_order_of_their_numbers,
            an_account_stands_in_the_feed_once_at_its_last_change,
            another_epoch_keeps_the_accounts_and_ends_every_session,
            a_reader_beside_a_crowd_of_writers_misses_nothing,
            who_waits_is_woken_by_a_change;
    }
}

pub(crate) const POLICY: SessionPolicy = SessionPolicy {
    idle_timeout: TimeDelta::minutes(30),
    absolute_timeout: TimeDelta::hours(24),
    refresh_threshold_ratio: 0.2,
    max_per_user: 20,
};

/// The id with this number.
pub(crate) fn id(number: u64) -> UserId {
    UserId::new(Uuid::from_u128(u128::from(number)))
}

/// The session id with this number.
pub(crate) fn session_id(number: u64) -> SessionId {
    SessionId::from_random(u128::from(number).to_be_bytes())
}

/// A name of an account.
pub(crate) fn name(text: &str) -> Username {
    Username::parse(text).unwrap()
}

/// An account that is not there yet.
pub(crate) fn new_account(number: u64, username: &str) -> NewAccount {
    NewAccount {
        id: id(number),
        username: name(username),
        password_hash: PasswordHash::new(format!("hash {number}")),
    }
}

/// Does something in a unit of work of its own.
macro_rules! in_tx {
    ($engine:expr, $tx:ident => $work:expr) => {{
        let mut $tx = $engine.store.begin().await.expect("a unit of work");
        let done = $work;
        $tx.commit().await.expect("a commit");
        done
    }};
}
pub(crate) use in_tx;

/// Adds an account.
pub(crate) async fn add<S: Store>(engine: &Engine<S>, number: u64, username: &str) -> Account {
    let new = new_account(number, username);
    let inserted = in_tx!(engine, tx => {
        let now = tx.now().await.unwrap();
        tx.insert_account(&new, now).await.unwrap()
    });
    match inserted {
        Insertion::Inserted(account) => account,
        taken => panic!("{taken:?}"),
    }
}

/// Opens a session of an account.
pub(crate) async fn open<S: Store>(engine: &Engine<S>, number: u64, user_id: UserId) -> Session {
    let client = Client::new("a test", Some("127.0.0.1".parse().unwrap()));
    in_tx!(engine, tx => {
        let now = tx.now().await.unwrap();
        let session = Session::open(session_id(number), user_id, client, &POLICY, now);
        tx.open_session(&session, u32::MAX).await.unwrap();
        session
    })
}

/// The account as it is stored.
pub(crate) async fn stored<S: Store>(engine: &Engine<S>, id: UserId) -> StoredAccount {
    engine.store.reader().account(&AccountKey::Id(id)).await.unwrap().unwrap()
}

/// Whether a session is alive.
pub(crate) async fn lives<S: Store>(engine: &Engine<S>, number: u64) -> bool {
    engine.store.reader().live_session(&session_id(number)).await.unwrap().is_some()
}
