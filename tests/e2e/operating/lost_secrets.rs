//! What is done when a pepper is lost. (A stolen key and a stolen token: where these are replaced.)

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::SetUserPasswordRequest;
use e2e::{PASSWORD, Person, Processes, Service, by_name, sign_up};
use tonic::Code;

use super::commands::{file, ran, random, replaced, restarted_in_turn};
use crate::crashes::BINARIES;

const NEW_PASSWORD: &str = "another long secret";

fn log_in(username: &str, password: &str) -> LogInRequest {
    LogInRequest { username: username.to_owned(), password: password.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_pepper_was_lost_passwords_are_set_anew_and_sessions_go_on() {
    let mut pair = Processes::start(BINARIES).await;
    pair.super_admin().await;
    pair.anonymous.ok(sign_up("alice")).await;
    let alice = Person::log_in(&pair.anonymous, "alice").await;

    // 1. Another one, by another id.
    replaced(&file(&pair, "peppers"), &format!("p2:{}", random().await));
    restarted_in_turn(&mut pair, Service::Auth).await;
    for username in ["alice", "superadmin"] {
        let refused = pair.anonymous.raw(log_in(username, PASSWORD)).await.expect_err("its pepper is lost");
        assert_eq!(refused.code(), Code::Internal, "it is not said that the password is wrong");
    }
    pair.resume(&alice).ok(GetCurrentSessionRequest {}).await;
    pair.anonymous.ok(sign_up("newcomer")).await;
    pair.anonymous.ok(log_in("newcomer", PASSWORD)).await;

    // 2. The super admin's password, at the machine.
    let password = pair.write("password", NEW_PASSWORD).display().to_string();
    let arguments = ["--username", "superadmin", "--password-file", &password];
    ran(&pair, Service::Users, &[&["reset-super-admin-password"], &arguments[..]].concat()).await;
    let opened = pair.anonymous.ok(log_in("superadmin", NEW_PASSWORD)).await.message;
    let root = Person::of(&pair.anonymous, "superadmin", opened.access_token, opened.session);
    // 3. Everybody else's.
    root.ok(SetUserPasswordRequest { user: by_name("alice"), password: NEW_PASSWORD.into() }).await;
    pair.anonymous.ok(log_in("alice", NEW_PASSWORD)).await;
}
