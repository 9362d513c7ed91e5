//! Messages and the values they stand for. Fields are parsed here, all of them, so that everything that is wrong with a
//! request is said at once.

use api::users as pb;
use fail_point::mutant;
use identity::{
    ConsistencyToken, PageSize, RawPassword, Rule, Timestamp, UserId, Username, UsernamePrefix, Violations,
};
use users_core::Error;
use users_core::commands::{
    Changed, CreateUserForm, GrantAdmin, InactivateUser, ListUserSessions, ReactivateUser, RevokeAdmin,
    RevokeUserSessions, SetUserPasswordForm,
};
use users_core::domain::{Expected, Role, Session, State, User, UserKey};
use users_core::queries::{Direction, ListUsers, MAX_SKIP, Named, Order, SortBy, UserFilter};

/// The field of every query that names a write.
const CONSISTENCY_TOKEN: &str = "consistency_token";

/// Whom a request names, before it is checked: the `oneof user` of every request that has one.
enum Target {
    UserId(String),
    Username(String),
    Nobody,
}

macro_rules! targets {
    ($($request:ident),+) => { $(
        impl From<Option<pb::$request::User>> for Target {
            fn from(user: Option<pb::$request::User>) -> Self {
                match user {
                    Some(pb::$request::User::UserId(id)) => Self::UserId(id),
                    Some(pb::$request::User::Username(username)) => Self::Username(username),
                    None => Self::Nobody,
                }
            }
        }
    )+ };
}

targets!(
    get_user_request,
    inactivate_user_request,
    reactivate_user_request,
    grant_admin_request,
    revoke_admin_request,
    set_user_password_request,
    list_user_sessions_request,
    revoke_user_sessions_request
);

impl Target {
    /// The user that is named, or the field that names nobody and why.
    fn parse(&self) -> Result<UserKey, (&'static str, Vec<Rule>)> {
        match self {
            Self::UserId(id) => UserId::parse(id).map(UserKey::Id).map_err(|rule| ("user_id", vec![rule])),
            Self::Username(name) => {
                Username::parse(name).map(UserKey::Username).map_err(|rules| ("username", rules))
            }
            Self::Nobody => Err(("user", vec![Rule::Required])),
        }
    }

    fn note(&self, violations: &mut Violations) -> Option<UserKey> {
        match self.parse() {
            Ok(key) => Some(key),
            Err((field, rules)) => violations.field(field, Err(rules)),
        }
    }
}

/// A request that may be about somebody.
pub(super) trait About {
    /// Whom it names, by the id or name that was given, if it is one.
    fn about(&self) -> Option<String>;
}

/// A request for something that is written down, however it ends.
pub(super) trait Audited: About {
    /// What it is called there.
    const EVENT: &'static str;
}

macro_rules! about_the_target {
    ($($request:ident),+) => { $(
        impl About for pb::$request {
            fn about(&self) -> Option<String> {
                Target::from(self.user.clone()).parse().ok().map(|key| key.to_string())
            }
        }
    )+ };
}

macro_rules! audited {
    ($($request:ident: $event:literal),+ $(,)?) => { $(
        impl Audited for pb::$request {
            const EVENT: &'static str = $event;
        }
    )+ };
}

about_the_target!(
    GetUserRequest,
    InactivateUserRequest,
    ReactivateUserRequest,
    GrantAdminRequest,
    RevokeAdminRequest,
    SetUserPasswordRequest,
    ListUserSessionsRequest,
    RevokeUserSessionsRequest
);

audited!(
    CreateUserRequest: "create_user",
    InactivateUserRequest: "inactivate_user",
    ReactivateUserRequest: "reactivate_user",
    GrantAdminRequest: "grant_admin",
    RevokeAdminRequest: "revoke_admin",
    SetUserPasswordRequest: "set_user_password",
    RevokeUserSessionsRequest: "revoke_user_sessions",
);

impl About for pb::CreateUserRequest {
    fn about(&self) -> Option<String> {
        Username::parse(&self.username).ok().map(|username| username.to_string())
    }
}

impl About for pb::GetCurrentUserRequest {
    fn about(&self) -> Option<String> {
        None
    }
}

impl About for pb::ListUsersRequest {
    fn about(&self) -> Option<String> {
        None
    }
}

