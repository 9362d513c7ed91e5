//! Users as tests meet them: somebody with a name, a password and a session.

use std::ops::Deref;

use api::auth::{LogInRequest, Session};

use crate::Caller;

/// The password of everybody whose password does not matter.
pub const PASSWORD: &str = "a long enough secret";

/// Somebody who is logged in. Calls as itself.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub username: String,
    /// The access token.
    pub token: String,
    /// The session that the token stands for.
    pub session: Session,
    caller: Caller,
}

impl Person {
    /// Logs in with [`PASSWORD`].
    pub async fn log_in(anonymous: &Caller, username: &str) -> Self {
        let request = LogInRequest { username: username.to_owned(), password: PASSWORD.to_owned() };
        let opened = anonymous.ok(request).await.message;
        Self::of(anonymous, username, opened.access_token, opened.session)
    }

    /// Somebody who was given a token and a session.
    #[must_use]
    pub fn of(anonymous: &Caller, username: &str, token: String, session: Option<Session>) -> Self {
        let session = session.expect("a session");
        Self {
            id: session.user_id.clone(),
            username: username.to_owned(),
            caller: anonymous.bearer(&token),
            token,
            session,
        }
    }
}

impl Deref for Person {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}
