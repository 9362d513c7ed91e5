//! `RevokeAllSessions` against log-ins, renewals, password changes and itself; log-out and `RevokeSession` against renewals.
//!
//! Dead after its OK: every session whose log-in was answered before it began, and every renewal of these. A log-in
//! that was under way may come after it; whatever it opened is then in the list, and nothing else is.

use api::auth::{
    ChangePasswordRequest, GetCurrentSessionRequest, LogOutRequest, RefreshSessionRequest,
    RevokeAllSessionsRequest, RevokeSessionRequest,
};
use api::users::UserRole;
use chrono::TimeDelta;
use e2e::{PASSWORD, Pair, Settings, rounds};
use futures::future::join_all;

use super::{HeadStart, good, live, log_in_at_once};

#[tokio::test(flavor = "multi_thread")]
async fn every_session_from_before_is_dead_and_what_is_alive_is_listed() {
    let app = Pair::start_with(Settings::default().unlimited().auth("SESSION__MAX_PER_USER", "100")).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..rounds(100) {
        let bob = app.somebody(UserRole::User).await;
        let device = app.log_in(&bob.username).await;
        let renewing = async {
            let mut tokens = vec![device.token.clone(), bob.token.clone()];
            while let Ok(renewed) = device.call(RefreshSessionRequest {}).await {
                tokens.push(renewed.message.access_token);
            }
            tokens
        };
        let revoking = async {
            for _ in 0..round % 5 {
                app.user.ok(GetCurrentSessionRequest {}).await;
            }
            bob.ok(RevokeAllSessionsRequest { keep_current: false }).await;
        };
        let (log_ins, renewed, ()) =
            tokio::join!(log_in_at_once(&app, &bob.username, 50), renewing, revoking);
        assert_eq!(good(&app, renewed).await, [""; 0], "round {round}");
        let opened: Vec<_> = log_ins.into_iter().flatten().collect();
        assert_eq!(opened.len(), 50, "revocation refuses nobody");
        let alive = good(&app, opened.iter().map(|opened| opened.access_token.clone())).await;
        before += opened.len() - alive.len();
        after += alive.len();
        let mut ids: Vec<_> = opened
            .into_iter()
            .filter(|opened| alive.contains(&opened.access_token))
            .map(|opened| opened.session.expect("a session").session_id)
            .collect();
        let mut listed = live(&app, &bob.id).await;
        ids.sort();
        listed.sort();
        assert_eq!(listed, ids, "round {round}");
    }
    println!("{before} log-ins came before, {after} after");
    assert!(before > 0 && after > 0, "{before} log-ins came before, {after} after: it was no race");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_password_from_a_session_that_is_being_revoked_wins_or_loses_whole() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let (mut won, mut lost) = (0, 0);
    let mut head_start = HeadStart::default();
    for round in 0..rounds(100) {
        let bob = app.somebody(UserRole::User).await;
        let device = app.log_in(&bob.username).await;
        let change = ChangePasswordRequest {
            current_password: PASSWORD.into(),
            new_password: "another long secret".into(),
        };
        let (changed, revoked) = tokio::join!(device.call(change), async {
            head_start.pass(&app).await;
            bob.call(RevokeAllSessionsRequest { keep_current: true }).await
        });
        let mut tokens = vec![device.token.clone(), bob.token.clone()];
        tokens.extend(changed.as_ref().ok().map(|opened| opened.message.access_token.clone()));
        let alive = good(&app, tokens).await;
        head_start.adapt(changed.is_ok());
        match (&changed, &revoked) {
            // The revocation came first: the change found its session gone and did nothing.
            (Err(refusal), Ok(_)) => {
                assert_eq!(refusal.reason, "UNAUTHENTICATED");
                assert_eq!(alive, std::slice::from_ref(&bob.token), "round {round}");
                app.log_in(&bob.username).await;
                lost += 1;
            }
            // The change came first; whoever revoked was logged out by it, before or after it was admitted.
            (Ok(opened), Err(refusal)) => {
                assert_eq!(refusal.reason, "UNAUTHENTICATED");
                assert_eq!(alive, std::slice::from_ref(&opened.message.access_token), "round {round}");
                won += 1;
            }
            // Both: had the revocation been first, the change would have found its session gone. So it was second, and
            // the session that the change opened is among those that it ended.
            (Ok(_), Ok(_)) => {
                assert_eq!(alive, [""; 0], "round {round}");
                won += 1;
            }
            (Err(changed), Err(revoked)) => panic!("round {round}: {changed:?} and {revoked:?}"),
        }
    }
    println!("{won} changes won, {lost} lost");
    assert!(won > 0 && lost > 0, "{won} won, {lost} lost: it was no race");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_in_the_metadata_never_brings_an_ended_session_back() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let mut people = Vec::new();
    while people.len() < rounds(40) * 2 {
        people.extend(join_all((0..40).map(|_| app.somebody(UserRole::User))).await);
    }
    app.clock.advance(TimeDelta::minutes(28));
    for (round, bob) in people.iter().enumerate() {
        let calls = join_all((0..8).map(|_| bob.call(GetCurrentSessionRequest {})));
        let ending = async {
            for _ in 0..round % 4 {
                app.anonymous.refused("UNAUTHENTICATED", LogOutRequest {}).await;
            }
            if round % 2 == 0 {
                bob.ok(LogOutRequest {}).await;
            } else {
                bob.ok(RevokeSessionRequest { session_id: bob.session.session_id.clone() }).await;
            }
        };
        let (calls, ()) = tokio::join!(calls, ending);
        let renewed = calls.into_iter().flatten().filter_map(|reply| reply.renewed()).map(|(token, _)| token);
        let tokens: Vec<_> = renewed.chain([bob.token.clone()]).collect();
        assert_eq!(good(&app, tokens).await, [""; 0], "round {round}");
        assert_eq!(live(&app, &bob.id).await, [""; 0], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_revocations_leave_nothing_and_count_every_session_once() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    for round in 0..rounds(20) {
        let bob = app.somebody(UserRole::User).await;
        let devices = join_all((0..7).map(|_| app.log_in(&bob.username))).await;
        let outcomes = join_all(
            devices.iter().map(|device| device.call(RevokeAllSessionsRequest { keep_current: false })),
        )
        .await;
        let counted: i32 = outcomes.iter().flatten().map(|reply| reply.message.revoked_count).sum();
        assert_eq!(counted, 8, "round {round}");
        assert_eq!(live(&app, &bob.id).await, [""; 0], "round {round}");
    }
}
