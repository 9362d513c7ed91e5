//! `kill -9` at every step of `CreateUser`, of either process: after the restart the user is there once with the role
//! asked for, or not at all, and a repeat with the same request id ends in exactly one. Where there are replicas, the
//! others go on serving what the one that died left.

use api::users::{CreateUserRequest, ListUsersRequest, User, UserRole};
use e2e::{Binaries, PASSWORD, Person, Processes, Service};

/// The processes of these tests.
pub(crate) const BINARIES: Binaries = Binaries {
    auth: env!("CARGO_BIN_EXE_auth-service-under-test"),
    users: env!("CARGO_BIN_EXE_users-service-under-test"),
};

/// Whether the user is there after the restart, without any repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Absent,
    Present,
}

fn request() -> CreateUserRequest {
    CreateUserRequest {
        username: "worker".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c".into(),
    }
}

async fn workers(super_admin: &Person) -> Vec<User> {
    let request = ListUsersRequest { username_prefix: "worker".into(), ..Default::default() };
    super_admin.ok(request).await.message.users
}

async fn dies_at(service: Service, point: &str, then: Then) {
    let mut pair = Processes::start(BINARIES).await;
    let super_admin = pair.super_admin().await;
    pair.kill(service).await;
    pair.run(service, Some(point)).await;
    pair.ready().await;
    let super_admin = pair.resume(&super_admin);
    super_admin.of_the_first_replica().raw(request()).await.expect_err("the answer is lost");
    let status = pair.died(service).await;
    assert!(!status.success(), "{status}");

    pair.run(service, None).await;
    pair.ready().await;
    let super_admin = pair.resume(&super_admin);
    // To log in and to be asked for oneself makes a user visible, feed or no feed.
    let log_in = api::auth::LogInRequest { username: "worker".into(), password: PASSWORD.into() };
    let logged_in = pair.anonymous.call(log_in).await;
    assert_eq!(logged_in.is_ok(), then == Then::Present, "{point}: {logged_in:?}");
    if let Ok(opened) = logged_in {
        let worker = pair.anonymous.bearer(&opened.access_token);
        let user =
            worker.ok(api::users::GetCurrentUserRequest::default()).await.message.user.expect("a user");
        assert_eq!(user.role(), UserRole::Admin, "{point}");
    }
    let found = workers(&super_admin).await;
    assert_eq!(found.len(), usize::from(then == Then::Present), "{point}: {found:?}");

    let repeated = super_admin.ok(request()).await.message.user.expect("a user");
    assert_eq!(workers(&super_admin).await, std::slice::from_ref(&repeated), "{point}");
    assert_eq!((repeated.username.as_str(), repeated.role()), ("worker", UserRole::Admin), "{point}");
    assert_eq!(super_admin.ok(request()).await.message.user, Some(repeated), "{point}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_before_its_reservation_left_nothing() {
    dies_at(Service::Users, "create_user.before_reservation", Then::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_after_its_reservation_left_no_user() {
    dies_at(Service::Users, "create_user.reserved", Then::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_inside_its_reservation_left_nothing() {
    dies_at(Service::Users, "create_user.before_commit_of_reservation", Then::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_while_it_was_projected_is_completed_with_its_role() {
    dies_at(Service::Users, "apply_account.before_commit", Then::Present).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_after_the_registration_is_completed_with_its_role() {
    dies_at(Service::Users, "create_user.registered", Then::Present).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_that_died_before_its_answer_was_done() {
    dies_at(Service::Users, "create_user.applied", Then::Present).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_died_before_its_commit_left_nothing() {
    dies_at(Service::Auth, "register_account.before_commit", Then::Absent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_died_after_its_commit_is_completed_with_its_role() {
    dies_at(Service::Auth, "register_account.committed", Then::Present).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_both_were_killed() {
    let mut pair = Processes::start(BINARIES).await;
    let super_admin = pair.super_admin().await;
    let mut acknowledged = Vec::new();
    for number in 0..30 {
        let request = CreateUserRequest {
            username: format!("worker{number:02}"),
            request_id: String::new(),
            ..request()
        };
        acknowledged.push(super_admin.ok(request).await.message.user.expect("a user"));
    }
    for service in [Service::Users, Service::Auth] {
        pair.kill(service).await;
    }
    for service in [Service::Auth, Service::Users] {
        pair.run(service, None).await;
    }
    pair.ready().await;
    let super_admin = pair.resume(&super_admin);
    let request = ListUsersRequest {
        username_prefix: "worker".into(),
        page_size: 100,
        order_by: "username".into(),
        ..Default::default()
    };
    assert_eq!(super_admin.ok(request).await.message.users, acknowledged);
    Person::log_in(&pair.anonymous, "worker00").await;
}
