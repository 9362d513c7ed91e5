//! users-service as it is simulated: its core over ports of the run, and what its process does beside the calls.

mod projector;
mod provider;
mod store;

use std::sync::Arc;
use std::time::Duration;

use identity::{PageSize, RawPassword, UserId};
use users_core::Error;
use users_core::commands::{
    self, Authenticate, CatchUp, Changed, Command, CreateUser, CreateUserForm, FindUser, GrantAdmin,
    InactivateUser, ListUserSessions, ReactivateUser, RevokeAdmin, RevokeUserSessions, SetUserPasswordForm,
    SweepReservations,
};
use users_core::domain::{AccessToken, Actor, Expected, Permission, Role, Session, User, UserKey};
use users_core::ports::{Ids, Ports};
use users_core::queries::{self, GetCurrentUser, GetUser, Named};

use crate::auth::SimIds;
use crate::cluster::Cluster;
use crate::scheduler::{Node, Sim};
use provider::SimProvider;
use store::SimStore;

pub(crate) use store::Database;

/// The ports as one type.
pub(crate) struct UsersPorts;

impl Ports for UsersPorts {
    type Store = SimStore;
    type IdentityProvider = SimProvider;
    type Ids = UserIds;
}

/// Ids from the dice.
pub(crate) struct UserIds(SimIds);

impl Ids for UserIds {
    fn next(&self) -> UserId {
        self.0.user_id()
    }
}

/// One process.
pub(crate) struct UsersProcess {
    pub(crate) commands: commands::Context<UsersPorts>,
    queries: queries::Context<UsersPorts>,
}

/// A caller and what it is given in any case.
pub(crate) struct Renewed<T> {
    pub(crate) token: Option<users_core::domain::RenewedToken>,
    pub(crate) outcome: Result<T, Error>,
}

impl UsersProcess {
    pub(crate) fn new(sim: &Sim, cluster: &Arc<Cluster>) -> Self {
        let store = SimStore::new(cluster.users_database.clone());
        let queries = queries::Context::new(store.shared_reader());
        let commands = commands::Context {
            store: Arc::new(store),
            provider: Arc::new(SimProvider::new(sim, cluster)),
            ids: Arc::new(UserIds(SimIds(sim.clone()))),
        };
        Self { commands, queries }
    }

    /// What runs beside the calls.
    pub(crate) fn work_in_the_background(self: &Arc<Self>, sim: &Sim, node: Node, cluster: &Arc<Cluster>) {
        let owner = SimIds(sim.clone()).user_id();
        projector::Projector::new(sim, node, cluster, self.commands.clone(), *owner.as_bytes()).start();
        let (process, clock) = (Arc::clone(self), sim.clone());
        sim.spawn_apart(node, "sweep_reservations", async move {
            loop {
                clock.sleep(Duration::from_secs(15)).await;
                // What could not be swept is by the next one.
                let _ = SweepReservations.execute(&process.commands).await;
            }
        });
    }

