//! Finds the user that a query did not: what queries read may not have it yet, the primary or the owner of accounts may.

use fail_point::mutant;

use crate::commands::{Context, target};
use crate::domain::{State, User, UserKey};
use crate::error::Error;
use crate::ports::Ports;

/// Asks for a user, wherever it is known.
#[derive(Clone, Debug)]
pub struct FindUser {
    /// Whom.
    pub user: UserKey,
    /// What a query found already.
    pub found: Option<User>,
}

impl FindUser {
    /// Looks further only when nothing was found; whom the feed has not brought yet is applied on the spot.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<User, Error> {
        match self.found {
            // A defect: who is inactive is not found.
            Some(user) if user.state == State::Inactive && mutant("find_user.inactive_are_hidden") => {
                Err(Error::UserNotFound(self.user.to_string()))
            }
            Some(user) => Ok(user),
            None => target::find(cx, &self.user).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::World;

    #[tokio::test]
    async fn what_was_found_is_not_looked_for_again() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.go_away();
        world.store.break_down();
        let command = FindUser { user: UserKey::Id(alice.id), found: Some(alice.clone()) };
        assert_eq!(command.execute(&world.commands()).await.unwrap(), alice);
    }

    #[tokio::test]
    async fn who_has_just_signed_up_is_found() {
        let world = World::new();
        let account = world.provider.register("alice");
        let command = FindUser { user: UserKey::Id(account.id), found: None };
        assert_eq!(command.execute(&world.commands()).await.unwrap().id, account.id);
    }
}
