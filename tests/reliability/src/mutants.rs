//! Deliberate defects of the services, each of which the checks must find: that a suite finds nothing means something only
//! if it would find something.

use std::time::Duration;

use e2e::{Cut, Service};

use crate::checker::Invariant;
use crate::nemesis::Fault;
use crate::site::Store;
use crate::workload::{Action, EVERYTHING, Mix};

/// A defect, and a short round in which it shows.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name in the services.
    pub name: &'static str,
    /// What it is.
    pub is: &'static str,
    /// What it breaks: one of these must be found.
    pub breaks: &'static [Invariant],
    /// What the check that is for it says, where it is one alone.
    pub says: &'static str,
    /// Where it shows.
    pub store: Store,
    /// What clients do.
    pub mix: Mix,
    /// What fails.
    pub faults: &'static [Fault],
    /// Whether guesses at passwords are limited.
    pub limits_guesses: bool,
}

/// How long a round lasts that looks for a defect.
pub const LASTS: Duration = Duration::from_millis(2500);
/// How many rounds are run until it is found, or was not.
pub const ROUNDS: u64 = 4;

const RACES: Mix = &[(Action::RaceLogIns, 1)];
const PASSWORDS: Mix = &[
    (Action::LogIn, 50),
    (Action::ChangePassword, 25),
    (Action::SetPassword, 15),
    (Action::RevokeAllSessions, 5),
];
const NAMES: Mix = &[
    (Action::SignUp, 20),
    (Action::SignUpAsSomebodyElseDoes, 30),
    (Action::CreateUser, 40),
    (Action::LogIn, 10),
];
const ROLES: Mix = &[
    (Action::UseAStaleEtag, 20),
    (Action::Grant, 30),
    (Action::Revoke, 30),
    (Action::GetUser, 15),
    (Action::LogIn, 15),
    (Action::Inactivate, 3),
    (Action::Reactivate, 7),
];
const SESSIONS: Mix = &[(Action::LogIn, 50), (Action::RevokeAllSessions, 30), (Action::Read, 20)];
const CREATIONS: Mix = &[(Action::CreateUser, 70), (Action::LogIn, 10)];
const FORGERIES: Mix = &[(Action::ForgeAToken, 60), (Action::Read, 20), (Action::LogIn, 20)];
/// Nothing but guesses at passwords.
pub const GUESSES: Mix = &[(Action::GuessAPassword, 1)];

