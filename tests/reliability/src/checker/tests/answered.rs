//! Answers that no earlier call makes wrong: they are by themselves.

use super::*;

#[test]
fn i9_somebody_is_taken_for_somebody_else() {
    let mut script = Script::new();
    script.then(10, 11, alice(Does::GetCurrentUser), shows(Role::User, "e1"));
    script.then(12, 13, alice(Does::GetCurrentSession), opened("a1"));
    script.is_good();
    for (call, answer) in [
        (by(ROOT, "r", Does::GetCurrentUser), shows(Role::User, "e1")),
        (root(Does::GetUser, ROOT), shows(Role::User, "e1")),
        (alice(Does::GetCurrentSession), opened("a2")),
    ] {
        let mut script = Script::new();
        script.then(10, 11, call, answer);
        script.is_found_by(Check::TakenForSomebodyElse);
    }
}

#[test]
fn i10_a_call_is_refused_for_what_it_does_not_ask_for() {
    for (call, reason) in [
        (alice(Does::GetCurrentUser), "USER_NOT_FOUND"),
        (alice(Does::GetCurrentUser), "ROLE_TOO_LOW"),
        (root(Does::GrantAdmin, "alice"), "ETAG_MISMATCH"),
        (root(Does::CreateUser, "bobby").setting(NEW), "REQUEST_ID_REUSED"),
        (Call { session: Some("a2".into()), ..alice(Does::RevokeSession) }, "SESSION_NOT_FOUND"),
        (log_in("alice", OLD), "CURRENT_PASSWORD_MISMATCH"),
    ] {
        let mut script = Script::new();
        script.then(10, 11, call, denied(reason));
        assert!(script.violations().contains(&Check::DenialOfAnotherCall), "{reason}");
    }
}

#[test]
fn i10_what_must_be_refused_is_not() {
    let call = || Call { deserves: Some("ROLE_TOO_LOW"), ..alice(Does::ListUsers) };
    let mut script = Script::new();
    script.then(950, 951, call(), denied("ROLE_TOO_LOW"));
    assert_eq!(script.at_the_end(Some(&stored())), []);
    script.then(952, 953, call(), unknown());
    assert_eq!(script.at_the_end(Some(&stored())), [Check::OutageOfNothing, Check::DenialMissing]);
}

#[test]
fn i10_too_much_is_said_to_be_asked_for_and_nothing_is_limited() {
    let mut script = Script::new();
    script.then(10, 11, log_in("alice", OLD), Outcome::NotDone("HASHER_BUSY".into()));
    let found = |script: &Script| -> Vec<Check> {
        let findings = check_unlimited(&script.0, Some(&stored()));
        findings.violations.iter().map(|violation| violation.check).collect()
    };
    assert_eq!(found(&script), []);
    script.then(950, 951, log_in("alice", OLD), Outcome::NotDone("HASHER_BUSY".into()));
    script.then(952, 953, log_in("alice", OLD), denied("RATE_LIMITED"));
    assert_eq!(found(&script), [Check::OutageOfNothing, Check::AnswerIsNone]);
}
