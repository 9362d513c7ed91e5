//! A pool of one connection for each service: nobody needs two at once, so sixty-four callers only wait for each other.

use std::process::Output;

use api::users::{GetUserRequest, ListUsersRequest, User, UserRole};
use e2e::{Engine, Pair, Processes, Service, Settings, by_id, eventually, sign_up};
use futures::future::join_all;

use super::mix::{KINDS, Mix};
use super::tally::OUTAGES;
use crate::crashes::BINARIES;

const CALLERS: usize = 64;
/// Calls of each, so that everybody makes some of everything.
const CALLS: usize = KINDS;

fn one_connection() -> Settings {
    // Many log in as one user before the first of them gets to log out: that must not end the session of all the others.
    Settings::on(Engine::Postgres)
        .auth("SESSION__MAX_PER_USER", "10000")
        .auth("DATABASE__MAX_CONNECTIONS", "1")
        .users("DATABASE__MAX_CONNECTIONS", "1")
}

/// Waits until the feed has brought a user who has just signed up, without anybody asking for it.
async fn the_feed_runs(app: &Pair, username: &str) {
    app.signed_up(username).await;
    eventually("the feed", async || {
        let request = ListUsersRequest { username_prefix: username.to_owned(), ..Default::default() };
        app.admin.ok(request).await.message.users.pop()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_share_one_connection_without_locking_up() {
    let app = Pair::start_with(one_connection()).await;
    for storm in ["first", "second"] {
        let mix = Mix::new(&app).await;
        join_all((0..CALLERS).map(async |caller| {
            for call in 0..CALLS {
                if let Err(reason) = mix.call(caller + call).await {
                    assert!(OUTAGES.contains(&reason.as_str()), "{storm} storm: {reason}");
                }
            }
        }))
        .await;
        println!("{storm} storm of {CALLERS} callers:\n{}", mix.tally);
        // Whoever waits too long in the queue is told so. A lock-up would leave nobody served.
        let (good, busy) = (mix.tally.count(|end| end == "OK"), mix.tally.count(|end| end != "OK"));
        assert!(good > 10 * busy, "{storm} storm: {good} were served, {busy} were not");
        the_feed_runs(&app, &format!("after-{storm}")).await;
    }
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_commands_need_one_connection() {
    let settings = one_connection();
    let mut pair = Processes::start_with(BINARIES, settings).await;
    let first = pair.super_admin().await;
    let file = pair.write("password", e2e::PASSWORD).display().to_string();
    let command = async |arguments: &[&str]| done(&pair.command_output(Service::Users, arguments).await);
    command(&["bootstrap-super-admin", "--username", "second", "--force", "--password-file", &file]).await;
    command(&["reset-super-admin-password", "--username", "second", "--password-file", &file]).await;
    command(&["demote-super-admin", "--username", "superadmin"]).await;
    let second = e2e::Person::log_in(&pair.anonymous, "second").await;
    let request = GetUserRequest { user: by_id(&first.id), consistency_token: String::new() };
    let demoted: User = second.ok(request).await.message.user.expect("a user");
    assert_eq!(demoted.role(), UserRole::User);
    first.refused("UNAUTHENTICATED", api::users::GetCurrentUserRequest::default()).await;
    pair.anonymous.ok(sign_up("newcomer")).await;
    pair.kill(Service::Users).await;
}