const PLAIN: Mutant = Mutant {
    name: "",
    is: "",
    breaks: &[],
    says: "",
    store: Store::Sqlite,
    mix: EVERYTHING,
    faults: &[],
    limits_guesses: false,
};

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "commit.not_awaited",
        is: "auth-service answers without a commit",
        breaks: &[Invariant::I1],
        ..PLAIN
    },
    Mutant {
        name: "commit.unknown_is_ok",
        is: "a commit of which nothing was heard is answered as done",
        // Whatever the call was: a log-in, an end of sessions, a new password.
        breaks: &[Invariant::I1, Invariant::I3, Invariant::I4, Invariant::I5],
        store: Store::Postgres,
        faults: &[Fault::LoseCommits(Service::Auth, Cut::Before)],
        ..PLAIN
    },
    Mutant {
        name: "apply_feed.cursor_apart",
        is: "the cursor of the feed is saved in a transaction of its own",
        breaks: &[Invariant::I2],
        faults: &[Fault::DieInTheFeed],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "create_user.reserved_after",
        is: "the role of a new user is reserved after its account is registered",
        breaks: &[Invariant::I1, Invariant::I2],
        says: "the role of",
        mix: CREATIONS,
        faults: &[Fault::Kill(Service::Users)],
        ..PLAIN
    },
    Mutant {
        name: "disable_account.sessions_apart",
        is: "sessions are ended outside of the transaction that disables",
        breaks: &[Invariant::I3],
        store: Store::Postgres,
        mix: RACES,
        ..PLAIN
    },
    Mutant {
        name: "set_role.not_committed",
        is: "users-service answers a change of a role without a commit",
        breaks: &[Invariant::I1, Invariant::I3],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "authenticate.believes_its_memory",
        is: "a token that was good once is believed without its session's row",
        breaks: &[Invariant::I3, Invariant::I4, Invariant::I5],
        ..PLAIN
    },
    Mutant {
        name: "revoke_all_sessions.not_committed",
        is: "RevokeAllSessions is answered without a commit",
        breaks: &[Invariant::I4],
        says: "after RevokeAllSessions",
        mix: SESSIONS,
        ..PLAIN
    },
    Mutant {
        name: "change_password.sessions_kept",
        is: "ChangePassword leaves the other sessions",
        breaks: &[Invariant::I5],
        says: "after ChangePassword",
        mix: PASSWORDS,
        ..PLAIN
    },
    Mutant {
        name: "set_password.sessions_kept",
        is: "SetUserPassword leaves the sessions",
        breaks: &[Invariant::I5],
        says: "after SetUserPassword",
        mix: PASSWORDS,
        ..PLAIN
    },
    Mutant {
        name: "log_in.not_compared",
        is: "a log-in under way does not notice that the password was changed",
        breaks: &[Invariant::I5],
        store: Store::Postgres,
        mix: RACES,
        ..PLAIN
    },
    Mutant {
        name: "sign_up.taken_name_is_given",
        is: "a taken name is given to whoever asks for it",
        breaks: &[Invariant::I6],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "demote_super_admin.last_may_go",
        is: "the last active super admin may be demoted",
        breaks: &[Invariant::I7],
        says: "no super admin is active",
        ..PLAIN
    },
    Mutant {
        name: "sign_up.repeats_are_new",
        is: "a repeat of SignUp is taken for another call",
        breaks: &[Invariant::I8],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "create_user.repeats_are_new",
        is: "a repeat of CreateUser is taken for another call",
        breaks: &[Invariant::I8],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "etags.not_compared",
        is: "a stale etag is accepted",
        breaks: &[Invariant::I8],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "log_in.any_password",
        is: "any password opens a session",
        breaks: &[Invariant::I9],
        says: "a password that was never set",
        ..PLAIN
    },
    Mutant {
        name: "attempt.reserved_after",
        is: "an attempt is reserved after the password was verified",
        breaks: &[Invariant::I9],
        says: "guesses at the password of",
        store: Store::Postgres,
        mix: GUESSES,
        limits_guesses: true,
        ..PLAIN
    },
    Mutant {
        name: "authenticate.outage_lets_in",
        is: "users-service takes whoever calls for whoever was let in last when auth-service cannot be asked",
        breaks: &[Invariant::I9],
        says: "a forged token lets in",
        mix: FORGERIES,
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "authenticate.outage_is_a_denial",
        is: "users-service answers UNAUTHENTICATED when auth-service cannot be asked",
        breaks: &[Invariant::I10],
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "status.outage_is_a_denial",
        is: "auth-service answers UNAUTHENTICATED when its database cannot be asked",
        breaks: &[Invariant::I10],
        store: Store::Postgres,
        faults: &[Fault::CrashDatabase],
        ..PLAIN
    },
    Mutant {
        name: "status.denial_is_an_outage",
        is: "auth-service answers UNAVAILABLE to a token that is good for nothing",
        breaks: &[Invariant::I10],
        ..PLAIN
    },
    Mutant {
        name: "log_in.logs_the_password",
        is: "a password is logged",
        breaks: &[Invariant::I11],
        says: "auth-service logs",
        ..PLAIN
    },
    Mutant {
        name: "call.leaves_a_task",
        is: "every call of users-service leaves a task behind",
        breaks: &[Invariant::I12],
        says: "tasks",
        ..PLAIN
    },
];