/// The same as it stands in a request that is still to be authorized.
pub(super) fn named(request: &pb::GetUserRequest) -> Named<'_> {
    match &request.user {
        Some(pb::get_user_request::User::UserId(id)) => Named::Id(id),
        Some(pb::get_user_request::User::Username(username)) => Named::Username(username),
        None => Named::Nobody,
    }
}

/// The one user that a request names, when there is nothing else to check.
fn target(user: impl Into<Target>) -> Result<UserKey, Error> {
    let mut violations = Violations::new();
    let key = user.into().note(&mut violations);
    violations.finish(key).map_err(Error::InvalidField)
}

macro_rules! commands_with_etag {
    ($($name:ident: $request:ident => $command:ident),+ $(,)?) => { $(
        /// What such a request asks for.
        pub(super) fn $name(request: pb::$request) -> Result<$command, Error> {
            Ok($command { user: target(request.user)?, expected: Expected::parse(&request.etag) })
        }
    )+ };
}

commands_with_etag!(
    inactivate_user: InactivateUserRequest => InactivateUser,
    reactivate_user: ReactivateUserRequest => ReactivateUser,
    grant_admin: GrantAdminRequest => GrantAdmin,
    revoke_admin: RevokeAdminRequest => RevokeAdmin,
);

/// The fields of a request for a new user.
pub(super) fn create_user(request: pb::CreateUserRequest) -> CreateUserForm {
    CreateUserForm {
        role: parse_role(request.role),
        username: request.username,
        password: request.password,
        request_id: request.request_id,
    }
}

/// The fields of a request for another password.
pub(super) fn set_user_password(request: pb::SetUserPasswordRequest) -> SetUserPasswordForm {
    SetUserPasswordForm {
        user: Target::from(request.user).parse(),
        password: RawPassword::parse(request.password),
    }
}

/// What a request to end sessions asks for.
pub(super) fn revoke_user_sessions(
    request: pb::RevokeUserSessionsRequest,
) -> Result<RevokeUserSessions, Error> {
    let session_id = Some(request.session_id).filter(|id| !id.is_empty());
    Ok(RevokeUserSessions { user: target(request.user)?, session_id })
}

/// What a request for sessions asks for, and the page token, which only the user's own key opens.
pub(super) fn list_user_sessions(
    request: pb::ListUserSessionsRequest,
) -> Result<(ListUserSessions, PageSize, String), Error> {
    let mut violations = Violations::new();
    let user = Target::from(request.user).note(&mut violations);
    let page_size = violations.field("page_size", PageSize::parse(request.page_size));
    let (user, page_size) = violations.finish(user.zip(page_size)).map_err(Error::InvalidField)?;
    Ok((ListUserSessions { user }, page_size, request.page_token))
}

/// What a request for a user asks for.
pub(super) fn get_user(request: pb::GetUserRequest) -> Result<(UserKey, Option<ConsistencyToken>), Error> {
    let mut violations = Violations::new();
    let user = Target::from(request.user).note(&mut violations);
    let token =
        violations.field(CONSISTENCY_TOKEN, ConsistencyToken::parse_optional(&request.consistency_token));
    violations.finish(user.zip(token)).map_err(Error::InvalidField)
}

/// The write that has to be visible, if one is named.
pub(super) fn consistency_token(text: &str) -> Result<Option<ConsistencyToken>, Error> {
    let mut violations = Violations::new();
    let token = violations.field(CONSISTENCY_TOKEN, ConsistencyToken::parse_optional(text));
    violations.finish(token).map_err(Error::InvalidField)
}

/// What a request for users asks for, but for the place, which is in its page token.
pub(super) fn list_users(
    request: &pb::ListUsersRequest,
) -> Result<(ListUsers, Option<ConsistencyToken>), Error> {
    let mut violations = Violations::new();
    let page_size = violations.field("page_size", PageSize::parse(request.page_size));
    let skip = violations.field("skip", parse_skip(request.skip));
    let order = violations.field("order_by", parse_order(&request.order_by));
    let roles = note_each(&mut violations, "roles", &request.roles, parse_role);
    let states = note_each(&mut violations, "states", &request.states, parse_state);
    let prefix = violations.field("username_prefix", UsernamePrefix::parse(&request.username_prefix));
    let token =
        violations.field(CONSISTENCY_TOKEN, ConsistencyToken::parse_optional(&request.consistency_token));
    let fields = page_size.zip(skip).zip(order.zip(prefix)).zip(token);
    let (((page_size, skip), (order, prefix)), token) =
        violations.finish(fields).map_err(Error::InvalidField)?;
    let filter = UserFilter { roles, states, prefix };
    let include_total = request.include_total;
    Ok((ListUsers { order, filter, after: None, skip, page_size, include_total }, token))
}

