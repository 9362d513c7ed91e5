//! A panic in a handler of the real binaries: whoever called hears that it is an internal error and nothing of why, operators
//! read it in the log, and everybody else on the same connection goes on.

use api::auth::auth_service_client::AuthServiceClient;
use api::auth::{GetCurrentSessionRequest, ListSessionsRequest, LogOutRequest, SignUpRequest};
use api::users::users_service_client::UsersServiceClient;
use api::users::{GetCurrentUserRequest, GetUserRequest};
use e2e::{
    AUTH, Engine, PASSWORD, Person, Processes, Service, Settings, USERS, by_id, eventually, get, patient,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::crashes::BINARIES;

/// What a handler says when it panics.
const SAID: &str = "a defect";

/// A handler that panics whenever it is called.
struct Defect {
    name: &'static str,
}

const IN_A_HANDLER: Defect = Defect { name: "list_sessions.panics" };
const IN_A_UNIT_OF_WORK: Defect = Defect { name: "log_out.panics" };
const OF_USERS_SERVICE: Defect = Defect { name: "get_current_user.panics" };

/// Both services with the defect, and somebody who is logged in.
async fn with(defect: &Defect) -> (Processes, Person) {
    // As text, because the standard library says it in a line of its own, which is no JSON.
    let settings = Settings::on(Engine::Sqlite)
        .variable("TANDEM_MUTANT", defect.name)
        .auth("LOG__FORMAT", "text")
        .users("LOG__FORMAT", "text");
    let pair = Processes::start_with(BINARIES, settings).await;
    let sign_up = SignUpRequest { username: "alice".into(), password: PASSWORD.into(), ..Default::default() };
    pair.anonymous.ok(sign_up).await;
    let alice = Person::log_in(&pair.anonymous, "alice").await;
    (pair, alice)
}

fn assert_internal(status: &Status, domain: &str) {
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), (domain, "ERROR_REASON_INTERNAL"));
    let details = String::from_utf8_lossy(status.details());
    assert!(!details.contains(SAID) && !format!("{:?}", status.metadata()).contains(SAID), "{status:?}");
}

/// That operators are told, and that the process wants calls.
async fn is_logged(pair: &Processes, service: Service) {
    eventually("the panic in the log", async || {
        let log = pair.log(service);
        log.lines().any(|line| line.contains("a handler panicked") && line.contains(SAID)).then_some(())
    })
    .await;
    assert_eq!(get(pair.ops(service), "/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_auth_service_is_answered_and_the_connection_lives_on() {
    for defect in [IN_A_HANDLER, IN_A_UNIT_OF_WORK] {
        let (pair, alice) = with(&defect).await;
        let [address, ..] = pair.listeners();
        let origin = format!("http://{address}").parse().expect("an address");
        // Which is never made anew.
        let mut client = AuthServiceClient::with_origin(patient(address).await, origin);
        for _ in 0..3 {
            let answer = match defect.name {
                "log_out.panics" => client.log_out(alice.request(LogOutRequest {})).await.map(drop),
                _ => client.list_sessions(alice.request(ListSessionsRequest::default())).await.map(drop),
            };
            assert_internal(&answer.expect_err("it panics"), AUTH);
            client.get_current_session(alice.request(GetCurrentSessionRequest {})).await.expect("an answer");
        }
        is_logged(&pair, Service::Auth).await;
        let events = pair.log(Service::Auth);
        let events = events.lines().filter(|line| line.contains("security") && line.contains("log_out"));
        let expected = if defect.name == "log_out.panics" { 3 } else { 0 };
        assert_eq!(events.filter(|line| line.contains("internal error")).count(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_in_users_service_is_answered_and_the_connection_lives_on() {
    let (pair, alice) = with(&OF_USERS_SERVICE).await;
    let [.., address] = pair.listeners();
    let origin = format!("http://{address}").parse().expect("an address");
    let mut client = UsersServiceClient::with_origin(patient(address).await, origin);
    for _ in 0..3 {
        let answer = client.get_current_user(alice.request(GetCurrentUserRequest::default())).await;
        assert_internal(&answer.expect_err("it panics"), USERS);
        let herself = GetUserRequest { user: by_id(&alice.id), ..Default::default() };
        client.get_user(alice.request(herself)).await.expect("an answer");
    }
    is_logged(&pair, Service::Users).await;
}
