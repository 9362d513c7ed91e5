//! Creates a user with a role. An admin may, if it outranks the role.
//!
//! The id and the role are reserved here, the account is registered with its owner, and the account in the reply makes
//! the user visible. A crash between the steps is harmless: an account that was registered is completed by the feed,
//! which finds the reservation; a reservation whose account never came is swept.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use fail_point::{fail_point, mutant};
use identity::{RawPassword, RequestId, Rule, Timestamp, UserId, Username, Violations};

use crate::commands::until_known::until_known;
use crate::commands::{Changed, Command, Context, target};
use crate::domain::{Account, Actor, Permission, Role};
use crate::error::Error;
use crate::ports::{
    IdentityProvider as _, Ids as _, Ports, ProviderError, Requests as _, Reservations as _, Store as _,
    StoredRequest, Transaction as _,
};

/// How long a repeat of a request is recognised, and a reservation is kept whatever happens.
pub(super) const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// The fields as they came.
#[derive(Debug)]
pub struct CreateUserForm {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The role, if it is one.
    pub role: Result<Role, Rule>,
    /// The mark of the request, or nothing.
    pub request_id: String,
}

/// Asks for a new user.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// Its name.
    pub username: Username,
    /// Its password.
    pub password: RawPassword,
    /// Its role.
    pub role: Role,
    /// By what a repeat is recognised.
    pub request_id: Option<RequestId>,
}

/// The id of a request.
#[derive(Clone, Copy)]
struct Reserved {
    id: UserId,
    /// Since when the mark of the request is remembered, if that is by this call.
    claimed: Option<Timestamp>,
}

impl Command for CreateUser {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl CreateUserForm {
    /// Lets the fields through, or names everything that is wrong with them, the owner's policy included.
    pub async fn check<P: Ports>(self, cx: &Context<P>) -> Result<CreateUser, Error> {
        let mut violations = Violations::new();
        let username = violations.field("username", Username::parse(&self.username));
        let password = violations.field("password", RawPassword::parse(self.password));
        let role = violations.field("role", self.role.and_then(assignable));
        let request_id = violations.field("request_id", RequestId::parse_optional(&self.request_id));
        if let Some(password) = &password {
            let broken = cx.provider.check_credential(username.as_ref(), password).await?;
            // A name that broke a rule here was not shown to the owner, and one that broke none there is named once.
            violations.extend(broken.into_iter().filter(|v| v.field != "username" || username.is_some()));
        }
        let fields = username.zip(password).zip(role.zip(request_id));
        let ((username, password), (role, request_id)) =
            violations.finish(fields).map_err(Error::InvalidField)?;
        // A defect: a repeat is taken for another call.
        let request_id = request_id.filter(|_| !mutant("create_user.repeats_are_new"));
        Ok(CreateUser { username, password, role, request_id })
    }
}

fn assignable(role: Role) -> Result<Role, Rule> {
    if role.is_assignable() { Ok(role) } else { Err(Rule::NotAllowed) }
}

impl CreateUser {
    /// Reserves, registers, applies.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        actor.require_rank_above(self.role)?;
        fail_point("create_user.before_reservation");
        let reserved = self.reserve(cx, actor).await?;
        fail_point("create_user.reserved");
        let reply =
            cx.provider.register_account(reserved.id, &self.username, &self.password, Some(actor.id)).await;
        fail_point("create_user.registered");
        if mutant("create_user.reserved_after") {
            let mut tx = cx.store.begin_costly().await?;
            tx.reserve(reserved.id, self.role).await?;
            tx.commit().await?;
        }
        let created = match reply {
            Ok(account) => self.done(cx, actor, &account).await,
            Err(error) => Err(self.refused(cx, actor, reserved, error).await?),
        };
        fail_point("create_user.applied");
        created
    }

    /// Gives the request an id, the same one to each repeat, and reserves it with the role.
    async fn reserve<P: Ports>(&self, cx: &Context<P>, actor: &Actor) -> Result<Reserved, Error> {
        let id = cx.ids.next();
        let claimed = Mutex::new(None);
        until_known(cx, || self.try_to_reserve(cx, actor, id, &claimed)).await
    }

