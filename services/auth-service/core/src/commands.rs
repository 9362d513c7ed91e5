//! The use cases that write, and authentication, which may. One file each: load, decide, write, commit.
//!
//! Where a password is hashed, the store is read before and no unit of work is open meanwhile; the unit of work that
//! follows locks the account and compares it with what was read.

mod after_restore;
mod attempt;
mod authenticate;
mod change_password;
mod disable_account;
mod enable_account;
mod log_in;
mod log_out;
mod purge_expired;
mod refresh_session;
mod register_account;
mod revoke_all_sessions;
mod revoke_session;
mod revoke_sessions;
mod set_password;
mod settle;
mod sign_up;

pub use after_restore::AfterRestore;
pub use authenticate::{Authenticate, Authenticated, Denial, Principal, UseSession, Used};
pub use change_password::ChangePassword;
pub use disable_account::DisableAccount;
pub use enable_account::EnableAccount;
pub use log_in::LogIn;
pub use log_out::LogOut;
pub use purge_expired::{PurgeExpired, Purged};
pub use refresh_session::RefreshSession;
pub use register_account::RegisterAccount;
pub use revoke_all_sessions::RevokeAllSessions;
pub use revoke_session::RevokeSession;
pub use revoke_sessions::RevokeSessions;
pub use set_password::SetPassword;
pub use sign_up::SignUp;

use crate::Error;
use crate::domain::{AccessToken, Account, Claims, PasswordPolicy, Session, SessionPolicy, ThrottlePolicy};
use crate::ports::{LockedAccount, Ports, TokenSigner as _, Transaction};
use identity::{Rule, Timestamp, UserId};
use settle::Trace;

/// What commands work with.
pub struct Context<P: Ports> {
    /// Where accounts and sessions are kept.
    pub store: P::Store,
    /// What hashes passwords.
    pub hasher: P::Hasher,
    /// Where attempts on one account wait for each other.
    pub turns: P::Turns,
    /// What signs access tokens.
    pub signer: P::Signer,
    /// This server's clock.
    pub clock: P::Clock,
    /// What makes ids.
    pub ids: P::Ids,
    /// How long sessions live.
    pub sessions: SessionPolicy,
    /// What passwords may be set.
    pub passwords: PasswordPolicy,
    /// How often passwords may be tried; `None`: as often as anybody likes.
    pub throttle: Option<ThrottlePolicy>,
}

/// A session and the token that stands for it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The credential.
    pub token: AccessToken,
    /// The session.
    pub session: Session,
}

impl<P: Ports> Context<P> {
    fn issue(&self, session: Session, now: Timestamp) -> Result<Opened, Error> {
        let token = self.signer.sign(&Claims::of(&session, now))?;
        Ok(Opened { token, session })
    }
}

/// An account that a command of the port changed, and how many of its sessions that ended.
#[derive(Clone, Debug)]
pub struct AccountChanged {
    /// The account as it is now.
    pub account: Account,
    /// How many live sessions were ended.
    pub revoked_count: u32,
}

/// The version that a caller expects an account to have; none for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedVersion(Option<i64>);

impl ExpectedVersion {
    /// Whatever version it has.
    pub const ANY: Self = Self(None);

    /// Reads the field of a request, in which 0 means any.
    pub fn parse(version: i64) -> Result<Self, Rule> {
        match version {
            ..0 => Err(Rule::Negative),
            0 => Ok(Self::ANY),
            _ => Ok(Self(Some(version))),
        }
    }

    fn check(self, account: &Account) -> Result<(), Error> {
        match self.0 {
            Some(expected) if expected != account.version.number => Err(Error::VersionMismatch),
            _ => Ok(()),
        }
    }
}

/// Locks an account that has to exist and to be as expected.
async fn lock_expected(
    tx: &mut impl Transaction,
    id: UserId,
    expected: ExpectedVersion,
) -> Result<LockedAccount, Error> {
    let locked = tx.lock_account(id).await?.ok_or_else(|| Error::AccountNotFound(id.to_string()))?;
    expected.check(&locked.stored.account)?;
    Ok(locked)
}
