//! Who there is in a run.

use std::fmt;

/// Who does something: what dies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The run itself; it never dies, nor do the next three.
    World,
    /// What carries messages.
    Network,
    /// What keeps a commit that is under way.
    Disk,
    /// Those who call.
    Client,
    /// A process of auth-service.
    Auth(u8),
    /// A process of users-service.
    Users(u8),
    /// A command that an operator runs.
    Operator(u8),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::Network => f.write_str("network"),
            Self::Disk => f.write_str("disk"),
            Self::Client => f.write_str("client"),
            Self::Auth(number) => write!(f, "auth-{number}"),
            Self::Users(number) => write!(f, "users-{number}"),
            Self::Operator(number) => write!(f, "operator-{number}"),
        }
    }
}
