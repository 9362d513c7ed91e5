//! `ChangePassword` and `SetUserPassword` against log-ins, renewals and each other.
//!
//! Dead after the OK of `ChangePassword`: every session that the old password opened, the one that changed it, and every
//! renewal of these. Alive: the one that it opened. Of several changes from the same password one succeeds.

use api::auth::{ChangePasswordRequest, ChangePasswordResponse, LogInRequest, RefreshSessionRequest};
use api::users::{SetUserPasswordRequest, UserRole};
use e2e::{Failure, PASSWORD, Pair, Person, Reply, Settings, by_id, rounds};
use futures::future::join_all;

use super::{good, live, log_in_at_once};

const NEW: &str = "another long secret";

fn change(current: &str, new: &str) -> ChangePasswordRequest {
    ChangePasswordRequest { current_password: current.into(), new_password: new.into() }
}

/// Tokens that renewals of a session got while they still could.
async fn renew_until_refused(person: &Person) -> Vec<String> {
    let mut tokens = vec![person.token.clone()];
    loop {
        match person.call(RefreshSessionRequest {}).await {
            Ok(renewed) => tokens.push(renewed.message.access_token),
            Err(refusal) => {
                assert_eq!(refusal.reason, "UNAUTHENTICATED", "{refusal:?}");
                return tokens;
            }
        }
    }
}

/// Tokens of log-ins with the old password while they still could be made.
async fn log_in_until_refused(app: &Pair, username: &str) -> Vec<String> {
    let request = LogInRequest { username: username.into(), password: PASSWORD.into() };
    let mut tokens = Vec::new();
    loop {
        match app.anonymous.call(request.clone()).await {
            Ok(opened) => tokens.push(opened.message.access_token),
            Err(refusal) => {
                assert_eq!(refusal.reason, "INVALID_CREDENTIALS", "{refusal:?}");
                return tokens;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_password_change_only_its_own_new_session_is_alive() {
    let app = Pair::start_with(Settings::default().unlimited().auth("SESSION__MAX_PER_USER", "100")).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..rounds(100) {
        let bob = app.somebody(UserRole::User).await;
        let other = app.log_in(&bob.username).await;
        let changing = async {
            for _ in 0..round % 5 {
                app.user.ok(api::auth::GetCurrentSessionRequest {}).await;
            }
            let opened = bob.ok(change(PASSWORD, NEW)).await.message;
            let session = opened.session.clone().expect("a session").session_id;
            assert_eq!(live(&app, &bob.id).await, [session], "round {round}: right after OK");
            opened
        };
        let log_ins = log_in_at_once(&app, &bob.username, 50);
        let (log_ins, renewed, of_own, opened) =
            tokio::join!(log_ins, renew_until_refused(&other), renew_until_refused(&bob), changing);
        let mut tokens = [renewed, of_own].concat();
        for log_in in log_ins {
            match log_in {
                Ok(opened) => {
                    tokens.push(opened.access_token);
                    before += 1;
                }
                Err(reason) => {
                    assert_eq!(reason, "INVALID_CREDENTIALS");
                    after += 1;
                }
            }
        }
        assert_eq!(good(&app, tokens).await, [""; 0], "round {round}");
        assert_eq!(live(&app, &bob.id).await, [opened.session.expect("a session").session_id]);
    }
    println!("{before} log-ins came before, {after} after");
    assert!(before > 0 && after > 0, "{before} log-ins came before, {after} after: it was no race");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_changes_from_one_password_one_succeeds() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    for round in 0..rounds(100) {
        let bob = app.somebody(UserRole::User).await;
        let devices = join_all((0..8).map(|_| app.log_in(&bob.username))).await;
        let outcomes: Vec<Result<Reply<ChangePasswordResponse>, Failure>> =
            join_all(devices.iter().enumerate().map(async |(number, device)| {
                device.call(change(PASSWORD, &format!("secret of device {number}"))).await
            }))
            .await;
        let winners: Vec<_> = (0..8).filter(|number| outcomes[*number].is_ok()).collect();
        let [winner] = winners[..] else { panic!("round {round}: {outcomes:?}") };
        for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            let right = ["UNAUTHENTICATED", "CURRENT_PASSWORD_MISMATCH"].contains(&refusal.reason.as_str());
            assert!(right, "{refusal:?}");
        }
        let opened = outcomes[winner].as_ref().expect("it won").message.session.clone().expect("a session");
        assert_eq!(live(&app, &bob.id).await, [opened.session_id], "round {round}");
        let password = format!("secret of device {winner}");
        app.anonymous.ok(LogInRequest { username: bob.username.clone(), password }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_password_was_set_no_session_of_the_old_one_is_alive() {
    let app = Pair::start_with(Settings::default().unlimited()).await;
    for round in 0..rounds(100) {
        let bob = app.somebody(UserRole::User).await;
        let setting = async {
            app.user.ok(api::auth::GetCurrentSessionRequest {}).await;
            app.admin.ok(SetUserPasswordRequest { user: by_id(&bob.id), password: NEW.into() }).await;
            assert_eq!(live(&app, &bob.id).await, [""; 0], "round {round}: right after OK");
        };
        let log_ins = join_all((0..4).map(|_| log_in_until_refused(&app, &bob.username)));
        let own = bob.call(change(PASSWORD, "a secret of my own"));
        let (log_ins, renewed, own, ()) = tokio::join!(log_ins, renew_until_refused(&bob), own, setting);
        let own = own.into_iter().map(|opened| opened.message.access_token);
        let tokens: Vec<_> = log_ins.concat().into_iter().chain(renewed).chain(own).collect();
        assert_eq!(good(&app, tokens).await, [""; 0], "round {round}");
        assert_eq!(live(&app, &bob.id).await, [""; 0], "round {round}");
        app.anonymous.ok(LogInRequest { username: bob.username.clone(), password: NEW.into() }).await;
    }
}
