//! Returns a user. An admin may ask for anybody, anybody for oneself.

use crate::commands::CaughtUp;
use crate::domain::{Actor, Permission, User, UserKey};
use crate::error::Error;
use crate::ports::{Ports, Reader as _};
use crate::queries::Context;

/// Asks for a user.
#[derive(Clone, Debug)]
pub struct GetUser {
    /// Whom.
    pub user: UserKey,
}

/// Whom a request names, before anything about it is checked.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// Somebody by id.
    Id(&'a str),
    /// Somebody by username.
    Username(&'a str),
    /// Nobody.
    Nobody,
}

impl GetUser {
    /// What the caller must be allowed. Decided on the text, so that a caller who may only see itself learns nothing
    /// about any other, not even whether it could exist.
    #[must_use]
    pub fn needs(actor: &Actor, named: Named<'_>) -> Permission {
        let oneself = match named {
            Named::Id(id) => id == actor.id.to_string(),
            Named::Username(username) => username.eq_ignore_ascii_case(actor.username.as_str()),
            Named::Nobody => false,
        };
        if oneself { Permission::BeOneself } else { Permission::AdministerUsers }
    }

    /// Reads one row. None proves nothing: [`FindUser`](crate::commands::FindUser) looks further.
    pub async fn execute<P: Ports>(
        self,
        cx: &Context<P>,
        caught_up: &CaughtUp,
    ) -> Result<Option<User>, Error> {
        Ok(cx.reader(caught_up).await.find_user(&self.user).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::{World, an_actor};

    #[test]
    fn everybody_may_ask_for_oneself_and_only_admins_for_others() {
        let actor = an_actor(Role::User);
        let id = actor.id.to_string();
        let name = actor.username.as_str().to_uppercase();
        for oneself in [Named::Id(&id), Named::Username(&name)] {
            assert_eq!(GetUser::needs(&actor, oneself), Permission::BeOneself);
        }
        for other in [Named::Id("x"), Named::Username("someone"), Named::Nobody, Named::Id(&name)] {
            assert_eq!(GetUser::needs(&actor, other), Permission::AdministerUsers);
        }
    }

    #[tokio::test]
    async fn a_user_is_returned() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let query = GetUser { user: UserKey::Id(alice.id) };
        let found = query.execute(&world.queries(), &world.caught_up().await).await.unwrap();
        assert_eq!(found, Some(alice));
    }
}