    /// Admits a caller that may do this, as the handlers do, then acts.
    async fn admitted<T, F: Future<Output = Result<T, Error>>>(
        &self,
        token: &str,
        skip_renewal: bool,
        needs: impl FnOnce(&Actor) -> Permission,
        act: impl FnOnce(Actor) -> F,
    ) -> Renewed<T> {
        let token = Some(AccessToken::new(token.to_owned()));
        let who = Authenticate { token, skip_renewal }.execute(&self.commands).await;
        let outcome = match who.caller {
            Ok(actor) => match actor.require(needs(&actor)) {
                Ok(()) => act(actor).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        Renewed { token: who.renewed, outcome }
    }

    async fn allowed<C: Command, T, F: Future<Output = Result<T, Error>>>(
        &self,
        token: &str,
        act: impl FnOnce(Actor) -> F,
    ) -> Result<T, Error> {
        self.admitted(token, true, |_| C::NEEDS, act).await.outcome
    }

    pub(crate) async fn current_user(&self, token: &str, skip_renewal: bool) -> Renewed<User> {
        let needs = |_: &Actor| GetCurrentUser::NEEDS;
        self.admitted(token, skip_renewal, needs, |actor| async move {
            let caught_up = CatchUp::default().execute(&self.commands).await?;
            GetCurrentUser.execute(&self.queries, &actor, &caught_up).await
        })
        .await
    }

    pub(crate) async fn user(
        &self,
        token: &str,
        id: UserId,
        seen: Option<identity::ConsistencyToken>,
    ) -> Result<User, Error> {
        let text = id.to_string();
        let needs = |actor: &Actor| GetUser::needs(actor, Named::Id(&text));
        let found = self.admitted(token, true, needs, |_| async {
            let caught_up = CatchUp { token: seen }.execute(&self.commands).await?;
            let user = UserKey::Id(id);
            let found = GetUser { user: user.clone() }.execute(&self.queries, &caught_up).await?;
            FindUser { user, found }.execute(&self.commands).await
        });
        found.await.outcome
    }

    pub(crate) async fn create_user(
        &self,
        token: &str,
        username: String,
        password: String,
        role: Role,
        request_id: String,
    ) -> Result<Changed, Error> {
        self.allowed::<CreateUser, _, _>(token, |actor| async move {
            let form = CreateUserForm { username, password, role: Ok(role), request_id };
            form.check(&self.commands).await?.execute(&self.commands, &actor).await
        })
        .await
    }

    pub(crate) async fn inactivate(
        &self,
        token: &str,
        id: UserId,
        expected: Expected,
    ) -> Result<Changed, Error> {
        self.allowed::<InactivateUser, _, _>(token, |actor| async move {
            InactivateUser { user: UserKey::Id(id), expected }.execute(&self.commands, &actor).await
        })
        .await
    }

    pub(crate) async fn reactivate(
        &self,
        token: &str,
        id: UserId,
        expected: Expected,
    ) -> Result<Changed, Error> {
        self.allowed::<ReactivateUser, _, _>(token, |actor| async move {
            ReactivateUser { user: UserKey::Id(id), expected }.execute(&self.commands, &actor).await
        })
        .await
    }

    pub(crate) async fn set_admin(
        &self,
        token: &str,
        id: UserId,
        expected: Expected,
        is_admin: bool,
    ) -> Result<Changed, Error> {
        let user = UserKey::Id(id);
        if is_admin {
            self.allowed::<GrantAdmin, _, _>(token, |actor| async move {
                GrantAdmin { user, expected }.execute(&self.commands, &actor).await
            })
            .await
        } else {
            self.allowed::<RevokeAdmin, _, _>(token, |actor| async move {
                RevokeAdmin { user, expected }.execute(&self.commands, &actor).await
            })
            .await
        }
    }

    pub(crate) async fn set_password(
        &self,
        token: &str,
        id: UserId,
        password: String,
    ) -> Result<Changed, Error> {
        self.allowed::<commands::SetUserPassword, _, _>(token, |actor| async move {
            let form =
                SetUserPasswordForm { user: Ok(UserKey::Id(id)), password: RawPassword::parse(password) };
            form.check(&self.commands).await?.execute(&self.commands, &actor).await
        })
        .await
    }

    pub(crate) async fn revoke_sessions(
        &self,
        token: &str,
        id: UserId,
        session_id: Option<String>,
    ) -> Result<i32, Error> {
        self.allowed::<RevokeUserSessions, _, _>(token, |actor| async move {
            RevokeUserSessions { user: UserKey::Id(id), session_id }.execute(&self.commands, &actor).await
        })
        .await
    }

    pub(crate) async fn sessions(&self, token: &str, id: UserId) -> Result<Vec<Session>, Error> {
        self.allowed::<ListUserSessions, _, _>(token, |actor| async move {
            let query = ListUserSessions { user: UserKey::Id(id) };
            let target = query.target(&self.commands, &actor).await?;
            let page = query.execute(&self.commands, &target, PageSize::MAX, None).await?;
            Ok(page.sessions)
        })
        .await
    }
}
