//! Which rpc a message belongs to: written down once, so that a test names the message only.

use api::auth::auth_service_client::AuthServiceClient;
use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use api::users::users_service_client::UsersServiceClient;
use api::{auth, identity as port, users};
use tonic::{Request, Response, Status};

use crate::{AUTH, Endpoints, IDENTITY, USERS};

/// The request message of a unary rpc.
pub trait Call: prost::Message + Clone + 'static {
    /// What is answered.
    type Answer: prost::Message + Clone + 'static;
    /// The name of the message in the protobuf.
    const NAME: &'static str;
    /// That of what is answered.
    const ANSWER: &'static str;
    /// Whose errors to expect.
    const DOMAIN: &'static str;

    /// Makes the call through the generated client.
    fn send(
        to: &Endpoints,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Response<Self::Answer>, Status>> + Send;
}

macro_rules! calls {
    ($package:ident of $name:literal, $domain:ident, $client:ident over $listener:ident: $($method:ident($request:ident) -> $answer:ident;)+) => { $(
        impl Call for $package::$request {
            type Answer = $package::$answer;
            const NAME: &'static str = concat!($name, ".", stringify!($request));
            const ANSWER: &'static str = concat!($name, ".", stringify!($answer));
            const DOMAIN: &'static str = $domain;

            async fn send(to: &Endpoints, request: Request<Self>) -> Result<Response<Self::Answer>, Status> {
                $client::new(to.$listener.clone()).$method(request).await
            }
        }
    )+ };
}

calls! { auth of "tandem.auth.v1", AUTH, AuthServiceClient over auth:
    sign_up(SignUpRequest) -> SignUpResponse;
    log_in(LogInRequest) -> LogInResponse;
    log_out(LogOutRequest) -> LogOutResponse;
    refresh_session(RefreshSessionRequest) -> RefreshSessionResponse;
    get_current_session(GetCurrentSessionRequest) -> GetCurrentSessionResponse;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    revoke_session(RevokeSessionRequest) -> RevokeSessionResponse;
    revoke_all_sessions(RevokeAllSessionsRequest) -> RevokeAllSessionsResponse;
    change_password(ChangePasswordRequest) -> ChangePasswordResponse;
}

calls! { port of "tandem.identity.v1", IDENTITY, IdentityProviderServiceClient over internal:
    authenticate(AuthenticateRequest) -> AuthenticateResponse;
    get_account(GetAccountRequest) -> GetAccountResponse;
    check_credential(CheckCredentialRequest) -> CheckCredentialResponse;
    register_account(RegisterAccountRequest) -> RegisterAccountResponse;
    set_password(SetPasswordRequest) -> SetPasswordResponse;
    enable_account(EnableAccountRequest) -> EnableAccountResponse;
    disable_account(DisableAccountRequest) -> DisableAccountResponse;
    revoke_sessions(RevokeSessionsRequest) -> RevokeSessionsResponse;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse;
}

calls! { users of "tandem.users.v1", USERS, UsersServiceClient over users:
    create_user(CreateUserRequest) -> CreateUserResponse;
    get_user(GetUserRequest) -> GetUserResponse;
    get_current_user(GetCurrentUserRequest) -> GetCurrentUserResponse;
    list_users(ListUsersRequest) -> ListUsersResponse;
    inactivate_user(InactivateUserRequest) -> InactivateUserResponse;
    reactivate_user(ReactivateUserRequest) -> ReactivateUserResponse;
    grant_admin(GrantAdminRequest) -> GrantAdminResponse;
    revoke_admin(RevokeAdminRequest) -> RevokeAdminResponse;
    set_user_password(SetUserPasswordRequest) -> SetUserPasswordResponse;
    list_user_sessions(ListUserSessionsRequest) -> ListUserSessionsResponse;
    revoke_user_sessions(RevokeUserSessionsRequest) -> RevokeUserSessionsResponse;
}
