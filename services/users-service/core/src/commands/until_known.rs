//! What to do when the connection to the store was lost during a commit, so that it is not known whether it happened:
//! the work is done again until it is known, for a few seconds. So whoever asked hears the truth wherever it can be told.
//!
//! The work has to be such that a repeat has the effect of one, and that it takes the locks which the lost attempt may
//! still hold: then it begins after that one has ended, whichever way.

use crate::commands::Context;
use crate::error::Error;
use crate::ports::{Ports, Store as _};

/// Makes attempts until the outcome of one is known. An outage after a lost commit, or the end of the caller's time, says
/// nothing about that commit, so it is not the answer.
pub(super) async fn until_known<P, T, F>(
    cx: &Context<P>,
    attempt: impl Fn() -> F + Send + Sync,
) -> Result<T, Error>
where
    P: Ports,
    F: Future<Output = Result<T, Error>> + Send,
{
    let mut unknown = None;
    let mut attempts = 0;
    loop {
        let cause = match (attempt().await, unknown) {
            (
                Err(Error::OutcomeUnknown(_) | Error::StorageUnavailable(_) | Error::DeadlineExceeded),
                Some(first),
            ) => first,
            (Err(Error::OutcomeUnknown(cause)), None) => cause,
            (known, _) => return known,
        };
        if !cx.store.wait_before_attempt(attempts).await {
            return Err(Error::OutcomeUnknown(cause));
        }
        unknown = Some(cause);
        attempts += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, UserKey};
    use crate::testing::LostCommit::{Done, Undone};
    use crate::testing::{World, a_password, a_username, an_actor};
    use crate::{commands::*, domain::Expected};

    #[tokio::test]
    async fn a_role_is_changed_once_whatever_became_of_the_commits_that_were_lost() {
        for lost in [vec![Done], vec![Undone], vec![Undone, Done], vec![Undone, Undone, Undone]] {
            let world = World::new();
            let alice = world.user("alice", Role::User).await;
            let expected = Expected::parse(&alice.etag().to_string());
            world.store.lose_commits(lost.clone());
            let command = GrantAdmin { user: UserKey::Id(alice.id), expected };
            let granted = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap().user;
            assert_eq!((granted.role, granted.role_version), (Role::Admin, 2), "{lost:?}");
            assert_eq!(world.find(alice.id).await.unwrap(), granted);
        }
    }

    #[tokio::test]
    async fn what_somebody_has_changed_since_is_not_changed_back() {
        for (lost, others) in [(Done, 1), (Undone, 2)] {
            let world = World::new();
            let alice = world.user("alice", Role::User).await;
            world.store.lose_commits([lost]);
            world.store.let_others_change_the_role(alice.id, others);
            let command = GrantAdmin { user: UserKey::Id(alice.id), expected: Expected::Anything };
            let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
            assert!(matches!(error, Error::OutcomeUnknown(_)));
            assert_eq!(world.find(alice.id).await.unwrap().role_version, 3, "as it was found");
        }
    }

    #[tokio::test]
    async fn a_user_is_created_once_at_whichever_step_a_commit_was_lost() {
        for before in 0..2 {
            for lost in [Done, Undone] {
                let world = World::new();
                let nothing_lost = std::iter::repeat_n(None, before);
                world.store.lose_some_commits(nothing_lost.chain([Some(lost)]));
                let command = CreateUser {
                    username: a_username("alice"),
                    password: a_password("correct horse battery"),
                    role: Role::Admin,
                    request_id: None,
                };
                let created = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap();
                assert_eq!(created.user.role, Role::Admin);
                assert_eq!((world.provider.accounts(), world.store.reservations()), (1, 0));
            }
        }
    }

    #[tokio::test]
    async fn a_super_admin_is_demoted_whatever_became_of_the_commit() {
        for lost in [Done, Undone] {
            let world = World::new();
            world.user("bossy", Role::SuperAdmin).await;
            world.user("other", Role::SuperAdmin).await;
            world.store.lose_commits([lost]);
            let command = DemoteSuperAdmin { username: a_username("other") };
            assert_eq!(command.execute(&world.commands()).await.unwrap().role, Role::User, "{lost:?}");
        }
    }

    #[tokio::test]
    async fn it_is_admitted_when_the_outcome_stays_unknown() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.store.lose_commits([Undone; 9]);
        let command = GrantAdmin { user: UserKey::Id(alice.id), expected: Expected::Anything };
        let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)));
    }

    #[tokio::test]
    async fn a_caller_that_runs_out_of_time_after_a_lost_commit_hears_that_it_is_not_known() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.store.lose_commits([Done]);
        world.store.be_late_after_commit();
        let command = GrantAdmin { user: UserKey::Id(alice.id), expected: Expected::Anything };
        let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)));
    }

    #[tokio::test]
    async fn an_outage_after_a_lost_commit_is_not_told_as_nothing_changed() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.store.lose_commits([Done]);
        world.store.break_down_after_commit();
        let command = GrantAdmin { user: UserKey::Id(alice.id), expected: Expected::Anything };
        let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)));
    }
}
