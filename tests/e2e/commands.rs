//! The commands of the two binaries, run as an operator runs them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{GetCurrentUserRequest, UserRole};
use e2e::{PASSWORD, Person, Processes, Service, Settings};
use futures::future::join_all;

use crate::crashes::BINARIES;

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn the_settings_are_checked_and_printed_without_secrets_and_without_a_database() {
    let pair = Processes::prepared(BINARIES, Settings::default()).await;
    let secrets = ["peppers", "full-token", "verify-token"].map(|name| {
        let content = fs::read_to_string(pair.home().join(name)).expect("a secret");
        content.split(':').next_back().expect("a secret").to_owned()
    });
    for service in [Service::Auth, Service::Users] {
        out(&pair.command_output(service, &["config", "check"]).await);
        let printed = out(&pair.command_output(service, &["config", "print"]).await);
        assert!(printed.contains("database"), "{printed}");
        for secret in &secrets {
            assert!(!printed.contains(secret.as_str()), "{printed}");
        }
        assert!(pair.data().is_untouched(service).await);
    }
}

#[tokio::test]
async fn a_level_that_is_none_and_two_listeners_on_one_address_are_found_by_the_check() {
    for (key, value, named) in [
        ("LOG__LEVEL", "infoo", "log.level"),
        ("LOG__LEVEL", "warning", "log.level"),
        ("SERVER__OPS_LISTEN", "127.0.0.1:50100", "server.ops_listen"),
    ] {
        let settings = Settings::default().auth(key, value).users(key, value);
        let settings = settings.auth("SERVER__LISTEN", "127.0.0.1:50100");
        let settings = settings.users("SERVER__LISTEN", "127.0.0.1:50100");
        let pair = Processes::prepared(BINARIES, settings).await;
        for (service, prefix) in [(Service::Auth, "AUTH"), (Service::Users, "USERS")] {
            let said = refused(&pair.command_output(service, &["config", "check"]).await);
            assert!(said.contains(named) && said.contains(&format!("{prefix}__{key}")), "{value}: {said}");
        }
    }
}

#[tokio::test]
async fn a_healthcheck_says_whether_the_service_is_ready() {
    let mut pair = Processes::start(BINARIES).await;
    for service in [Service::Auth, Service::Users] {
        out(&pair.command_output(service, &["healthcheck"]).await);
        pair.kill(service).await;
        refused(&pair.command_output(service, &["healthcheck"]).await);
    }
}

#[tokio::test]
async fn a_migration_can_be_run_again_and_beside_others() {
    for _ in 0..8 {
        let pair = Processes::prepared(BINARIES, Settings::default()).await;
        for service in [Service::Auth, Service::Users] {
            let migrations = join_all((0..6).map(|_| pair.command_output(service, &["migrate"]))).await;
            let again = pair.command_output(service, &["migrate"]).await;
            for output in migrations.iter().chain([&again]) {
                out(output);
            }
        }
    }
}

#[tokio::test]
async fn a_new_key_is_for_its_owner_alone_and_overwrites_nothing() {
    let pair = Processes::prepared(BINARIES, Settings::default()).await;
    let file = pair.home().join("another-key.pem");
    let arguments = ["keys", "generate", "--out", file.to_str().expect("text")];
    out(&pair.command_output(Service::Auth, &arguments).await);
    assert_eq!(fs::metadata(&file).expect("a key").permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).expect("a key");
    let said = refused(&pair.command_output(Service::Auth, &arguments).await);
    assert!(said.contains("another-key.pem"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("a key"), key);
}

#[tokio::test]
async fn a_generated_password_goes_to_its_file_and_is_never_printed() {
    let pair = Processes::start(BINARIES).await;
    let file = pair.home().join("generated");
    let to_file = ["--password-out", file.to_str().expect("text")];
    let bootstrap = ["bootstrap-super-admin", "--username", "superadmin"];
    let without = pair.command_output(Service::Users, &bootstrap).await;
    assert!(refused(&without).contains("--password-out"), "there is no terminal to show it on");

    let made = pair.command_output(Service::Users, &[&bootstrap[..], &to_file].concat()).await;
    let password = fs::read_to_string(&file).expect("a password").trim().to_owned();
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let printed = format!("{}{}", out(&made), String::from_utf8_lossy(&made.stderr));
    assert!(!printed.contains(&password), "{printed}");
    let request = LogInRequest { username: "superadmin".into(), password: password.clone() };
    let opened = pair.anonymous.ok(request).await.message;
    let caller = pair.anonymous.bearer(&opened.access_token);
    let user = caller.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_eq!(user.role(), UserRole::SuperAdmin);

    refused(&pair.command_output(Service::Users, &[&bootstrap[..], &to_file].concat()).await);
    assert_eq!(fs::read_to_string(&file).expect("a password").trim(), password, "nothing is overwritten");
}

#[tokio::test]
async fn super_admins_are_demoted_and_helped_beside_a_running_service() {
    let pair = Processes::start(BINARIES).await;
    let first = pair.super_admin().await;
    let file = pair.write("second", PASSWORD).display().to_string();
    let bootstrap = ["bootstrap-super-admin", "--username", "second", "--password-file", &file];
    assert!(refused(&pair.command_output(Service::Users, &bootstrap).await).contains("--force"));
    out(&pair.command_output(Service::Users, &[&bootstrap[..], &["--force"]].concat()).await);
    let second = Person::log_in(&pair.anonymous, "second").await;

    let demote = |name| ["demote-super-admin", "--username", name];
    out(&pair.command_output(Service::Users, &demote("superadmin")).await);
    first.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let said = refused(&pair.command_output(Service::Users, &demote("second")).await);
    assert!(said.contains("last active super admin"), "{said}");

    let guessed = pair.write("guessed", "987654321098765").display().to_string();
    for arguments in [
        &["bootstrap-super-admin", "--username", "third", "--password-file", &guessed, "--force"][..],
        &["reset-super-admin-password", "--username", "second", "--password-file", &guessed],
    ] {
        let said = refused(&pair.command_output(Service::Users, arguments).await);
        assert!(said.contains("must not be mostly sequences"), "{said}");
    }

    let new = pair.write("new", "another long secret").display().to_string();
    let reset = ["reset-super-admin-password", "--username", "second", "--password-file", &new];
    out(&pair.command_output(Service::Users, &reset).await);
    second.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    let request = LogInRequest { username: "second".into(), password: "another long secret".into() };
    pair.anonymous.ok(request).await;
}

#[tokio::test]
async fn after_restore_ends_every_session_and_says_so() {
    let mut pair = Processes::start(BINARIES).await;
    let super_admin = pair.super_admin().await;
    pair.kill(Service::Auth).await;
    let said = out(&pair.command_output(Service::Auth, &["after-restore"]).await);
    assert!(said.contains("new epoch") && said.contains("1 sessions were ended"), "{said}");
    pair.run(Service::Auth, None).await;
    pair.ready().await;
    pair.resume(&super_admin).refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
    Person::log_in(&pair.anonymous, "superadmin").await;
}
