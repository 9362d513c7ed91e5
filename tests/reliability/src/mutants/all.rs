//! The defects.

use std::time::Duration;

use e2e::{Cut, Service};

use super::mixes::{
    CREATIONS, FORGERIES, GUESSES, LISTS, LOG_INS, NAMES, PASSWORDS, RACES, READS, RENEWALS, ROLES, SESSIONS,
    STATES,
};
use super::{LASTS, Mutant};
use crate::checker::Check;
use crate::nemesis::Fault;
use crate::site::Store;
use crate::workload::EVERYTHING;

/// Of one that shows before anybody works, or when the work is over.
const NOT_AT_WORK: Duration = Duration::ZERO;

const PLAIN: Mutant = Mutant {
    name: "",
    is: "",
    found_by: &[],
    store: Store::Sqlite,
    mix: EVERYTHING,
    lasts: LASTS,
    faults: &[],
    limits_guesses: false,
};

/// All of them, by what they break.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "commit.not_awaited",
        is: "auth-service answers without a commit",
        found_by: &[Check::NobodyCanBegin, Check::MadeAndNotStored, Check::UserWithoutAccount],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "commit.unknown_is_ok",
        is: "a commit of which nothing was heard is answered as done",
        found_by: &[Check::OpenedAndNotStored],
        store: Store::Postgres,
        mix: LOG_INS,
        faults: &[Fault::LoseCommits(Service::Auth, Cut::Before)],
        ..PLAIN
    },
    Mutant {
        name: "apply_feed.cursor_apart",
        is: "the cursor of the feed is saved in a transaction of its own",
        found_by: &[Check::AccountWithoutUser],
        mix: NAMES,
        faults: &[Fault::DieInTheFeed],
        ..PLAIN
    },
    Mutant {
        name: "create_user.reserved_after",
        is: "the role of a new user is reserved after its account is registered",
        found_by: &[Check::RoleNobodyGave],
        mix: CREATIONS,
        faults: &[Fault::Kill(Service::Users)],
        ..PLAIN
    },
    Mutant {
        name: "set_role.not_committed",
        is: "users-service answers a change of a role without a commit",
        found_by: &[Check::RoleNobodyGave],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "disable_account.not_committed",
        is: "InactivateUser is answered without a commit in auth-service",
        found_by: &[
            Check::StateNobodySet,
            Check::SidesDisagree,
            Check::LetInWhileInactive,
            Check::OutlivesInactivation,
            Check::StoredAfterInactivation,
        ],
        mix: STATES,
        ..PLAIN
    },
    Mutant {
        name: "users.shown_as_active",
        is: "everybody is shown as active",
        found_by: &[Check::ShownStateNobodySet],
        mix: STATES,
        ..PLAIN
    },
    Mutant {
        name: "find_user.inactive_are_hidden",
        is: "who is inactive is not found",
        found_by: &[Check::UserNotFound],
        mix: STATES,
        ..PLAIN
    },
    Mutant {
        name: "list_users.leaves_out_super_admins",
        is: "lists leave out super admins",
        found_by: &[Check::UserNotListed],
        mix: LISTS,
        ..PLAIN
    },
    Mutant {
        name: "list_users.pages_overlap",
        is: "a page begins with the last user of the page before it",
        found_by: &[Check::ListedTwice],
        mix: LISTS,
        ..PLAIN
    },
    Mutant {
        name: "log_in.displaces_all",
        is: "a log-in ends all other sessions of its user",
        found_by: &[Check::SessionRefused, Check::OpenedAndNotStored],
        mix: LOG_INS,
        ..PLAIN
    },
    Mutant {
        name: "refresh_session.not_committed",
        is: "RefreshSession is answered without a commit",
        found_by: &[Check::RenewedAndNotStored],
        mix: RENEWALS,
        ..PLAIN
    },
    Mutant {
        name: "disable_account.sessions_apart",
        is: "sessions are ended outside of the transaction that disables",
        found_by: &[Check::OutlivesInactivation],
        store: Store::Postgres,
        mix: RACES,
        ..PLAIN
    },
    Mutant {
        name: "log_in.left_is_not_compared",
        is: "a log-in under way whose caller has gone does not notice that anything was changed",
        found_by: &[
            Check::UntoldAfterInactivation,
            Check::StoredOfTheInactive,
            Check::UntoldAfterItsPassword,
        ],
        store: Store::Postgres,
        mix: RACES,
        lasts: LASTS.saturating_mul(2),
        ..PLAIN
    },
    Mutant {
        name: "roles.not_compared",
        is: "nobody's role is compared with what a call needs",
        found_by: &[Check::LetInBelowItsRole],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "authenticate.believes_its_memory",
        is: "of a token that was good once every other look at its session's row is spared",
        found_by: &[Check::OutlivesItsEnd, Check::EndedIsBack],
        ..PLAIN
    },
    Mutant {
        name: "revoke_all_sessions.not_committed",
        is: "RevokeAllSessions is answered without a commit",
        found_by: &[Check::OutlivesItsEnd, Check::StoredAfterItsEnd],
        mix: SESSIONS,
        ..PLAIN
    },
    Mutant {
        name: "change_password.sessions_kept",
        is: "ChangePassword leaves the other sessions",
        found_by: &[Check::OutlivesItsPassword, Check::StoredAfterItsPassword],
        mix: PASSWORDS,
        ..PLAIN
    },
    Mutant {
        name: "set_password.sessions_kept",
        is: "SetUserPassword leaves the sessions",
        found_by: &[Check::OutlivesItsPassword],
        mix: PASSWORDS,
        ..PLAIN
    },
    Mutant {
        name: "change_password.not_written",
        is: "ChangePassword leaves the password",
        found_by: &[Check::OldPasswordOpens, Check::RightPasswordRefused],
        mix: PASSWORDS,
        ..PLAIN
    },
    Mutant {
        name: "log_in.not_compared",
        is: "a log-in under way does not notice that the password was changed",
        found_by: &[Check::OutlivesItsPassword],
        store: Store::Postgres,
        mix: RACES,
        ..PLAIN
    },
    Mutant {
        name: "sign_up.taken_name_is_given",
        is: "a taken name is given to whoever asks for it",
        found_by: &[Check::NameMadeTwice],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "accounts.names_not_unique",
        is: "the database of auth-service takes a name twice",
        found_by: &[Check::NameMadeTwice, Check::NameShownWithTwoIds, Check::NameStoredTwice],
        store: Store::Postgres,
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "demote_super_admin.last_may_go",
        is: "the last active super admin may be demoted",
        found_by: &[Check::NoSuperAdmin, Check::NoSuperAdminMeanwhile],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "ranks.not_compared",
        is: "whoever administers may act on anybody",
        found_by: &[Check::ActsOnAHigherRank],
        mix: STATES,
        ..PLAIN
    },
    Mutant {
        name: "sign_up.repeats_are_new",
        is: "a repeat of SignUp is taken for another call",
        found_by: &[Check::NameTakenByNobodyElse],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "sign_up.repeats_are_others",
        is: "a repeat of SignUp is answered with another id",
        found_by: &[Check::RepeatMadeAnother],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "create_user.repeats_are_new",
        is: "a repeat of CreateUser is taken for another call",
        found_by: &[Check::NameTakenByNobodyElse],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "create_user.repeats_are_refused",
        is: "a repeat of CreateUser is told that its mark is that of another request",
        found_by: &[Check::RepeatNotRecognised],
        mix: CREATIONS,
        ..PLAIN
    },
    Mutant {
        name: "sign_up.made_and_refused",
        is: "SignUp is done and refused",
        found_by: &[Check::StoredAndNotMade],
        mix: NAMES,
        ..PLAIN
    },
    Mutant {
        name: "etags.not_compared",
        is: "a stale etag is accepted",
        found_by: &[Check::StaleEtagAccepted],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "etags.never_hold",
        is: "no etag is good",
        found_by: &[Check::FreshEtagRefused],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "log_in.any_password",
        is: "any password opens a session",
        found_by: &[Check::UnknownPasswordOpens],
        ..PLAIN
    },
    Mutant {
        name: "attempt.reserved_after",
        is: "an attempt is reserved after the password was verified",
        found_by: &[Check::TooManyGuesses],
        store: Store::Postgres,
        mix: GUESSES,
        limits_guesses: true,
        ..PLAIN
    },
    Mutant {
        name: "authenticate.outage_lets_in",
        is: "users-service takes whoever calls for whoever was let in last when auth-service cannot be asked",
        found_by: &[Check::ForgedTokenLetsIn],
        mix: FORGERIES,
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "authenticate.takes_for_the_last",
        is: "users-service takes whoever calls for whoever was let in before",
        found_by: &[Check::TakenForSomebodyElse],
        mix: READS,
        ..PLAIN
    },
    Mutant {
        name: "authenticate.outage_is_a_denial",
        is: "users-service answers UNAUTHENTICATED when auth-service cannot be asked",
        found_by: &[Check::SessionRefused],
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "authenticate.outage_takes_the_role",
        is: "users-service takes everybody for a user after auth-service could not be asked",
        found_by: &[Check::RightRefused, Check::NotBack],
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "status.outage_is_a_denial",
        is: "auth-service answers UNAUTHENTICATED when its database cannot be asked",
        found_by: &[Check::RefusedForItsToken],
        store: Store::Postgres,
        faults: &[Fault::CrashDatabase],
        ..PLAIN
    },
    Mutant {
        name: "status.denial_is_an_outage",
        is: "auth-service answers UNAVAILABLE to a token that is good for nothing",
        found_by: &[Check::OutageOfNothing],
        mix: SESSIONS,
        ..PLAIN
    },
    Mutant {
        name: "status.reason_left_out",
        is: "auth-service answers UNAUTHENTICATED without a reason",
        found_by: &[Check::AnswerIsNone],
        mix: FORGERIES,
        ..PLAIN
    },
    Mutant {
        name: "page_tokens.of_each_process",
        is: "each process of users-service takes only page tokens of its own",
        found_by: &[Check::AnswerIsNone],
        store: Store::Postgres,
        mix: LISTS,
        ..PLAIN
    },
    Mutant {
        name: "set_role.repeats_are_stale",
        is: "whoever asks for a role that is given already is told that its etag is stale",
        found_by: &[Check::DenialOfAnotherCall],
        mix: ROLES,
        ..PLAIN
    },
    Mutant {
        name: "roles.outage_is_remembered",
        is: "users-service answers UNAVAILABLE where a role does not suffice, once auth-service could not be asked",
        found_by: &[Check::DenialMissing, Check::OutageOfNothing],
        faults: &[Fault::Kill(Service::Auth)],
        ..PLAIN
    },
    Mutant {
        name: "turns.kept_for_who_left",
        is: "who leaves while it is hashed for keeps its turn",
        found_by: &[Check::OutageOfNothing],
        mix: RACES,
        ..PLAIN
    },
    Mutant {
        name: "log_in.changed_is_inactive",
        is: "whose account was ever changed is refused as inactive",
        found_by: &[Check::RefusedAsInactive],
        mix: STATES,
        ..PLAIN
    },
    Mutant {
        name: "bootstrap_super_admin.once_only",
        is: "there can be one super admin only",
        found_by: &[Check::NoSecondSuperAdmin],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "demote_super_admin.nobody_may_go",
        is: "no super admin may be demoted",
        found_by: &[Check::NobodyCanBeDemoted],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "serve.ends_badly",
        is: "users-service aborts when it is asked to end",
        found_by: &[Check::EndsBadly],
        mix: LOG_INS,
        lasts: NOT_AT_WORK,
        faults: &[Fault::Terminate(Service::Users)],
        ..PLAIN
    },
    Mutant {
        name: "call.ends_the_process",
        is: "users-service aborts at its hundredth call",
        found_by: &[Check::DiedByItself],
        mix: READS,
        ..PLAIN
    },
    Mutant {
        name: "sweeper.panics",
        is: "the sweeper of users-service panics once and is gone",
        found_by: &[Check::Panicked],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "log_in.tells_the_password",
        is: "a log-in is refused with its password in the error",
        found_by: &[Check::SecretTold],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "log_in.logs_the_password",
        is: "a password is logged",
        found_by: &[Check::SecretInLog],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "call.leaves_a_task",
        is: "every call of users-service leaves a task behind",
        found_by: &[Check::Tasks],
        mix: READS,
        ..PLAIN
    },
    Mutant {
        name: "call.leaves_a_file",
        is: "every call of users-service leaves a file open",
        found_by: &[Check::Descriptors],
        mix: READS,
        ..PLAIN
    },
    Mutant {
        name: "call.leaves_memory",
        is: "every call of users-service keeps half a MiB",
        found_by: &[Check::Memory],
        mix: READS,
        ..PLAIN
    },
    Mutant {
        name: "begin.leaves_a_connection",
        is: "units of work of auth-service leave connections behind",
        found_by: &[Check::Connections],
        store: Store::Postgres,
        mix: SESSIONS,
        ..PLAIN
    },
    Mutant {
        name: "measurements.left_out",
        is: "users-service does not say what it takes up",
        found_by: &[Check::MetricMissing],
        lasts: NOT_AT_WORK,
        ..PLAIN
    },
    Mutant {
        name: "create_user.leaves_a_reservation",
        is: "every CreateUser leaves a reservation behind",
        found_by: &[Check::SurplusRows],
        mix: CREATIONS,
        ..PLAIN
    },
    Mutant {
        name: "log_in.opens_two",
        is: "every log-in opens a session of which nobody is told",
        found_by: &[Check::UntoldSessions],
        mix: LOG_INS,
        ..PLAIN
    },
];
