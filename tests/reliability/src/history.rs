//! What was called, when, where, and what came of it. By one clock, that of the process that made the calls.
//!
//! No secret is in here: a password is its number, a token the session that it stands for.

mod shown;

use std::fmt;
use std::time::Duration;

use e2e::Service;

/// A moment, since the history began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Before everything.
    pub const FIRST: Self = Self(Duration::ZERO);
    /// After everything: when something ends of which nobody knows that it has ended.
    pub const NEVER: Self = Self(Duration::MAX);

    /// So long after the beginning.
    #[must_use]
    pub const fn after(beginning: Duration) -> Self {
        Self(beginning)
    }

    /// How long after the beginning.
    #[must_use]
    pub const fn since_beginning(self) -> Duration {
        self.0
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER { f.write_str("?") } else { write!(f, "{:.6}", self.0.as_secs_f64()) }
    }
}

/// From a moment until another. Whatever took effect did so at some moment in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub from: Moment,
    /// Not after.
    pub until: Moment,
}

impl Span {
    /// Whether it is over before the other begins.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.until < other.from
    }
}

/// A password, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Secret(pub u32);

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees itself.
    User,
    /// Administers users.
    Admin,
    /// Administers admins.
    SuperAdmin,
}

/// An rpc, or a command of an operator.
#[expect(missing_docs, reason = "each is the rpc of its name")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Does {
    SignUp,
    LogIn,
    LogOut,
    RefreshSession,
    GetCurrentSession,
    ListSessions,
    RevokeSession,
    RevokeAllSessions,
    ChangePassword,
    CreateUser,
    GetUser,
    GetCurrentUser,
    ListUsers,
    InactivateUser,
    ReactivateUser,
    GrantAdmin,
    RevokeAdmin,
    SetUserPassword,
    ListUserSessions,
    RevokeUserSessions,
    /// `users-service bootstrap-super-admin`.
    Bootstrap,
    /// `users-service demote-super-admin`.
    Demote,
    /// Nobody calls and nothing fails, and it is seen that no process has anything under way (see [`crate::rest`]).
    Rest,
}

impl Does {
    /// Whether it changes a user whom others see.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::ChangePassword
                | Self::SetUserPassword
                | Self::InactivateUser
                | Self::ReactivateUser
                | Self::GrantAdmin
                | Self::RevokeAdmin
                | Self::Demote
        )
    }

    /// Who serves it.
    #[must_use]
    pub const fn served_by(self) -> Service {
        match self {
            Self::SignUp
            | Self::LogIn
            | Self::LogOut
            | Self::RefreshSession
            | Self::GetCurrentSession
            | Self::ListSessions
            | Self::RevokeSession
            | Self::RevokeAllSessions
            | Self::ChangePassword => Service::Auth,
            _ => Service::Users,
        }
    }
}

/// Whoever makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Nobody.
    Nobody,
    /// The bearer of a token of a session.
    Session {
        /// Which session.
        id: String,
        /// Whose.
        user: String,
    },
    /// The bearer of what is no token of these services.
    Forger,
    /// Somebody at the machine itself.
    Operator,
}

/// What is asked for. Users go by their canonical names, which never change.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which rpc.
    pub does: Does,
    /// By whom.
    pub who: Who,
    /// On whom it acts.
    pub user: Option<String>,
    /// The password that is shown.
    pub shows: Option<Secret>,
    /// The password that is set.
    pub sets: Option<Secret>,
    /// The role that is asked for.
    pub role: Option<Role>,
    /// By what a repeat is recognised.
    pub request_id: Option<String>,
    /// As what the caller knows the user.
    pub etag: Option<String>,
    /// The session that is ended.
    pub session: Option<String>,
    /// Whether the caller's own session goes on.
    pub keeps_current: bool,
    /// The reason for which it must be refused, where nothing fails.
    pub deserves: Option<&'static str>,
}

impl Call {
    /// A call with nothing in it.
    #[must_use]
    pub const fn new(does: Does, who: Who) -> Self {
        Self {
            does,
            who,
            user: None,
            shows: None,
            sets: None,
            role: None,
            request_id: None,
            etag: None,
            session: None,
            keeps_current: false,
            deserves: None,
        }
    }

