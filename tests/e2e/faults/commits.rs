//! Connections to PostgreSQL that are lost at a commit: what the caller is told is what is the case, or that nobody knows.

use api::auth::{LogInRequest, SignUpRequest};
use api::identity::{AuthenticateRequest, authenticate_response::Outcome};
use api::users::{
    CreateUserRequest, GetUserRequest, GrantAdminRequest, InactivateUserRequest, ReactivateUserRequest,
    RevokeAdminRequest, UserRole, UserState,
};
use e2e::{
    Caller, Commits, Cut, Engine, PASSWORD, Person, Processes, Service, Settings, Way, by_name, eventually,
    sign_up,
};

use super::witness::impatient;
use crate::crashes::BINARIES;
use crate::postgres::tally::{CANCELLED, OUTAGES, Tally};

const CUTS: [Cut; 4] = [Cut::Before, Cut::During, Cut::After, Cut::Silence];

async fn pair() -> Processes {
    Processes::start_with(BINARIES, impatient(Settings::on(Engine::Postgres)).proxied()).await
}

fn request_id(number: usize) -> String {
    format!("0198f0c2-7d1e-4cc3-98a4-{number:012}")
}

/// Makes a call while every commit of a service is cut, and says whether it was good.
async fn cut<M: e2e::Call>(
    pair: &Processes,
    service: Service,
    how: Cut,
    caller: &Caller,
    message: M,
) -> Option<M::Answer> {
    let proxy = pair.proxy(Way::ToDatabase(service), 0);
    let before = proxy.passed().cut;
    proxy.cut_commits(how, Commits::Every);
    let outcome = Tally::default().call(&caller.with("grpc-timeout", "3S"), message).await;
    proxy.cut_commits(how, Commits::None);
    assert!(proxy.passed().cut > before, "no commit was cut");
    match outcome {
        Ok(reply) => {
            assert_ne!(how, Cut::Before, "the server never heard of it");
            Some(reply.message)
        }
        Err(reason) => {
            assert!(OUTAGES.contains(&reason.as_str()) || reason == CANCELLED, "{how:?}: {reason}");
            None
        }
    }
}

/// Makes a call until the database is used again.
async fn repeated<M: e2e::Call>(caller: &Caller, message: M) -> M::Answer {
    eventually("the database to be used again", async || match caller.call(message.clone()).await {
        Ok(reply) => Some(reply.message),
        Err(failure) => {
            assert!(OUTAGES.contains(&failure.reason.as_str()), "{failure:?}");
            None
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_whose_commit_is_lost_is_done_or_not_and_a_repeat_does_it_once() {
    let pair = pair().await;
    for (number, how) in CUTS.into_iter().enumerate() {
        let name = format!("newcomer{number}");
        let request = SignUpRequest { request_id: request_id(number), ..sign_up(&name) };
        let answered = cut(&pair, Service::Auth, how, &pair.anonymous, request.clone()).await;
        let log_in = LogInRequest { username: name.clone(), password: PASSWORD.into() };
        if let Some(answered) = &answered {
            let session = pair.anonymous.ok(log_in).await.message.session.expect("a session");
            assert_eq!(session.user_id, answered.user_id, "{how:?}");
        }
        let repeated = repeated(&pair.anonymous, request).await.user_id;
        assert_eq!(answered.map_or(repeated.clone(), |answered| answered.user_id), repeated, "{how:?}");
        assert_eq!(Person::log_in(&pair.anonymous, &name).await.id, repeated, "{how:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_commit_is_lost_in_either_database_ends_in_one_user_with_its_role() {
    let pair = pair().await;
    let super_admin = pair.super_admin().await;
    for (number, how) in CUTS.into_iter().enumerate() {
        for service in [Service::Auth, Service::Users] {
            let number = 2 * number + service as usize;
            let request = CreateUserRequest {
                username: format!("worker{number}"),
                password: PASSWORD.into(),
                role: UserRole::Admin.into(),
                request_id: request_id(number),
            };
            let answered = cut(&pair, service, how, &super_admin, request.clone()).await;
            let repeated = repeated(&super_admin, request.clone()).await.user.expect("a user");
            assert_eq!(repeated.role(), UserRole::Admin, "{how:?}, {service:?}");
            if let Some(answered) = answered {
                assert_eq!(answered.user, Some(repeated.clone()), "{how:?}, {service:?}");
            }
            assert_eq!(Person::log_in(&pair.anonymous, &request.username).await.id, repeated.user_id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_and_a_state_whose_commit_is_lost_are_changed_if_the_answer_says_so() {
    let pair = pair().await;
    let super_admin = pair.super_admin().await;
    pair.anonymous.ok(sign_up("newcomer")).await;
    let get = async || {
        let request = GetUserRequest { user: by_name("newcomer"), ..Default::default() };
        repeated(&super_admin, request).await.user.expect("a user")
    };
    for how in CUTS {
        let grant = GrantAdminRequest { user: by_name("newcomer"), etag: String::new() };
        let granted = cut(&pair, Service::Users, how, &super_admin, grant).await;
        let role = get().await.role();
        assert!(granted.is_none() || role == UserRole::Admin, "{how:?}: {role:?}");
        assert!(how != Cut::Before || role == UserRole::User, "the server never heard of it");
        assert!(![Cut::After, Cut::Silence].contains(&how) || role == UserRole::Admin, "the server did it");
        repeated(&super_admin, RevokeAdminRequest { user: by_name("newcomer"), etag: String::new() }).await;

        let session = Person::log_in(&pair.anonymous, "newcomer").await;
        let inactivate = InactivateUserRequest { user: by_name("newcomer"), etag: String::new() };
        let inactivated = cut(&pair, Service::Auth, how, &super_admin, inactivate).await;
        let authenticate = AuthenticateRequest { access_token: session.token.clone(), skip_renewal: true };
        let authenticated = repeated(&pair.verify(), authenticate).await.outcome;
        let lives = matches!(authenticated, Some(Outcome::Principal(_)));
        assert!(inactivated.is_none() || !lives, "{how:?}: its session lives on");
        assert!(![Cut::After, Cut::Silence].contains(&how) || !lives, "the server did it");
        repeated(&super_admin, ReactivateUserRequest { user: by_name("newcomer"), etag: String::new() })
            .await;
        assert_eq!(get().await.state(), UserState::Active);
    }
}
