//! Each rule is broken by somebody.

use super::*;

#[test]
fn i1_a_role_that_was_given_is_gone() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), ok());
    script.then(12, 13, root(Does::GetUser, "alice"), shows(Role::User, "e1"));
    script.is_found_by(Check::RoleNobodyGave);
}

#[test]
fn i1_a_role_goes_back_by_itself() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::GrantAdmin, "alice"), unknown());
    script.then(30, 31, root(Does::GetUser, "alice"), shows(Role::Admin, "e1"));
    script.then(40, 41, root(Does::GetUser, "alice"), shows(Role::User, "e0"));
    script.is_found_by(Check::RoleNobodyGave);
}

#[test]
fn i1_a_state_goes_back_by_itself() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
    script.then(30, 31, root(Does::GetUser, "alice"), shows_as(false, "e1"));
    script.then(40, 41, root(Does::GetUser, "alice"), shows_as(true, "e0"));
    script.is_found_by(Check::ShownStateNobodySet);

    let mut script = Script::new();
    script.then(10, 11, root(Does::InactivateUser, "alice"), ok());
    script.then(12, 13, root(Does::GetUser, "alice"), shows_as(true, "e0"));
    script.is_found_by(Check::ShownStateNobodySet);
}

#[test]
fn i1_a_user_that_was_made_is_not_found_or_not_listed() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GetUser, "alice"), denied("USER_NOT_FOUND"));
    script.is_found_by(Check::UserNotFound);

    let mut script = Script::new();
    script.then(10, 11, root(Does::CreateUser, "bobby").setting(NEW), made("0b"));
    let listed = vec![alice_as(Role::User, "e1")];
    let whole = Answer { listed, is_whole: true, ..Answer::default() };
    script.then(12, 13, by(ROOT, "r", Does::ListUsers), Outcome::Ok(Box::new(whole)));
    // The super admin is not listed either.
    script.is_found_by(Check::UserNotListed);
}

#[test]
fn i1_what_was_made_opened_or_changed_is_not_stored() {
    let mut end = stored();
    end.accounts.pop();
    end.users.pop();
    assert!(Script::new().at_the_end(Some(&end)).contains(&Check::MadeAndNotStored));

    let mut end = stored();
    end.sessions.pop();
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::OpenedAndNotStored]);

    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), ok());
    assert_eq!(script.at_the_end(Some(&stored())), [Check::RoleNobodyGave]);

    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), unknown());
    script.then(21, 22, log_in("alice", OLD), denied("ACCOUNT_INACTIVE"));
    assert!(script.at_the_end(Some(&stored())).contains(&Check::StateNobodySet));
}

#[test]
fn i2_the_two_sides_do_not_agree() {
    let mut end = stored();
    end.users.pop();
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::AccountWithoutUser]);

    let mut end = stored();
    end.users[1].is_active = false;
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::SidesDisagree]);

    let mut end = stored();
    end.users.push(User { id: "0c".into(), name: "carol".into(), ..end.users[1].clone() });
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::UserWithoutAccount]);
}

#[test]
fn i3_somebody_who_was_inactivated_is_let_in() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::InactivateUser, "alice"), ok());
    script.then(12, 13, alice(Does::GetCurrentUser), ok());
    assert_eq!(script.violations(), [Check::LetInWhileInactive, Check::OutlivesInactivation]);
}

#[test]
fn i3_a_session_of_before_is_good_again_after_a_reactivation() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::InactivateUser, "alice"), ok());
    script.then(12, 13, root(Does::ReactivateUser, "alice"), ok());
    script.then(14, 15, alice(Does::GetCurrentUser), ok());
    script.is_found_by(Check::OutlivesInactivation);
}

#[test]
fn i3_a_log_in_under_way_leaves_a_session() {
    let mut script = Script::new();
    script.then(10, 20, root(Does::InactivateUser, "alice"), ok());
    script.log_in(15, 25, "alice", OLD, "a3");
    script.then(30, 31, root(Does::ReactivateUser, "alice"), ok());
    script.then(40, 41, by("alice", "a3", Does::GetCurrentUser), ok());
    script.is_found_by(Check::OutlivesInactivation);
}

#[test]
fn i3_somebody_who_is_no_admin_any_more_does_what_admins_do() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), ok());
    script.then(12, 13, root(Does::RevokeAdmin, "alice"), ok());
    script.then(14, 15, alice(Does::ListUsers), ok());
    script.is_found_by(Check::LetInBelowItsRole);
}

