//! What clients do in a round that looks for a defect: what shows it, and little else.

use crate::workload::{Action, Mix};

pub(super) const RACES: Mix = &[(Action::RaceLogIns, 1)];
pub(super) const PASSWORDS: Mix = &[
    (Action::LogIn, 50),
    (Action::ChangePassword, 25),
    (Action::SetPassword, 15),
    (Action::RevokeAllSessions, 5),
];
pub(super) const NAMES: Mix = &[
    (Action::SignUp, 20),
    (Action::SignUpAsSomebodyElseDoes, 30),
    (Action::CreateUser, 40),
    (Action::LogIn, 10),
];
pub(super) const ROLES: Mix = &[
    (Action::UseAStaleEtag, 20),
    (Action::Grant, 30),
    (Action::Revoke, 30),
    (Action::GetUser, 15),
    (Action::LogIn, 15),
    (Action::Inactivate, 3),
    (Action::Reactivate, 7),
];
pub(super) const SESSIONS: Mix = &[(Action::LogIn, 50), (Action::RevokeAllSessions, 30), (Action::Read, 20)];
pub(super) const CREATIONS: Mix = &[(Action::CreateUser, 70), (Action::LogIn, 10)];
pub(super) const LISTS: Mix = &[(Action::CreateUser, 70), (Action::ListUsers, 20)];
pub(super) const LOG_INS: Mix = &[(Action::LogIn, 60), (Action::Read, 40)];
pub(super) const STATES: Mix = &[
    (Action::Inactivate, 20),
    (Action::Reactivate, 20),
    (Action::GetUser, 20),
    (Action::LogIn, 30),
    (Action::Read, 10),
];
pub(super) const FORGERIES: Mix = &[(Action::ForgeAToken, 60), (Action::Read, 20), (Action::LogIn, 20)];
pub(super) const RENEWALS: Mix = &[(Action::Refresh, 60), (Action::LogIn, 20)];
/// What costs nobody a hash, so that there is much of it.
pub(super) const READS: Mix = &[(Action::GetUser, 60), (Action::Read, 40)];
/// Nothing but guesses at passwords.
pub const GUESSES: Mix = &[(Action::GuessAPassword, 1)];
