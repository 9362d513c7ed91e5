//! How often a log-in asks the database: as often for a name of nobody as for a wrong password, or time would tell.

use auth_core::Error;
use auth_core::commands::DisableAccount;
use auth_core::domain::ThrottlePolicy;
use chrono::TimeDelta;

use crate::over_postgres::Scene;

const WRONG: &str = "not the password at all";

#[tokio::test]
async fn unknown_names_wrong_passwords_and_inactive_accounts_ask_the_database_equally_often() {
    let throttle = ThrottlePolicy {
        free_failures: 5,
        max_delay: TimeDelta::minutes(15),
        address_failures: 300,
        sign_ups_per_hour: 300,
    };
    for throttle in [None, Some(throttle)] {
        let scene = Scene::new(throttle).await;
        scene.sign_up("alice").await.unwrap();
        let inactive = scene.sign_up("inactive").await.unwrap();
        DisableAccount::any_version(inactive).execute(&scene.cx).await.unwrap();
        // Whatever is prepared the first time.
        assert!(matches!(scene.log_in("warmup", WRONG).await, Err(Error::InvalidCredentials)));

        // The store looks at the feed now and then, which comes on top: the least of some attempts is what one takes.
        let mut least = [u64::MAX; 3];
        for _ in 1..=4 {
            for (least, username) in least.iter_mut().zip(["nobody", "alice", "inactive"]) {
                let before = scene.round_trips();
                assert!(matches!(scene.log_in(username, WRONG).await, Err(Error::InvalidCredentials)));
                *least = (*least).min(scene.round_trips() - before);
            }
        }
        let [nobody, alice, inactive] = least;
        assert!(nobody > 0 && nobody == alice && alice == inactive, "{least:?}");
        if throttle.is_none() {
            assert_eq!(alice, 1, "a single read is one round trip");
        }
    }
}