    /// Acts on a user.
    #[must_use]
    pub fn on(self, user: &str) -> Self {
        Self { user: Some(user.to_lowercase()), ..self }
    }

    /// Shows a password.
    #[must_use]
    pub fn showing(self, secret: Secret) -> Self {
        Self { shows: Some(secret), ..self }
    }

    /// Sets a password.
    #[must_use]
    pub fn setting(self, secret: Secret) -> Self {
        Self { sets: Some(secret), ..self }
    }

    /// The user whose bearer makes the call.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        match &self.who {
            Who::Session { user, .. } => Some(user),
            _ => None,
        }
    }

    /// Whose account this makes.
    #[must_use]
    pub fn creates(&self) -> Option<&str> {
        match self.does {
            Does::SignUp | Does::CreateUser | Does::Bootstrap => self.user.as_deref(),
            _ => None,
        }
    }
}

/// A user as an answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The canonical name.
    pub name: String,
    /// The id.
    pub id: String,
    /// The role.
    pub role: Role,
    /// The state.
    pub active: bool,
    /// The version.
    pub etag: String,
}

/// What an OK said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The id of the user that was made.
    pub id: Option<String>,
    /// The user that it is about.
    pub user: Option<Seen>,
    /// The session that was opened, or that the call was made in.
    pub session: Option<String>,
    /// When that ends unless it is used, in seconds since 1970.
    pub expires: Option<i64>,
    /// Users of a list.
    pub listed: Vec<Seen>,
    /// Whether the list was read from its beginning to its end.
    pub is_whole: bool,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Ok(Box<Answer>),
    /// It was refused for good: nothing was done.
    Denied(Refusal),
    /// It was refused for the moment, with the promise that nothing was done.
    NotDone(String),
    /// It may have been done, or may be yet.
    Unknown(String),
    /// The answer is one that there must not be.
    Broken(String),
}

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, without `ERROR_REASON_`.
    pub reason: String,
    /// Whether it says that the caller is below the least role for the rpc, whoever the target is.
    pub caller_is_below: bool,
}

/// A call and what came of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was made.
    pub start: Moment,
    /// When its outcome was known.
    pub end: Moment,
    /// Which process of the service was called.
    pub replica: usize,
    /// What.
    pub call: Call,
    /// What came of it.
    pub outcome: Outcome,
}

impl Record {
    /// While it was under way, as its caller saw it.
    #[must_use]
    pub const fn span(&self) -> Span {
        Span { from: self.start, until: self.end }
    }

    /// When it can have had an effect, as it shows by itself; `None` if it can have had none. Where nothing was heard of its
    /// end the history shows more: see [`Does::Rest`].
    #[must_use]
    pub const fn effect(&self) -> Option<Span> {
        match self.outcome {
            Outcome::Ok(_) => Some(self.span()),
            Outcome::Unknown(_) | Outcome::Broken(_) => Some(Span { from: self.start, until: Moment::NEVER }),
            Outcome::Denied(_) | Outcome::NotDone(_) => None,
        }
    }

    /// What it was answered, if it was done.
    #[must_use]
    pub const fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Ok(answer) => Some(answer),
            _ => None,
        }
    }

    /// Why it was refused for good.
    #[must_use]
    pub fn denial(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Denied(refusal) => Some(&refusal.reason),
            _ => None,
        }
    }

    /// Whether it was answered for good, with OK or a refusal.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        matches!(self.outcome, Outcome::Ok(_) | Outcome::Denied(_))
    }

    /// Whether its bearer was let in, whatever was said to it then.
    #[must_use]
    pub fn was_let_in(&self) -> bool {
        match &self.outcome {
            Outcome::Ok(_) => true,
            Outcome::Denied(refusal) => refusal.reason != UNAUTHENTICATED,
            _ => false,
        }
    }
}

/// What is said to a token that is good for nothing.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";

/// Why a super admin stays one: there is no other.
pub const LAST_ACTIVE_SUPER_ADMIN: &str = "LAST_ACTIVE_SUPER_ADMIN";

/// Why nobody is demoted: it is none.
pub const NOT_A_SUPER_ADMIN: &str = "NOT_A_SUPER_ADMIN";
