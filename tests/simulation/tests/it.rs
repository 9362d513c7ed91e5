//! Some hundred seeds hold every invariant, a seed is one story, and each check finds the defect that it is there for.
//!
//! `TANDEM_SEEDS=5000` runs more; `cargo run --package simulation -- --seeds 5000 200` others.

use overheard as _;

use std::process::Command;

use simulation::{Check, run, run_all};

#[expect(clippy::disallowed_methods, reason = "how long a test takes is no setting of the services")]
fn seeds() -> u64 {
    std::env::var("TANDEM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(200)
}

#[test]
fn every_invariant_holds_whatever_goes_wrong() {
    let summary = run_all(0..seeds());
    println!("{summary}");
    assert!(summary.violations.is_empty(), "\n{summary}");
    // Or nothing would have been tried.
    let (died_at, steps) = summary.counts.coverage();
    assert!(died_at * 2 > steps, "processes died before {died_at} of {steps} steps only\n{summary}");
}

#[test]
fn the_same_seed_is_the_same_story() {
    let mut lines = 0;
    for seed in 0..8 {
        let (first, second) = (run(seed, true), run(seed, true));
        lines += first.story.len();
        assert_eq!(first.story, second.story, "seed {seed}");
        // And it is the same whether it is told or not.
        let silent = run(seed, false);
        assert_eq!(silent.counts.moments, first.counts.moments, "seed {seed}");
        assert_eq!(silent.looks, first.looks, "seed {seed}");
    }
    // How much comes of one of them is chance.
    assert!(lines > 8 * 1_000, "{lines} lines are no stories");
}

#[test]
fn another_seed_is_another_story() {
    assert_ne!(run(0, true).story, run(1, true).story);
}

/// Looks for a seed in which the check finds something, in a process with the defect.
#[track_caller]
fn assert_caught(mutant: &str, check: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulation"))
        .args(["--catch", check, "800"])
        .env("TANDEM_MUTANT", mutant)
        .output()
        .expect("the program runs");
    let found = String::from_utf8_lossy(&output.stdout);
    println!("{found}");
    assert!(output.status.success(), "{mutant}: {found}");
}

/// A test for each defect: its name, and what breaks by it.
macro_rules! caught {
    ($($test:ident: $mutant:literal breaks $check:ident;)*) => {
        $(#[test]
        fn $test() {
            assert_caught($mutant, stringify!($check));
        })*

        /// So a new check without a defect does not pass.
        #[test]
        fn every_check_has_a_defect_that_it_is_for() {
            let caught = [$(stringify!($check)),*];
            for check in Check::all().map(|check| check.to_string()) {
                assert!(caught.contains(&check.as_str()), "{check}");
            }
        }
    };
}

mod a_defect_is_caught {
    use super::*;

    caught! {
        a_commit_of_which_nobody_heard_is_answered_ok: "commit.unknown_is_ok" breaks I1;
        what_comes_last_wins_however_old_it_is: "projection.last_wins" breaks I1;
        the_place_in_the_feed_is_saved_before_the_accounts: "apply_feed.cursor_apart" breaks I2;
        a_role_is_reserved_after_the_registration: "create_user.reserved_after" breaks I2;
        sessions_end_before_the_account_is_disabled: "disable_account.sessions_apart" breaks I3;
        a_log_in_believes_what_it_read_before_the_hash: "log_in.not_compared" breaks I3;
        a_role_that_was_read_once_is_believed: "roles.remembered" breaks I3;
        a_revocation_is_answered_before_it_is_made: "revoke_all_sessions.not_committed" breaks I4;
        a_use_brings_an_ended_session_back: "use_session.brings_back" breaks I4;
        a_session_that_was_read_once_is_believed: "sessions.remembered" breaks I4;
        a_change_of_the_password_keeps_other_sessions: "change_password.sessions_kept" breaks I5;
        sessions_outlive_a_password_that_was_set: "set_password.sessions_kept" breaks I5;
        names_that_differ_in_case_are_two: "usernames.as_entered" breaks I6;
        the_last_super_admin_may_go: "demote_super_admin.last_may_go" breaks I7;
        a_repeated_sign_up_is_a_new_one: "sign_up.repeats_are_new" breaks I8;
        a_repeated_creation_is_a_new_one: "create_user.repeats_are_new" breaks I8;
        an_outage_lets_in_whom_it_knows: "outage.lets_in" breaks I9;
        an_outage_is_told_as_a_denial: "outage.denies" breaks I10;
        whatever_etag_is_expected_it_is_done: "etags.not_compared" breaks Etags;
        an_attempt_is_counted_after_the_password_was_looked_at: "attempt.reserved_after" breaks Guesses;
        a_process_that_died_is_not_started_again: "boots.never" breaks Progress;
        what_was_reserved_in_vain_stays_for_ever: "sweep_reservations.never" breaks I12;
    }
}

#[test]
fn without_a_defect_nothing_is_caught() {
    for check in Check::all().map(|check| check.to_string()) {
        let output = Command::new(env!("CARGO_BIN_EXE_simulation"))
            .args(["--catch", &check, "20"])
            .env_remove("TANDEM_MUTANT")
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(1), "{check}");
    }
}
