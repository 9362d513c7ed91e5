//! The rpcs: admit, parse, execute, answer.

use api::users as pb;
use api::users::users_service_server::UsersService;
use tonic::{Request, async_trait};
use users_core::commands::{
    CatchUp, CreateUser, FindUser, GrantAdmin, InactivateUser, ListUserSessions, ReactivateUser, RevokeAdmin,
    RevokeUserSessions, SetUserPassword,
};
use users_core::domain::Permission;
use users_core::ports::Ports;
use users_core::queries::{GetCurrentUser, GetUser, ListUsers};

use super::{Answer, Handlers, page, wire};

#[async_trait]
impl<P: Ports> UsersService for Handlers<P> {
    async fn create_user(&self, request: Request<pb::CreateUserRequest>) -> Answer<pb::CreateUserResponse> {
        self.commanded::<CreateUser, _, _, _>(request, |users, actor, message| async move {
            let command = wire::create_user(message).check(&users.commands).await?;
            let created = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&created);
            Ok(pb::CreateUserResponse { user, consistency_token })
        })
        .await
    }

    async fn get_user(&self, request: Request<pb::GetUserRequest>) -> Answer<pb::GetUserResponse> {
        let needs = |actor: &_, message: &_| GetUser::needs(actor, wire::named(message));
        self.admitted_if(request, false, needs, |users, _, message| async move {
            let (user, token) = wire::get_user(message)?;
            let caught_up = CatchUp { token }.execute(&users.commands).await?;
            let found = GetUser { user: user.clone() }.execute(&users.queries, &caught_up).await?;
            let user = FindUser { user, found }.execute(&users.commands).await?;
            Ok(pb::GetUserResponse { user: Some(wire::user(&user)) })
        })
        .await
    }

    async fn get_current_user(
        &self,
        request: Request<pb::GetCurrentUserRequest>,
    ) -> Answer<pb::GetCurrentUserResponse> {
        let skip_renewal = request.get_ref().skip_renewal;
        let needs = |_: &_, _: &_| Permission::BeOneself;
        self.admitted_if(request, skip_renewal, needs, |users, actor, message| async move {
            let token = wire::consistency_token(&message.consistency_token)?;
            let caught_up = CatchUp { token }.execute(&users.commands).await?;
            let user = GetCurrentUser.execute(&users.queries, &actor, &caught_up).await?;
            Ok(pb::GetCurrentUserResponse { user: Some(wire::user(&user)) })
        })
        .await
    }

    async fn list_users(&self, request: Request<pb::ListUsersRequest>) -> Answer<pb::ListUsersResponse> {
        self.admitted::<ListUsers, _, _, _>(request, |users, _, message| async move {
            let (query, token) = wire::list_users(&message)?;
            let after = page::open(&users.page_tokens, &message)?;
            let caught_up = CatchUp { token }.execute(&users.commands).await?;
            let found = ListUsers { after, ..query }.execute(&users.queries, &caught_up).await?;
            Ok(pb::ListUsersResponse {
                users: found.users.iter().map(wire::user).collect(),
                next_page_token: page::seal(&users.page_tokens, &message, found.next.as_ref()),
                total_size: found.total.unwrap_or(0),
            })
        })
        .await
    }

    async fn inactivate_user(
        &self,
        request: Request<pb::InactivateUserRequest>,
    ) -> Answer<pb::InactivateUserResponse> {
        self.commanded::<InactivateUser, _, _, _>(request, |users, actor, message| async move {
            let command = wire::inactivate_user(message)?;
            let changed = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&changed);
            Ok(pb::InactivateUserResponse { user, consistency_token })
        })
        .await
    }

    async fn reactivate_user(
        &self,
        request: Request<pb::ReactivateUserRequest>,
    ) -> Answer<pb::ReactivateUserResponse> {
        self.commanded::<ReactivateUser, _, _, _>(request, |users, actor, message| async move {
            let command = wire::reactivate_user(message)?;
            let changed = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&changed);
            Ok(pb::ReactivateUserResponse { user, consistency_token })
        })
        .await
    }

    async fn grant_admin(&self, request: Request<pb::GrantAdminRequest>) -> Answer<pb::GrantAdminResponse> {
        self.commanded::<GrantAdmin, _, _, _>(request, |users, actor, message| async move {
            let command = wire::grant_admin(message)?;
            let changed = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&changed);
            Ok(pb::GrantAdminResponse { user, consistency_token })
        })
        .await
    }

    async fn revoke_admin(
        &self,
        request: Request<pb::RevokeAdminRequest>,
    ) -> Answer<pb::RevokeAdminResponse> {
        self.commanded::<RevokeAdmin, _, _, _>(request, |users, actor, message| async move {
            let command = wire::revoke_admin(message)?;
            let changed = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&changed);
            Ok(pb::RevokeAdminResponse { user, consistency_token })
        })
        .await
    }

    async fn set_user_password(
        &self,
        request: Request<pb::SetUserPasswordRequest>,
    ) -> Answer<pb::SetUserPasswordResponse> {
        self.commanded::<SetUserPassword, _, _, _>(request, |users, actor, message| async move {
            let command = wire::set_user_password(message).check(&users.commands).await?;
            let changed = command.execute(&users.commands, &actor).await?;
            let (user, consistency_token) = wire::changed(&changed);
            Ok(pb::SetUserPasswordResponse { user, consistency_token })
        })
        .await
    }

    async fn list_user_sessions(
        &self,
        request: Request<pb::ListUserSessionsRequest>,
    ) -> Answer<pb::ListUserSessionsResponse> {
        self.admitted::<ListUserSessions, _, _, _>(request, |users, actor, message| async move {
            let (query, page_size, token) = wire::list_user_sessions(message)?;
            let after = page::open_sessions(&users.page_tokens, &query.user, &token)?;
            let whose = query.user.clone();
            let target = query.target(&users.commands, &actor).await?;
            let found = query.execute(&users.commands, &target, page_size, after.as_deref()).await?;
            let next = found.next.as_deref();
            Ok(pb::ListUserSessionsResponse {
                next_page_token: page::seal_sessions(&users.page_tokens, &whose, next),
                sessions: found.sessions.into_iter().map(wire::session).collect(),
            })
        })
        .await
    }

    async fn revoke_user_sessions(
        &self,
        request: Request<pb::RevokeUserSessionsRequest>,
    ) -> Answer<pb::RevokeUserSessionsResponse> {
        self.commanded::<RevokeUserSessions, _, _, _>(request, |users, actor, message| async move {
            let command = wire::revoke_user_sessions(message)?;
            let revoked_count = command.execute(&users.commands, &actor).await?;
            Ok(pb::RevokeUserSessionsResponse { revoked_count })
        })
        .await
    }
}
