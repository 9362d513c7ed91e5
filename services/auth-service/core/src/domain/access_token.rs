use std::fmt;

use fail_point::confide;
use identity::{Timestamp, UserId};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Session, SessionId};

/// A signed access token. Whoever has it is the user, so `Debug` does not show it.
#[derive(Clone)]
pub struct AccessToken(SecretString);

impl AccessToken {
    /// Takes what the signer made.
    #[must_use]
    pub fn new(token: String) -> Self {
        confide("a token", &token);
        Self(SecretString::from(token))
    }

    /// The token itself, for the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// What an access token says, and all that it says. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `sub`: whose token it is.
    pub user_id: UserId,
    /// `sid`: of which session.
    pub session_id: SessionId,
    /// `iat`: when it was issued.
    pub issue_time: Timestamp,
    /// `exp`: when it ends, the idle expiry of its session.
    pub expire_time: Timestamp,
    /// `auth_time`: when the user last proved the password.
    pub authenticated_time: Timestamp,
}

impl Claims {
    /// The claims of a token issued now for a session.
    #[must_use]
    pub fn of(session: &Session, now: Timestamp) -> Self {
        Self {
            user_id: session.user_id,
            session_id: session.id.clone(),
            issue_time: super::session::whole_seconds(now),
            expire_time: session.expire_time,
            authenticated_time: super::session::whole_seconds(session.authenticated_time),
        }
    }
}

/// A token that takes the place of an older one of the same session.
#[derive(Clone, Debug)]
pub struct RenewedToken {
    /// The new token.
    pub token: AccessToken,
    /// When it expires.
    pub expire_time: Timestamp,
}
