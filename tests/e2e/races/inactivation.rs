//! Inactivation and revoked rights against whoever is using them: nothing of what was before outlives the OK.

use api::auth::{GetCurrentSessionRequest, RefreshSessionRequest};
use api::users::{
    GetCurrentUserRequest, InactivateUserRequest, ListUsersRequest, ReactivateUserRequest,
    RevokeAdminRequest, UserRole,
};
use e2e::{Pair, Settings, by_id, rounds};
use futures::future::join_all;

use super::{good, live, log_in_at_once};

#[tokio::test(flavor = "multi_thread")]
async fn no_log_in_under_way_slips_past_an_inactivation() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let target = app.somebody(UserRole::User).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..rounds(100) {
        let inactivation = async {
            // At another moment of the log-ins in every round.
            for _ in 0..round % 10 {
                app.user.ok(GetCurrentSessionRequest {}).await;
            }
            app.admin.ok(InactivateUserRequest { user: by_id(&target.id), etag: String::new() }).await;
            assert_eq!(live(&app, &target.id).await, [""; 0], "round {round}: right after OK");
        };
        let (outcomes, ()) = tokio::join!(log_in_at_once(&app, &target.username, 50), inactivation);
        let (opened, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        for reason in refused.into_iter().filter_map(Result::err) {
            assert_eq!(reason, "ACCOUNT_INACTIVE");
            after += 1;
        }
        before += opened.len();
        let tokens = opened.into_iter().flatten().map(|opened| opened.access_token);
        assert_eq!(good(&app, tokens).await, [""; 0], "round {round}");
        assert_eq!(live(&app, &target.id).await, [""; 0], "round {round}");
        app.admin.ok(ReactivateUserRequest { user: by_id(&target.id), etag: String::new() }).await;
    }
    println!("{before} log-ins came before, {after} after");
    assert!(before > 0 && after > 0, "{before} log-ins came before, {after} after: it was no race");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_that_begins_after_an_inactivation_is_accepted() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let mut before = 0;
    for round in 0..rounds(100) {
        let target = app.somebody(UserRole::User).await;
        let over = tokio::sync::watch::Sender::new(false);
        let calls = join_all((0..8).map(async |number| {
            let mut accepted = 0;
            loop {
                let began_after = *over.borrow();
                let outcome = match number % 3 {
                    0 => target.call(GetCurrentUserRequest::default()).await.map(drop),
                    1 => target.call(RefreshSessionRequest {}).await.map(drop),
                    _ => target.call(GetCurrentSessionRequest {}).await.map(drop),
                };
                assert!(!(began_after && outcome.is_ok()), "round {round}: accepted after OK");
                if let Err(refusal) = &outcome {
                    assert_eq!(refusal.reason, "UNAUTHENTICATED", "{refusal:?}");
                }
                if began_after {
                    return accepted;
                }
                accepted += usize::from(outcome.is_ok());
            }
        }));
        let inactivation = async {
            app.user.ok(GetCurrentUserRequest::default()).await;
            app.admin.ok(InactivateUserRequest { user: by_id(&target.id), etag: String::new() }).await;
            over.send_replace(true);
        };
        let (accepted, ()) = tokio::join!(calls, inactivation);
        let accepted = accepted.into_iter().sum::<usize>();
        assert!(accepted > 0, "nobody called before");
        before += accepted;
    }
    println!("{before} calls were accepted before, none after");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_that_begins_after_a_revoked_admin_role_has_the_old_right() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    let mut before = 0;
    for round in 0..rounds(30) {
        let target = app.somebody(UserRole::Admin).await;
        let over = tokio::sync::watch::Sender::new(false);
        let calls = join_all((0..8).map(async |_| {
            let mut accepted = 0;
            loop {
                let began_after = *over.borrow();
                let outcome = target.call(ListUsersRequest { page_size: 1, ..Default::default() }).await;
                assert!(!(began_after && outcome.is_ok()), "round {round}: accepted after OK");
                if let Err(refusal) = &outcome {
                    assert_eq!(refusal.reason, "ROLE_TOO_LOW", "{refusal:?}");
                }
                if began_after {
                    return accepted;
                }
                accepted += usize::from(outcome.is_ok());
            }
        }));
        let revocation = async {
            app.user.ok(GetCurrentUserRequest::default()).await;
            app.super_admin.ok(RevokeAdminRequest { user: by_id(&target.id), etag: String::new() }).await;
            over.send_replace(true);
        };
        let (accepted, ()) = tokio::join!(calls, revocation);
        let accepted = accepted.into_iter().sum::<usize>();
        assert!(accepted > 0, "nobody called before");
        before += accepted;
    }
    println!("{before} calls were accepted before, none after");
}
