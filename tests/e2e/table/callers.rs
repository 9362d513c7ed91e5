//! The callers and the targets of the table.

use api::auth::LogOutRequest;
use api::users::{InactivateUserRequest, UserRole};
use chrono::TimeDelta;
use e2e::{Caller, Pair, Person, by_id};

use super::UNKNOWN;

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NoToken,
    Malformed,
    Expired,
    Revoked,
    Inactive,
    User,
    Admin,
    SuperAdmin,
    NoCredential,
    WrongCredential,
    Verify,
    Full,
}

/// A kind of target, by its rank beside the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The method has none.
    None,
    Oneself,
    Lower,
    Equal,
    Higher,
    Unknown,
}

impl Target {
    pub(super) const ALL: [Self; 5] = [Self::Oneself, Self::Lower, Self::Equal, Self::Higher, Self::Unknown];
}

/// Somebody in a cell. Who has no user is nobody.
pub(super) struct Player {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) role: UserRole,
    pub(super) session_id: String,
    pub(super) caller: Caller,
}

/// Everybody who plays a part.
pub(super) struct Cast {
    pub(super) app: Pair,
    expired: Person,
    revoked: Person,
    inactive: Person,
    /// Who is only ever refused, or not changed: one of each role.
    extras: [Person; 3],
}

const RANKS: [UserRole; 3] = [UserRole::User, UserRole::Admin, UserRole::SuperAdmin];

impl Cast {
    pub(super) async fn assemble() -> Self {
        let mut app = Pair::start().await;
        let expired = app.somebody(UserRole::Admin).await;
        app.clock.advance(TimeDelta::minutes(31));
        app.super_admin = app.log_in("superadmin").await;
        let revoked = app.somebody(UserRole::Admin).await;
        revoked.ok(LogOutRequest {}).await;
        let inactive = app.somebody(UserRole::Admin).await;
        app.super_admin.ok(InactivateUserRequest { user: by_id(&inactive.id), etag: String::new() }).await;
        let extras =
            [app.somebody(RANKS[0]).await, app.somebody(RANKS[1]).await, app.somebody(RANKS[2]).await];
        Self { app, expired, revoked, inactive, extras }
    }

    /// Somebody of a kind; a fresh one where the call may change it.
    pub(super) async fn caller(&self, kind: Kind, fresh: bool) -> Player {
        let app = &self.app;
        match kind {
            Kind::NoToken | Kind::NoCredential => nobody(&app.anonymous),
            Kind::Malformed => nobody(&app.anonymous.bearer("not.a.token")),
            Kind::WrongCredential => nobody(&app.anonymous.bearer(&app.super_admin.token)),
            Kind::Verify => nobody(&app.verify),
            Kind::Full => nobody(&app.full),
            Kind::Expired => player(&self.expired, UserRole::Admin),
            Kind::Revoked => player(&self.revoked, UserRole::Admin),
            Kind::Inactive => player(&self.inactive, UserRole::Admin),
            Kind::User => self.somebody(UserRole::User, fresh).await,
            Kind::Admin => self.somebody(UserRole::Admin, fresh).await,
            Kind::SuperAdmin => self.somebody(UserRole::SuperAdmin, fresh).await,
        }
    }

    /// Everybody who is such a target for the caller.
    pub(super) async fn targets(&self, caller: &Player, target: Target, fresh: bool) -> Vec<Player> {
        let rank = RANKS.iter().position(|role| *role == caller.role).expect("a role");
        let roles = match target {
            Target::None | Target::Oneself => {
                return vec![Player {
                    caller: caller.caller.clone(),
                    session_id: caller.session_id.clone(),
                    id: caller.id.clone(),
                    username: caller.username.clone(),
                    role: caller.role,
                }];
            }
            Target::Unknown => {
                let [id, name] = UNKNOWN;
                return vec![Player { id: id.into(), username: name.into(), ..nobody(&self.app.anonymous) }];
            }
            Target::Lower => &RANKS[..rank],
            Target::Equal => &RANKS[rank..=rank],
            Target::Higher => &RANKS[rank + 1..],
        };
        let mut players = Vec::new();
        for role in roles {
            // Nobody is its own equal.
            players.push(self.somebody(*role, fresh || target == Target::Equal).await);
        }
        players
    }

    async fn somebody(&self, role: UserRole, fresh: bool) -> Player {
        if fresh {
            return player(&self.app.somebody(role).await, role);
        }
        let rank = RANKS.iter().position(|other| *other == role).expect("a role");
        player(&self.extras[rank], role)
    }
}

/// Has the rank of an admin, so that there are targets of every kind.
fn nobody(caller: &Caller) -> Player {
    Player {
        id: String::new(),
        username: String::new(),
        role: UserRole::Admin,
        session_id: "0".repeat(32),
        caller: caller.clone(),
    }
}

fn player(person: &Person, role: UserRole) -> Player {
    Player {
        id: person.id.clone(),
        username: person.username.clone(),
        role,
        session_id: person.session.session_id.clone(),
        caller: (**person).clone(),
    }
}
