//! Answers of the services that are lost on their way to the client: what was asked for is done, and a repeat changes nothing.
//! And the way from users-service to auth-service, where it takes its time.

use std::time::Duration;

use api::auth::{LogInRequest, SignUpRequest};
use api::users::{CreateUserRequest, GrantAdminRequest, InactivateUserRequest, UserRole, UserState};
use e2e::{
    Caller, Endpoints, Mode, PASSWORD, Processes, Proxy, Settings, Way, by_id, by_name, eventually, sign_up,
};

use super::witness::{Witness, impatient};
use crate::crashes::BINARIES;
use crate::postgres::tally::{CANCELLED, reason};

const REQUEST_ID: &str = "0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c";

/// Both services, and ways to them on which answers are lost.
struct Scene {
    pair: Processes,
    proxies: [Proxy; 2],
    by_proxies: Endpoints,
}

impl Scene {
    async fn set_up() -> Self {
        let pair = Processes::start_with(BINARIES, impatient(Settings::default())).await;
        let [public, internal, users] = pair.listeners();
        let proxies = [Proxy::to(public).await, Proxy::to(users).await];
        let by_proxies = Endpoints::new(proxies[0].address(), internal, proxies[1].address(), None);
        Self { pair, proxies, by_proxies }
    }

    async fn set(&self, mode: Mode) {
        for proxy in &self.proxies {
            proxy.set(mode).await;
        }
    }

    /// The same caller, whose answers are lost.
    fn unlucky(&self, caller: &Caller) -> Caller {
        caller.over([self.by_proxies.clone()]).with("grpc-timeout", "1S")
    }
}

/// Makes a call whose answer is lost.
async fn lost<M: e2e::Call>(caller: &Caller, message: M) {
    let status = caller.raw(message).await.err().expect("the answer is lost");
    assert_eq!(reason::<M>(&status), CANCELLED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_and_a_creation_whose_answers_are_lost_are_done_once_however_often_they_are_repeated() {
    let scene = Scene::set_up().await;
    let super_admin = scene.pair.super_admin().await;
    let anonymous = &scene.pair.anonymous;
    let sign_up = SignUpRequest { request_id: REQUEST_ID.into(), ..sign_up("newcomer") };
    let create = CreateUserRequest {
        username: "worker".into(),
        password: PASSWORD.into(),
        role: UserRole::Admin.into(),
        request_id: REQUEST_ID.into(),
    };
    scene.set(Mode::SwallowReplies).await;
    let (stranger, creator) = (scene.unlucky(anonymous), scene.unlucky(&super_admin));
    for _ in 0..2 {
        tokio::join!(lost(&stranger, sign_up.clone()), lost(&creator, create.clone()));
    }
    let mut ids = Vec::new();
    for username in ["newcomer", "worker"] {
        let log_in = LogInRequest { username: username.into(), password: PASSWORD.into() };
        let opened = eventually("it to be done", async || anonymous.call(log_in.clone()).await.ok()).await;
        ids.push(opened.message.session.expect("a session").user_id);
    }
    scene.set(Mode::Pass).await;
    let answered = |status: &tonic::Status| !status.details().is_empty();
    let user_id = eventually("answers to come", async || match stranger.raw(sign_up.clone()).await {
        Err(status) if answered(&status) => panic!("{status:?}"),
        outcome => outcome.ok(),
    })
    .await;
    let user = eventually("answers to come", async || match creator.raw(create.clone()).await {
        Err(status) if answered(&status) => panic!("{status:?}"),
        outcome => outcome.ok(),
    })
    .await;
    let user = user.message.user.expect("a user");
    assert_eq!([user_id.message.user_id, user.user_id.clone()], [ids[0].clone(), ids[1].clone()]);
    assert_eq!(user.role(), UserRole::Admin);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_whose_answers_are_lost_are_made_and_may_be_repeated() {
    let scene = Scene::set_up().await;
    let super_admin = scene.pair.super_admin().await;
    scene.pair.anonymous.ok(sign_up("newcomer")).await;
    let unlucky = scene.unlucky(&super_admin);
    let grant = GrantAdminRequest { user: by_name("newcomer"), etag: String::new() };
    let inactivate = InactivateUserRequest { user: by_name("newcomer"), etag: String::new() };
    scene.set(Mode::SwallowReplies).await;
    lost(&unlucky, grant.clone()).await;
    lost(&unlucky, inactivate.clone()).await;
    let get = || api::users::GetUserRequest { user: by_name("newcomer"), ..Default::default() };
    let user = eventually("them to be made", async || {
        let user = super_admin.ok(get()).await.message.user.expect("a user");
        (user.role() == UserRole::Admin && user.state() == UserState::Inactive).then_some(user)
    })
    .await;
    let repeated = super_admin.ok(grant).await.message.user.expect("a user");
    assert_eq!(repeated, user, "a repeat changes nothing");
    super_admin.ok(InactivateUserRequest { user: by_id(&user.user_id), ..inactivate }).await;
    let log_in = LogInRequest { username: "newcomer".into(), password: PASSWORD.into() };
    scene.pair.anonymous.refused("ACCOUNT_INACTIVE", log_in).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_auth_service_that_takes_its_time_hurts_nobody() {
    let pair = Processes::start_with(BINARIES, impatient(Settings::default()).proxied()).await;
    let witness = Witness::of(&pair).await;
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(100));
    for (number, proxy) in pair.proxies(Way::ToAuth).enumerate() {
        proxy.seed(u64::try_from(number).expect("a small number"));
        proxy.set(Mode::Delay { least, most }).await;
    }
    for _ in 0..5 {
        witness.everybody_is_served().await;
    }
    for proxy in pair.proxies(Way::ToAuth) {
        proxy.set(Mode::Pass).await;
    }
    witness.goes_on().await;
}