#[test]
fn i4_a_session_outlives_its_end() {
    let revoke = |does, session: &str| {
        let mut call = by("alice", "a2", does);
        call.session = Some(session.into());
        call
    };
    let all = |keeps_current| Call { keeps_current, ..by("alice", "a2", Does::RevokeAllSessions) };
    for ending in [alice(Does::LogOut), revoke(Does::RevokeSession, "a1"), all(true), all(false)] {
        let mut script = Script::new();
        script.then(10, 11, ending, ok());
        script.then(12, 13, alice(Does::GetCurrentSession), ok());
        script.is_found_by(Check::OutlivesItsEnd);
    }
    let mut script = Script::new();
    script.then(10, 11, root(Does::RevokeUserSessions, "alice"), ok());
    script.then(12, 13, alice(Does::ListUsers), denied("ROLE_TOO_LOW"));
    script.is_found_by(Check::OutlivesItsEnd);
}

#[test]
fn i4_an_end_that_was_seen_is_undone() {
    let mut script = Script::new();
    script.then(10, 20, alice(Does::LogOut), unknown());
    script.then(30, 31, alice(Does::GetCurrentSession), denied("UNAUTHENTICATED"));
    script.then(40, 41, alice(Does::GetCurrentSession), ok());
    script.is_found_by(Check::EndedIsBack);
}

#[test]
fn i4_a_session_that_was_ended_is_stored() {
    let mut script = Script::new();
    script.then(10, 11, alice(Does::LogOut), ok());
    assert_eq!(script.at_the_end(Some(&stored())), [Check::StoredAfterItsEnd]);
}

#[test]
fn i3_and_i5_a_session_that_was_ended_is_stored() {
    let set = root(Does::SetUserPassword, "alice").setting(NEW);
    for (ending, check) in [
        (root(Does::InactivateUser, "alice"), Check::StoredAfterInactivation),
        (set, Check::StoredAfterItsPassword),
    ] {
        let mut script = Script::new();
        script.then(10, 11, ending, ok());
        let mut end = stored();
        end.accounts[1].is_active = check == Check::StoredAfterItsPassword;
        end.users[1].is_active = check == Check::StoredAfterItsPassword;
        // Both of the sessions that there were.
        assert_eq!(script.at_the_end(Some(&end)), [check; 2]);
    }
}

#[test]
fn i5_a_session_outlives_its_password() {
    let change = alice(Does::ChangePassword).showing(OLD).setting(NEW);
    let set = root(Does::SetUserPassword, "alice").setting(NEW);
    for (ending, outcome) in [(change, opened("a3")), (set, ok())] {
        let mut script = Script::new();
        script.then(10, 11, ending.clone(), outcome.clone());
        script.then(12, 13, by("alice", "a2", Does::GetCurrentSession), ok());
        script.is_found_by(Check::OutlivesItsPassword);

        let mut script = Script::new();
        script.then(10, 20, ending.clone(), outcome.clone());
        script.log_in(15, 25, "alice", OLD, "a4");
        script.then(30, 31, by("alice", "a4", Does::GetCurrentSession), ok());
        script.is_found_by(Check::OutlivesItsPassword);

        let mut script = Script::new();
        script.then(10, 11, ending, outcome);
        script.log_in(12, 13, "alice", OLD, "a5");
        script.is_found_by(Check::OldPasswordOpens);
    }
}

#[test]
fn i6_a_name_is_given_twice() {
    let mut script = Script::new();
    script.then(10, 20, Call::new(Does::SignUp, Who::Nobody).on("bobby").setting(OLD), made("0b"));
    script.then(11, 21, Call::new(Does::SignUp, Who::Nobody).on("BOBBY").setting(NEW), made("0c"));
    script.is_found_by(Check::NameMadeTwice);

    let mut end = stored();
    end.accounts.push(Account { id: "0d".into(), ..end.accounts[1].clone() });
    end.users.push(User { id: "0d".into(), ..end.users[1].clone() });
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::NameStoredTwice]);
}

#[test]
fn i6_a_name_is_shown_with_two_ids() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GetUser, "alice"), shows(Role::User, "e1"));
    let other = Seen { id: "0f".into(), ..alice_as(Role::User, "e1") };
    let other = Answer { user: Some(other), ..Answer::default() };
    script.then(12, 13, root(Does::GetUser, "alice"), Outcome::Ok(Box::new(other)));
    script.is_found_by(Check::NameShownWithTwoIds);
}

