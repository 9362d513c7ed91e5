//! What can be true is never called a violation.

use super::*;

#[test]
fn what_happened_one_after_the_other_is_good() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), shows(Role::Admin, "e1"));
    script.then(12, 13, alice(Does::ListUsers), ok());
    script.then(14, 15, root(Does::RevokeAdmin, "alice"), shows(Role::User, "e2"));
    script.then(16, 17, alice(Does::ListUsers), denied("ROLE_TOO_LOW"));
    script.then(18, 19, root(Does::InactivateUser, "alice"), ok());
    script.then(20, 21, alice(Does::GetCurrentUser), denied("UNAUTHENTICATED"));
    script.then(22, 23, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
    script.then(24, 25, root(Does::ReactivateUser, "alice"), ok());
    script.log_in(26, 27, "alice", OLD, "a3");
    let change = by("alice", "a3", Does::ChangePassword).showing(OLD).setting(NEW);
    script.then(28, 29, change, opened("a4"));
    script.then(30, 31, log_in("alice", OLD), denied("INVALID_CREDENTIALS"));
    script.then(32, 33, by("alice", "a4", Does::LogOut), ok());
    script.then(34, 35, by("alice", "a4", Does::LogOut), denied("UNAUTHENTICATED"));
    script.is_good();
}

#[test]
fn of_calls_at_the_same_time_either_may_be_first() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), ok());
    script.then(12, 13, alice(Does::GetCurrentUser), ok());
    script.then(14, 25, by("alice", "a2", Does::GetCurrentUser), ok());
    script.then(15, 16, alice(Does::GetCurrentUser), denied("UNAUTHENTICATED"));
    script.is_good();
}

#[test]
fn what_may_have_happened_may_have_happened_or_not_or_happens_later() {
    for inactivated in [true, false] {
        let mut script = Script::new();
        script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
        script.then(30, 31, alice(Does::GetCurrentUser), ok());
        let then = if inactivated { denied("UNAUTHENTICATED") } else { ok() };
        script.then(40, 41, alice(Does::GetCurrentUser), then);
        script.is_good();
    }
}

#[test]
fn a_state_that_was_not_heard_of_may_be_shown_late() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
    script.then(30, 31, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
    script.then(40, 41, root(Does::GetUser, "alice"), shows_as(true, "e0"));
    script.then(50, 51, root(Does::GetUser, "alice"), shows_as(false, "e1"));
    script.is_good();
}

#[test]
fn a_repeat_answers_what_the_first_call_answered() {
    let mut script = Script::new();
    let mut create = root(Does::CreateUser, "bobby").setting(Secret(5));
    create.request_id = Some("one".into());
    script.then(10, 20, create.clone(), unknown());
    script.then(21, 22, create.clone(), made("0b"));
    script.then(23, 24, create, made("0b"));
    script.then(
        25,
        26,
        Call::new(Does::SignUp, Who::Nobody).on("bobby").setting(NEW),
        denied("USERNAME_TAKEN"),
    );
    script.is_good();
}

#[test]
fn somebody_else_may_have_taken_the_name_without_hearing_of_it() {
    let mut script = Script::new();
    script.then(10, 20, Call::new(Does::SignUp, Who::Nobody).on("bobby").setting(OLD), unknown());
    script.then(
        21,
        22,
        Call::new(Does::SignUp, Who::Nobody).on("BOBBY").setting(NEW),
        denied("USERNAME_TAKEN"),
    );
    script.log_in(23, 24, "bobby", OLD, "b1");
    script.is_good();
}

#[test]
fn a_log_in_that_meets_an_inactivation_leaves_a_session_only_after_a_reactivation() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), ok());
    script.then(12, 18, root(Does::ReactivateUser, "alice"), unknown());
    script.log_in(11, 25, "alice", OLD, "a3");
    script.then(30, 31, by("alice", "a3", Does::GetCurrentSession), ok());
    script.is_good();
}

#[test]
fn what_is_stored_in_the_end_is_what_was_asked_for() {
    let script = Script::new();
    assert_eq!(script.at_the_end(Some(&stored())), []);
}

#[test]
fn a_few_guesses_are_looked_at_and_then_one_for_each_delay() {
    let mut script = Script::new();
    for (number, start) in [10, 11, 12, 13, 14, 1100, 3200, 7300].into_iter().enumerate() {
        let secret = Secret(100 + u32::try_from(number).unwrap());
        script.then(start, start + 1, log_in("alice", secret), denied("INVALID_CREDENTIALS"));
        script.then(start + 2, start + 3, log_in("alice", secret), denied("RATE_LIMITED"));
    }
    assert_eq!(check_guesses(&script.0).violations, []);
}

#[test]
fn what_ended_after_the_services_began_to_rest_may_be_under_way_after_it() {
    let mut script = Script::new();
    script.then(10, 22, root(Does::InactivateUser, "alice"), unknown());
    script.rested(21, 25);
    script.log_in(30, 31, "alice", OLD, "a3");
    script.then(32, 33, by("alice", "a3", Does::GetCurrentSession), denied("UNAUTHENTICATED"));
    script.then(34, 35, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
    script.is_good();
}

#[test]
fn what_the_feed_brings_and_what_operators_do_may_come_after_a_rest() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
    let ended = Call::new(Does::RevokeUserSessions, Who::Operator).on("alice");
    script.then(10, 20, ended, unknown());
    script.rested(21, 25);
    script.then(30, 31, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
    script.then(32, 33, root(Does::GetUser, "alice"), shows_as(true, "e0"));
    script.then(34, 35, root(Does::ReactivateUser, "alice"), ok());
    script.log_in(36, 37, "alice", OLD, "a3");
    script.then(38, 39, by("alice", "a3", Does::GetCurrentSession), denied("UNAUTHENTICATED"));
    script.is_good();
}
