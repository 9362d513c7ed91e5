//! What the owner of accounts says about them: the other context's side of a user, as it travels through the port.

use std::fmt;

use fail_point::confide;
use identity::{AccountVersion, Timestamp, UserId, Username};

use crate::domain::State;

/// The state of an account at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's id, which is the user's.
    pub id: UserId,
    /// The username as it was entered.
    pub username: Username,
    /// Whether it may be used.
    pub state: State,
    /// When it was registered.
    pub create_time: Timestamp,
    /// When its state or password last changed.
    pub update_time: Timestamp,
    /// The version that this is.
    pub version: AccountVersion,
}

/// A bearer token as it was received. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(String);

impl AccessToken {
    /// Takes a token, whatever it is worth.
    #[must_use]
    pub fn new(token: String) -> Self {
        confide("a token", &token);
        Self(token)
    }

    /// The token itself, for the port and for the caller it belongs to.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// What a token is worth. A denial is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authenticated {
    /// It admits this end user.
    Admitted {
        /// Whom.
        principal: Principal,
        /// The token to use from now on, when the old one was near its end.
        renewed: Option<RenewedToken>,
    },
    /// It admits nobody.
    Denied,
}

/// The end user behind a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who it is.
    pub id: UserId,
    /// The version of the account at this moment.
    pub version: AccountVersion,
}

/// A token that takes the place of an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewedToken {
    /// The new token.
    pub token: AccessToken,
    /// When it expires.
    pub expire_time: Timestamp,
}
