//! What every store must do. Each behaviour is written once and runs on every engine and on the fake: another engine is
//! one more module with a `World`, and one more line here.

mod bootstraps;
pub(crate) mod engines;
mod feed;
mod listing;
mod projection;
mod requests;
mod reservations;

use identity::{AccountVersion, UserId};
use users_core::domain::{Account, User, UserKey};
use users_core::ports::{Store, Transaction, UserRows};
use users_core::testing::{an_account, an_epoch, an_id};

/// The same on one way to use PostgreSQL.
macro_rules! contract_on_postgres {
    ($way:ident: $($behaviour:ident),+) => {
        mod $way {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    let (store, _database) = engines::$way().await;
                    behaviours::$behaviour(&store).await;
                }
            )+
        }
    };
}

/// Runs every behaviour on every engine, each with a store of its own.
macro_rules! contract {
    ($($module:ident: $($behaviour:ident),+ $(,)?;)+) => {
        /// Every behaviour on PostgreSQL, one after the other.
        pub(crate) async fn everything_on_postgres() {
            $( $( {
                let (store, _database) = super::engines::postgres().await;
                super::$module::$behaviour(&store).await;
            } )+ )+
        }
    $(
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
                        let (store, _folder) = engines::sqlite().await;
                        behaviours::$behaviour(&store).await;
                    }
                )+
            }

            contract_on_postgres! { postgres: $($behaviour),+ }
            contract_on_postgres! { postgres_pooled: $($behaviour),+ }
            contract_on_postgres! { postgres_alone: $($behaviour),+ }
        }
    )+ };
}

pub(crate) mod on {
    contract! {
        projection:
            an_account_becomes_a_user_that_is_found_by_id_and_by_name_in_any_case,
            applying_an_account_twice_changes_nothing,
            an_older_version_is_ignored_and_a_newer_one_taken_over,
            an_unseen_epoch_is_the_latest_and_an_older_one_is_ignored,
            the_update_time_never_goes_back,
            of_two_users_with_one_name_the_newest_epoch_wins,
            has_reached_compares_within_an_epoch_and_across,
            users_of_earlier_epochs_can_be_retired_slice_by_slice,
            a_batch_is_applied_as_one,
            what_is_not_committed_did_not_happen,
            a_role_is_written_with_its_version_and_times,
            super_admins_are_found,
            a_hundred_parallel_writers_all_succeed;
        reservations:
            a_reservation_is_no_user_and_gives_its_role_to_the_account,
            a_reservation_of_a_user_goes_when_its_account_is_applied_again,
            giving_up_takes_the_request_along_but_never_a_user,
            old_reservations_are_found_and_deleted_only_while_they_are_old;
        requests:
            a_mark_stands_for_one_request_of_one_caller,
            a_released_mark_is_free_for_other_content_and_known_to_a_repeat,
            a_request_that_was_done_is_remembered_whoever_released_its_mark_and_when,
            an_old_request_gives_way_to_another,
            old_requests_are_forgotten_so_many_at_a_time;
        feed:
            the_lease_is_one_owners_until_it_is_released,
            each_acquisition_of_the_lease_has_a_higher_fence,
            the_place_is_moved_under_the_latest_fence_only,
            accounts_and_place_are_written_together_or_not_at_all;
        bootstraps:
            the_unfinished_bootstrap_is_remembered_until_its_end,
            the_bootstrap_lock_is_held_once;
        listing:
            every_order_lists_everybody_once_in_order,
            pages_follow_each_other_in_every_order_and_every_size,
            filters_narrow_the_list_and_the_total,
            every_combination_is_listed_page_by_page_as_it_is_defined,
            a_prefix_is_a_prefix_and_nothing_more,
            users_can_be_passed_over,
            the_last_page_has_no_next;
    }
}

/// The id with this number.
pub(crate) fn id(number: u64) -> UserId {
    an_id(number)
}

/// An active account at a version of an epoch.
pub(crate) fn account(number: u64, username: &str, epoch: &str, version: i64) -> Account {
    Account {
        version: AccountVersion { epoch: an_epoch(epoch), number: version },
        ..an_account(id(number), username)
    }
}

/// Does something in a transaction of its own.
macro_rules! in_tx {
    ($store:expr, $tx:ident => $work:expr) => {{
        let mut $tx = $store.begin().await.expect("a transaction");
        let done = $work;
        $tx.commit().await.expect("a commit");
        done
    }};
}
pub(crate) use in_tx;

/// Applies an account and gives the user as it is then.
pub(crate) async fn apply<S: Store>(store: &S, account: &Account) -> User {
    in_tx!(store, tx => tx.apply_account(account).await.expect("applied"));
    find(store, account.id).await.expect("it was applied")
}

/// The user as it is stored.
pub(crate) async fn find<S: Store>(store: &S, id: UserId) -> Option<User> {
    store.find_user(&UserKey::Id(id)).await.expect("an answer")
}
