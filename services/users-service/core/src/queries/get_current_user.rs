//! Returns the caller. Any bearer may ask: it is how other services learn who a token's user is and what role it has.

use crate::commands::Command;
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
    /// Reads one row. A caller that a late replica does not have yet is there, just not visible.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<User, Error> {
        cx.reader.find_user(&UserKey::Id(actor.id)).await?.ok_or(Error::NotYetConsistent)
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
        let user = GetCurrentUser.execute(&world.queries(), &actor).await.unwrap();
        assert_eq!((user.id, user.role), (actor.id, Role::User));
    }
}
