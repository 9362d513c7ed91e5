//! What nobody was told of, and what nobody heard of, is broken by somebody.

use super::*;

#[test]
fn i3_and_i5_a_session_of_which_nobody_was_told_is_stored() {
    let inactivate = || root(Does::InactivateUser, "alice");
    let set = || root(Does::SetUserPassword, "alice").setting(NEW);
    for (ending, is_active, found) in [
        (inactivate(), false, vec![Check::StoredOfTheInactive, Check::UntoldAfterInactivation]),
        (set(), true, vec![Check::UntoldAfterItsPassword]),
    ] {
        let mut script = Script::new();
        script.then(5, 30, log_in("alice", OLD), unknown());
        script.then(10, 20, ending, ok());
        let mut end = stored();
        (end.accounts[1].is_active, end.users[1].is_active) = (is_active, is_active);
        end.sessions.truncate(1);
        assert_eq!(script.at_the_end(Some(&end)), [], "there is none");
        end.sessions.push(session("a3", "0a"));
        assert_eq!(script.at_the_end(Some(&end)), found);
    }
    let mut script = Script::new();
    script.then(5, 30, log_in("alice", OLD), unknown());
    script.then(10, 20, inactivate(), ok());
    script.then(40, 41, root(Does::ReactivateUser, "alice"), ok());
    let mut end = stored();
    end.sessions.truncate(1);
    end.sessions.push(session("a3", "0a"));
    assert_eq!(script.at_the_end(Some(&end)), [], "it may have been opened late");
    script.rested(32, 35);
    assert_eq!(script.at_the_end(Some(&end)), [Check::UntoldAfterInactivation]);
}

#[test]
fn i3_a_session_is_stored_of_somebody_who_is_inactive() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
    let mut end = stored();
    end.accounts[1].is_active = false;
    end.users[1].is_active = false;
    assert_eq!(script.at_the_end(Some(&end)), [Check::StoredOfTheInactive; 2]);
    end.sessions.truncate(1);
    assert_eq!(script.at_the_end(Some(&end)), []);
}

#[test]
fn what_was_not_heard_of_is_over_when_the_services_have_rested() {
    // A session that was opened later is judged again.
    let late = |rests: bool| {
        let mut script = Script::new();
        script.then(10, 20, root(Does::RevokeUserSessions, "alice"), unknown());
        if rests {
            script.rested(21, 25);
        }
        script.log_in(30, 31, "alice", OLD, "a3");
        script.then(32, 33, by("alice", "a3", Does::GetCurrentSession), denied("UNAUTHENTICATED"));
        script
    };
    late(false).is_good();
    late(true).is_found_by(Check::SessionRefused);
    // One that was there may have been ended, but a state does not change any more.
    let states = |rests: bool| {
        let mut script = Script::new();
        script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
        if rests {
            script.rested(21, 25);
        }
        script.log_in(30, 31, "alice", OLD, "a3");
        script.then(32, 33, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
        script
    };
    states(false).is_good();
    states(true).is_found_by(Check::RefusedAsInactive);
}