#[test]
fn i1_a_list_has_somebody_twice() {
    let root = Seen { name: ROOT.into(), id: "00".into(), ..alice_as(Role::SuperAdmin, "e0") };
    let listed = vec![alice_as(Role::User, "e1"), root.clone(), root];
    let whole = Answer { listed, is_whole: true, ..Answer::default() };
    let mut script = Script::new();
    script.then(12, 13, by(ROOT, "r", Does::ListUsers), Outcome::Ok(Box::new(whole)));
    script.is_found_by(Check::ListedTwice);
}

#[test]
fn i7_nobody_is_a_super_admin_any_more() {
    let mut script = Script::new();
    script.then(10, 11, Call::new(Does::Demote, Who::Operator).on(ROOT), ok());
    let mut end = stored();
    end.users[0].role = Role::User;
    end.sessions.remove(0);
    assert_eq!(script.at_the_end(Some(&end)), [Check::NoSuperAdmin]);
}

#[test]
fn i8_a_repeat_has_an_effect_of_its_own() {
    let mut create = root(Does::CreateUser, "bobby").setting(Secret(5));
    create.request_id = Some("one".into());
    for (answer, check) in [
        (denied("USERNAME_TAKEN"), Check::NameTakenByNobodyElse),
        (denied("REQUEST_ID_REUSED"), Check::RepeatNotRecognised),
        (made("0c"), Check::RepeatMadeAnother),
    ] {
        let mut script = Script::new();
        script.then(10, 11, create.clone(), made("0b"));
        script.then(12, 13, create.clone(), answer);
        script.is_found_by(check);
    }
    let mut script = Script::new();
    script.then(10, 11, create, denied("USERNAME_TAKEN"));
    script.is_found_by(Check::NameTakenByNobodyElse);
}

#[test]
fn i8_an_etag_is_good_too_long_or_not_long_enough() {
    let with = |etag: &str| {
        let mut call = root(Does::GrantAdmin, "alice");
        call.etag = Some(etag.into());
        call
    };
    let mut script = Script::new();
    script.then(10, 11, root(Does::GetUser, "alice"), shows(Role::User, "e1"));
    script.then(12, 13, root(Does::GrantAdmin, "alice"), shows(Role::Admin, "e2"));
    script.then(14, 15, with("e1"), shows(Role::Admin, "e2"));
    script.is_found_by(Check::StaleEtagAccepted);

    let mut script = Script::new();
    script.then(10, 11, root(Does::GetUser, "alice"), shows(Role::User, "e1"));
    script.then(14, 15, with("e1"), denied("ETAG_MISMATCH"));
    script.is_found_by(Check::FreshEtagRefused);
}

#[test]
fn i8_somebody_is_stored_whom_nobody_can_have_made() {
    let mut end = stored();
    end.accounts.push(Account { id: "0b".into(), name: "bobby".into(), ..end.accounts[1].clone() });
    end.users.push(User { id: "0b".into(), name: "bobby".into(), ..end.users[1].clone() });
    assert_eq!(Script::new().at_the_end(Some(&end)), [Check::StoredAndNotMade]);
}

#[test]
fn i9_a_forged_token_or_a_password_that_was_never_set_lets_in() {
    let mut script = Script::new();
    script.then(10, 11, Call::new(Does::GetCurrentUser, Who::Forger), ok());
    script.is_found_by(Check::ForgedTokenLetsIn);

    let mut script = Script::new();
    script.log_in(10, 11, "alice", Secret(99), "a3");
    script.is_found_by(Check::UnknownPasswordOpens);
}

#[test]
fn i9_too_many_guesses_are_looked_at() {
    let mut script = Script::new();
    for number in 0..12 {
        script.then(10, 900, log_in("alice", Secret(100 + number)), denied("INVALID_CREDENTIALS"));
    }
    let findings = check_guesses(&script.0);
    let found: Vec<Check> = findings.violations.iter().map(|one| one.check).collect();
    assert_eq!(found, [Check::TooManyGuesses]);
}