    async fn try_to_reserve<P: Ports>(
        &self,
        cx: &Context<P>,
        actor: &Actor,
        id: UserId,
        claimed: &Mutex<Option<Timestamp>>,
    ) -> Result<Reserved, Error> {
        let mut tx = cx.store.begin_costly().await?;
        let reserved = match self.request_id {
            Some(request_id) => {
                // First of all, so that parallel repeats wait here for the id that they are all given.
                let claim = tx.claim_request(&self.stored(id, actor, request_id), REMEMBERED).await?;
                // A defect: a repeat is not known by its mark.
                let is_refused = !claim.is_new && mutant("create_user.repeats_are_refused");
                if is_refused || !self.repeats(&claim.remembered) {
                    return Err(Error::RequestIdReused);
                }
                // It may be the claim of an attempt before this one, of whose commit nothing was heard: then it is ours
                // unless a repeat has confirmed it since.
                let mut ours = claimed.lock().unwrap_or_else(PoisonError::into_inner);
                if claim.is_new {
                    *ours = Some(claim.time);
                }
                let claimed = ours.filter(|time| *time == claim.time);
                Reserved { id: claim.remembered.user_id, claimed }
            }
            None => Reserved { id, claimed: None },
        };
        // A defect: the role is reserved only when the account is registered.
        if !mutant("create_user.reserved_after") {
            tx.reserve(reserved.id, self.role).await?;
        }
        // A defect: something stays behind each time.
        if mutant("create_user.leaves_a_reservation") {
            tx.reserve(cx.ids.next(), self.role).await?;
        }
        fail_point("create_user.before_commit_of_reservation");
        tx.commit().await?;
        Ok(reserved)
    }

    /// Every field but the password, which only the owner can compare.
    fn repeats(&self, earlier: &StoredRequest) -> bool {
        earlier.username == self.username.as_str() && earlier.role == self.role
    }

    fn stored(&self, user_id: UserId, actor: &Actor, request_id: RequestId) -> StoredRequest {
        StoredRequest {
            caller: actor.id,
            request_id,
            username: self.username.as_str().to_owned(),
            role: self.role,
            user_id,
        }
    }

    /// Applies the account, and makes sure that a repeat is recognised: while this call was at it, an earlier one may have
    /// been refused for the moment, and have released the mark that both have.
    async fn done<P: Ports>(
        &self,
        cx: &Context<P>,
        actor: &Actor,
        account: &Account,
    ) -> Result<Changed, Error> {
        let created = target::applied(cx, account).await?;
        if let Some(request_id) = self.request_id {
            let request = self.stored(account.id, actor, request_id);
            let confirmed = until_known(cx, || async {
                let mut tx = cx.store.begin_costly().await?;
                tx.confirm_request(&request).await?;
                Ok(tx.commit().await?)
            });
            confirmed.await.map_err(target::after_the_change)?;
        }
        Ok(created)
    }

    /// After a refusal for good nothing is left here. After one for the moment the mark of the request is free again for
    /// other content, unless an earlier call is at it, and the reservation stays, since a repeat may be using it. After
    /// any other failure everything stays, because the account may yet appear.
    async fn refused<P: Ports>(
        &self,
        cx: &Context<P>,
        actor: &Actor,
        reserved: Reserved,
        error: ProviderError,
    ) -> Result<Error, Error> {
        match error {
            ProviderError::UsernameTaken => {
                give_up(cx, reserved.id).await?;
                Ok(Error::UsernameTaken(self.username.clone()))
            }
            ProviderError::InvalidField(violations) => {
                give_up(cx, reserved.id).await?;
                Ok(Error::InvalidField(violations))
            }
            busy @ (ProviderError::HasherBusy { .. } | ProviderError::RateLimited { .. }) => {
                self.release(cx, actor, reserved).await?;
                Ok(busy.into())
            }
            ProviderError::AccountIdTaken if self.request_id.is_some() => Ok(Error::RequestIdReused),
            error => Ok(error.into()),
        }
    }

    /// Only what succeeded is remembered.
    async fn release<P: Ports>(
        &self,
        cx: &Context<P>,
        actor: &Actor,
        reserved: Reserved,
    ) -> Result<(), Error> {
        let Some((request_id, time)) = self.request_id.zip(reserved.claimed) else { return Ok(()) };
        let request = self.stored(reserved.id, actor, request_id);
        until_known(cx, || async {
            let mut tx = cx.store.begin_costly().await?;
            tx.release_request(&request, time).await?;
            Ok(tx.commit().await?)
        })
        .await
    }
}

/// Undoes a reservation.
pub(super) async fn give_up<P: Ports>(cx: &Context<P>, id: UserId) -> Result<(), Error> {
    until_known(cx, || async move {
        let mut tx = cx.store.begin_costly().await?;
        tx.give_up(id).await?;
        Ok(tx.commit().await?)
    })
    .await
}

#[cfg(test)]
mod tests;
