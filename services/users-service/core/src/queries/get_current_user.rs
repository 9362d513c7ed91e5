//! Returns the caller. Any bearer may ask: it is how other services learn who a token's user is and what role it has.

use fail_point::mutant;

use crate::commands::{CaughtUp, Command};
use crate::defects;
use crate::domain::{Actor, Permission, User, UserKey};
use crate::error::Error;
use crate::ports::{Ports, Reader as _};
use crate::queries::Context;

/// Asks for the caller.
#[derive(Clone, Copy, Debug)]
pub struct GetCurrentUser;

impl Command for GetCurrentUser {
    const NEEDS: Permission = Permission::BeOneself;
}

impl GetCurrentUser {
    /// Reads one row, on the primary: by the role in it other services decide what their callers may do, and a role
    /// that was taken away must not be seen again.
    pub async fn execute<P: Ports>(
        self,
        cx: &Context<P>,
        actor: &Actor,
        caught_up: &CaughtUp,
    ) -> Result<User, Error> {
        // A defect: it panics.
        if mutant("get_current_user.panics") {
            defects::panics();
        }
        // Whoever was authenticated is there: nothing deletes a user.
        let user = cx.primary(caught_up).find_user(&UserKey::Id(actor.id)).await?;
        user.ok_or(Error::NotYetConsistent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::World;

    #[tokio::test]
    async fn the_caller_sees_itself() {
        let world = World::new();
        let actor = world.actor("alice", Role::User).await;
        let caught_up = world.caught_up().await;
        let user = GetCurrentUser.execute(&world.queries(), &actor, &caught_up).await.unwrap();
        assert_eq!((user.id, user.role), (actor.id, Role::User));
    }
}
