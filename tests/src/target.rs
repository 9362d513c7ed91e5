//! Naming the user that a request is about: the `oneof user` of whatever request it stands in.

use api::identity as port;
use api::users;

/// The `oneof` of a request that names somebody by id or by username.
pub trait ByKey {
    /// By id.
    fn id(id: String) -> Self;
    /// By username.
    fn name(name: String) -> Self;
}

/// Names somebody by id.
#[must_use]
pub fn by_id<K: ByKey>(id: &str) -> Option<K> {
    Some(K::id(id.to_owned()))
}

/// Names somebody by username.
#[must_use]
pub fn by_name<K: ByKey>(name: &str) -> Option<K> {
    Some(K::name(name.to_owned()))
}

macro_rules! by_key {
    ($($request:ident),+) => { $(
        impl ByKey for users::$request::User {
            fn id(id: String) -> Self {
                Self::UserId(id)
            }

            fn name(name: String) -> Self {
                Self::Username(name)
            }
        }
    )+ };
}

by_key!(
    get_user_request,
    inactivate_user_request,
    reactivate_user_request,
    grant_admin_request,
    revoke_admin_request,
    set_user_password_request,
    list_user_sessions_request,
    revoke_user_sessions_request
);

impl ByKey for port::get_account_request::Key {
    fn id(id: String) -> Self {
        Self::AccountId(id)
    }

    fn name(name: String) -> Self {
        Self::Username(name)
    }
}
