//! A database whose host is gone without a word: connections stay, new ones are taken, and nobody says anything. Callers
//! hear that it is the store, in time; nobody is let in; and when there is a host again, everything is as before.

use std::time::{Duration, Instant};

use api::auth::GetCurrentSessionRequest;
use api::users::{GetCurrentUserRequest, UserRole};
use e2e::{Caller, Engine, Mode, Pair, Proxy, Service, Settings, eventually, get, server_address, sql};
use futures::future::join_all;

use super::mix::Mix;
use super::tally::{CANCELLED, OUTAGES};

const CALLERS: usize = 48;
const CONNECTIONS: usize = 4;
const DEADLINE: Duration = Duration::from_secs(3);
/// What an answer may take on its way beside all the others.
const ON_THE_WAY: Duration = Duration::from_secs(2);
/// How often all of them call while there is nobody: longer than calls have, so that no connection is good in the end.
const ROUNDS: usize = 2;

/// How many sessions of a service wait for a lock.
async fn waiting(app: &Pair, service: Service) -> usize {
    let query = "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'";
    sql(&app.data().url(service), query).await.parse().expect("a number")
}

/// As many calls reach the database at the same time as there are connections.
async fn the_whole_pool_is_usable(app: &Pair) {
    let lock = app.data().withhold(Service::Users).await;
    let calls = join_all((0..2 * CONNECTIONS).map(|_| async {
        // Whoever has no connection hears so, whoever waits for the lock too.
        let _ = app.user.with("grpc-timeout", "25S").raw(GetCurrentUserRequest::default()).await;
    }));
    let seen = eventually("every connection to be used", async || {
        (waiting(app, Service::Users).await == CONNECTIONS).then_some(())
    });
    // The lock ends when they were seen, and with it the calls.
    let seen = async {
        seen.await;
        drop(lock);
    };
    tokio::join!(calls, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_without_a_word_is_an_outage_until_there_is_another() {
    let proxy = Proxy::to(server_address()).await;
    let connections = CONNECTIONS.to_string();
    let settings = Settings::on(Engine::Postgres)
        .by(&proxy)
        .unlimited()
        .auth("DATABASE__MAX_CONNECTIONS", &connections)
        .users("DATABASE__MAX_CONNECTIONS", &connections)
        .auth("PASSWORD__QUEUE_WAIT", "1s")
        .users("IDENTITY_PROVIDER__TIMEOUT", "2s");
    let app = Pair::start_with(settings).await;
    let newcomer = app.somebody(UserRole::User).await;
    let deadline = format!("{}S", DEADLINE.as_secs());
    let mix = Mix::new(&app).await.dressed(move |caller: &Caller| caller.with("grpc-timeout", &deadline));
    for call in join_all((0..CALLERS).map(|number| mix.call(number))).await {
        call.expect("all is well");
    }

    proxy.set(Mode::BlackHole).await;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for outcome in join_all((0..CALLERS).map(|number| mix.call(number))).await {
            let reason = outcome.expect_err("nobody is let in by a database that says nothing");
            assert!(OUTAGES.contains(&reason.as_str()) || reason == CANCELLED, "{reason}");
        }
        let lasted = begun.elapsed();
        assert!(lasted < DEADLINE + ON_THE_WAY, "{lasted:?}");
    }
    println!("{CALLERS} callers, all well and then nobody there:\n{}", mix.tally);
    for ops in [app.auth_ops(), app.users_ops()] {
        eventually("the outage to be seen", async || (get(ops, "/readyz").await.0 == 503).then_some(()))
            .await;
    }

    // A new host knows nothing of the connections of the old one.
    proxy.abandon().await;
    proxy.set(Mode::Pass).await;
    let back = Instant::now();
    eventually("the database to be used again", async || {
        let user = newcomer.call(GetCurrentUserRequest::default()).await;
        let session = newcomer.call(GetCurrentSessionRequest {}).await;
        (user.is_ok() && session.is_ok()).then_some(())
    })
    .await;
    println!("used again after {:.1?}", back.elapsed());
    for ops in [app.auth_ops(), app.users_ops()] {
        eventually("readiness", async || (get(ops, "/readyz").await.0 == 200).then_some(())).await;
    }
    the_whole_pool_is_usable(&app).await;
    println!("the whole pool after {:.1?}", back.elapsed());
    eventually("every call to be good", async || {
        let outcomes = join_all((0..CALLERS).map(|number| mix.call(number))).await;
        outcomes.iter().all(Result::is_ok).then_some(())
    })
    .await;
}