fn note_each<T: PartialEq>(
    violations: &mut Violations,
    field: &str,
    numbers: &[i32],
    parse: impl Fn(i32) -> Result<T, Rule>,
) -> Vec<T> {
    let mut values = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let value = violations.field(&format!("{field}[{index}]"), parse(*number));
        values.extend(value.filter(|value| !values.contains(value)));
    }
    values
}

fn parse_skip(skip: i32) -> Result<u16, Rule> {
    u16::try_from(skip)
        .ok()
        .filter(|skip| *skip <= MAX_SKIP)
        .ok_or(Rule::OutOfRange { min: 0, max: MAX_SKIP.into() })
}

fn parse_order(text: &str) -> Result<Order, Rule> {
    if text.is_empty() {
        return Ok(Order { by: SortBy::UpdateTime, direction: Direction::Descending });
    }
    let (name, direction) = match text.strip_suffix(" desc") {
        Some(name) => (name, Direction::Descending),
        None => (text, Direction::Ascending),
    };
    let by = match name {
        "username" => SortBy::Username,
        "role" => SortBy::Role,
        "state" => SortBy::State,
        "create_time" => SortBy::CreateTime,
        "update_time" => SortBy::UpdateTime,
        _ => return Err(Rule::UnknownOrder),
    };
    Ok(Order { by, direction })
}

fn parse_role(number: i32) -> Result<Role, Rule> {
    match pb::UserRole::try_from(number) {
        Ok(pb::UserRole::User) => Ok(Role::User),
        Ok(pb::UserRole::Admin) => Ok(Role::Admin),
        Ok(pb::UserRole::SuperAdmin) => Ok(Role::SuperAdmin),
        Ok(pb::UserRole::Unspecified) => Err(Rule::Unspecified),
        Err(_) => Err(Rule::UnknownValue),
    }
}

fn parse_state(number: i32) -> Result<State, Rule> {
    match pb::UserState::try_from(number) {
        Ok(pb::UserState::Active) => Ok(State::Active),
        Ok(pb::UserState::Inactive) => Ok(State::Inactive),
        Ok(pb::UserState::Unspecified) => Err(Rule::Unspecified),
        Err(_) => Err(Rule::UnknownValue),
    }
}

/// A role on the wire.
pub(super) const fn role(role: Role) -> pb::UserRole {
    match role {
        Role::User => pb::UserRole::User,
        Role::Admin => pb::UserRole::Admin,
        Role::SuperAdmin => pb::UserRole::SuperAdmin,
    }
}

const fn state(state: State) -> pb::UserState {
    match state {
        State::Active => pb::UserState::Active,
        State::Inactive => pb::UserState::Inactive,
    }
}

/// A user on the wire.
pub(super) fn user(user: &User) -> pb::User {
    // A defect: nobody is shown as inactive.
    let shown = if mutant("users.shown_as_active") { State::Active } else { user.state };
    pb::User {
        user_id: user.id.to_string(),
        username: user.username.as_str().to_owned(),
        role: role(user.role).into(),
        state: state(shown).into(),
        create_time: Some(time(user.create_time)),
        update_time: Some(time(user.update_time)),
        etag: user.etag().to_string(),
    }
}

/// What every change answers: the user as it is now, and the token of the write.
pub(super) fn changed(changed: &Changed) -> (Option<pb::User>, String) {
    (Some(user(&changed.user)), changed.token.encode())
}

/// A session on the wire.
pub(super) fn session(session: Session) -> pb::Session {
    pb::Session {
        session_id: session.id,
        user_id: session.user_id.to_string(),
        create_time: Some(time(session.create_time)),
        expire_time: Some(time(session.expire_time)),
        absolute_expire_time: Some(time(session.absolute_expire_time)),
        last_used_time: Some(time(session.last_used_time)),
        authenticated_time: Some(time(session.authenticated_time)),
        user_agent: session.user_agent,
        peer_address: session.peer_address,
    }
}

fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