#[test]
fn i10_a_right_that_nobody_took_away_is_refused() {
    let inactive = log_in("alice", OLD);
    let change = alice(Does::ChangePassword).showing(OLD).setting(NEW);
    for (call, reason, check) in [
        (alice(Does::GetCurrentSession), "UNAUTHENTICATED", Check::SessionRefused),
        (log_in("alice", OLD), "UNAUTHENTICATED", Check::RefusedForItsToken),
        (log_in("alice", OLD), "INVALID_CREDENTIALS", Check::RightPasswordRefused),
        (inactive, "ACCOUNT_INACTIVE", Check::RefusedAsInactive),
        (root(Does::InactivateUser, "alice"), "ROLE_TOO_LOW", Check::RightRefused),
        (change, "CURRENT_PASSWORD_MISMATCH", Check::RightPasswordRefused),
    ] {
        let mut script = Script::new();
        script.then(10, 11, call, denied(reason));
        script.is_found_by(check);
    }
}

#[test]
fn i10_an_answer_is_none_or_an_outage_is_answered_and_nothing_fails() {
    let mut script = Script::new();
    script.then(10, 11, alice(Does::GetCurrentSession), Outcome::Broken("INTERNAL".into()));
    script.is_found_by(Check::AnswerIsNone);

    let mut script = Script::new();
    script.then(950, 951, alice(Does::GetCurrentSession), unknown());
    assert_eq!(script.at_the_end(Some(&stored())), [Check::OutageOfNothing]);
}

#[test]
fn i12_more_sessions_are_stored_than_can_have_been_opened() {
    let mut script = Script::new();
    script.then(10, 11, log_in("alice", OLD), unknown());
    let mut end = stored();
    end.sessions.push(session("a3", "0a"));
    assert_eq!(script.at_the_end(Some(&end)), [], "that of the log-in that was not heard of");
    end.sessions.push(session("a4", "0a"));
    assert_eq!(script.at_the_end(Some(&end)), [Check::UntoldSessions]);
}

#[test]
fn i1_a_renewal_is_lost() {
    let until = |expires| {
        let answer = Answer { session: Some("a1".into()), expires: Some(expires), ..Answer::default() };
        Outcome::Ok(Box::new(answer))
    };
    let mut script = Script::new();
    script.then(10, 11, alice(Does::RefreshSession), until(100));
    assert_eq!(script.at_the_end(Some(&stored())), []);
    script.then(12, 13, alice(Does::RefreshSession), until(101));
    assert_eq!(script.at_the_end(Some(&stored())), [Check::RenewedAndNotStored]);
}

#[test]
fn i7_somebody_is_acted_on_who_is_not_outranked() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), ok());
    script.then(12, 13, root(Does::InactivateUser, "alice"), ok());
    script.then(14, 15, root(Does::ReactivateUser, "alice"), ok());
    script.log_in(16, 17, "alice", OLD, "a3");
    script.is_good();
    script.then(20, 21, by("alice", "a3", Does::RevokeUserSessions).on(ROOT), denied("ROLE_TOO_LOW"));
    script.is_good();
    script.then(22, 23, by("alice", "a3", Does::ListUserSessions).on(ROOT), ok());
    script.is_found_by(Check::ActsOnAHigherRank);
}

#[test]
fn a_story_has_the_calls_that_matter_and_no_others() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GetUser, "alice"), shows(Role::User, "e1"));
    script.then(20, 21, alice(Does::LogOut), ok());
    script.then(30, 31, by("alice", "a2", Does::GetCurrentSession), ok());
    script.then(40, 41, alice(Does::GetCurrentSession), ok());
    let violations = check(&script.0, None).violations;
    assert_eq!(violations[0].records, [3, 6, 8], "opened, ended, let in");
    let told = story(&violations[0], &script.0);
    assert_eq!(told.lines().count(), 4, "{told}");
    assert!(told.contains("Auth-service 0 LogOut as alice in session a1"), "{told}");
}

#[test]
fn what_could_have_been_wrong_is_counted_and_nothing_else() {
    let mut script = Script::new();
    script.then(10, 11, root(Does::GrantAdmin, "alice"), shows(Role::Admin, "e1"));
    script.then(12, 13, alice(Does::LogOut), ok());
    script.then(14, 15, alice(Does::GetCurrentSession), denied("UNAUTHENTICATED"));
    let judged = check(&script.0, None).judged;
    let times = |check| judged.get(&check).copied().unwrap_or_default();
    assert_eq!(times(Check::OutlivesItsEnd), 1, "the look after it");
    assert_eq!(times(Check::RoleNobodyGave), 1, "the role in the answer");
    assert_eq!(times(Check::OldPasswordOpens), 0, "there is no password of before");
    assert_eq!(times(Check::StaleEtagAccepted) + times(Check::NameMadeTwice) + times(Check::NoSuperAdmin), 0);
}
