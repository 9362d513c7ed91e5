//! A database that answers nobody, because somebody has locked its tables or because the whole server has stopped in its
//! tracks: callers hear that it is the store, in time, and never that it is their token. When it goes on, so does everything.

use std::time::{Duration, Instant};

use api::auth::GetCurrentSessionRequest;
use api::users::{GetCurrentUserRequest, GrantAdminRequest, InactivateUserRequest, UserRole, UserState};
use e2e::{Caller, Cluster, Engine, Pair, Service, Settings, by_id, eventually, sql};
use futures::future::join_all;

use super::mix::{KINDS, Mix};
use super::tally::{CANCELLED, OUTAGES, Tally};

const CALLERS: usize = 64;
/// How long users-service waits for auth-service, as it is by default.
const PROVIDER_TIMEOUT: &str = "2s";

fn impatient(settings: Settings) -> Settings {
    settings.users("IDENTITY_PROVIDER__TIMEOUT", PROVIDER_TIMEOUT).auth("PASSWORD__QUEUE_WAIT", "1s")
}

/// Makes some of every call at once, each with this deadline, and returns the reasons.
async fn all_at_once(mix: &Mix<'_>) -> Vec<Result<(), String>> {
    join_all((0..CALLERS).map(|number| mix.call(number))).await
}

/// Everything is as before, once every replica has found out.
async fn goes_on(app: &Pair) {
    for replica in 0..2 {
        let user = app.user.of_replica(replica);
        eventually("the database to be used again", async || {
            let current = user.call(GetCurrentUserRequest::default()).await;
            let session = user.call(GetCurrentSessionRequest {}).await;
            (current.is_ok() && session.is_ok()).then_some(())
        })
        .await;
    }
    let mix = Mix::new(app).await;
    let patient = async |number| loop {
        match mix.call(number).await {
            Err(reason) if reason == "HASHER_BUSY" => {}
            outcome => return outcome,
        }
    };
    let outcomes = join_all((0..CALLERS).map(patient)).await;
    assert!(outcomes.iter().all(Result::is_ok), "afterwards:\n{}", mix.tally);
}

fn with_deadline(deadline: &'static str) -> impl Fn(&Caller) -> Caller {
    move |caller| caller.with("grpc-timeout", deadline)
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_accounts_are_an_outage_and_nobody_loses_a_session() {
    let app = Pair::start_with(impatient(Settings::replicated(2).unlimited())).await;
    let mix = Mix::new(&app).await.dressed(with_deadline("25S"));
    let lock = app.data().withhold(Service::Auth).await;
    // Each makes one call of the port at least, or one of auth-service.
    for outcome in all_at_once(&mix).await {
        let reason = outcome.expect_err("the database is stuck");
        let known = ["STORAGE_UNAVAILABLE", "IDENTITY_PROVIDER_UNAVAILABLE", "HASHER_BUSY"];
        assert!(known.contains(&reason.as_str()), "{reason}");
    }
    println!("accounts are locked:\n{}", mix.tally);
    let hurried = mix.dressed(with_deadline("300m"));
    for outcome in all_at_once(&hurried).await {
        let reason = outcome.expect_err("the database is stuck");
        assert!(OUTAGES.contains(&reason.as_str()) || reason == CANCELLED, "{reason}");
    }
    println!("accounts are locked, and there are 300 ms:\n{}", hurried.tally);
    drop(lock);
    goes_on(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_users_are_an_outage_of_users_service_only() {
    let app = Pair::start_with(impatient(Settings::replicated(2).unlimited())).await;
    let mix = Mix::new(&app).await.dressed(with_deadline("25S"));
    let lock = app.data().withhold(Service::Users).await;
    for (number, outcome) in all_at_once(&mix).await.into_iter().enumerate() {
        // The first five kinds are auth-service's.
        let expected = if number % KINDS < 5 { Ok(()) } else { Err("STORAGE_UNAVAILABLE".to_owned()) };
        assert_eq!(outcome, expected, "call {number}");
    }
    println!("users are locked:\n{}", mix.tally);
    drop(lock);
    goes_on(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_does_not_wait_for_a_lock_on_behalf_of_a_caller_whose_time_is_over() {
    const DEADLINE: Duration = Duration::from_millis(1500);
    let app = Pair::start_with(Settings::on(Engine::Postgres)).await;
    for service in [Service::Auth, Service::Users] {
        let lock = app.data().occupy(service).await;
        let waiting = async || {
            let query = "select count(*) from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'";
            sql(&app.data().url(service), query).await != "0"
        };
        let begun = Instant::now();
        let caller = app.super_admin.with("grpc-timeout", "1500m");
        let tally = Tally::default();
        let call = async {
            let (id, etag) = (&app.user.id, String::new());
            let outcome = match service {
                Service::Auth => {
                    tally.call(&caller, InactivateUserRequest { user: by_id(id), etag }).await.map(drop)
                }
                Service::Users => {
                    tally.call(&caller, GrantAdminRequest { user: by_id(id), etag }).await.map(drop)
                }
            };
            let reason = outcome.expect_err("the rows are locked");
            // users-service keeps a little of the time for its own answer, and then it is auth-service that was too slow.
            let known = ["DEADLINE_EXCEEDED", CANCELLED, "IDENTITY_PROVIDER_UNAVAILABLE"];
            assert!(known.contains(&reason.as_str()), "{reason}");
        };
        let seen = eventually("the lock to be waited for", async || waiting().await.then_some(()));
        tokio::join!(call, seen);
        eventually("the lock not to be waited for", async || (!waiting().await).then_some(())).await;
        let lasted = begun.elapsed();
        assert!(
            lasted < DEADLINE + Duration::from_secs(3),
            "{lasted:?}: as long as the session allows is 10 s"
        );
        drop(lock);
    }
    let user = app.user.ok(GetCurrentUserRequest::default()).await.message.user.expect("a user");
    assert_eq!((user.role(), user.state()), (UserRole::User, UserState::Active), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_any_more_is_an_outage_until_it_goes_on() {
    let server = Cluster::start(&[]).await;
    let app = Pair::start_with(impatient(Settings::replicated(2).unlimited().at(&server))).await;
    let mix = Mix::new(&app).await.dressed(with_deadline("5S"));
    server.freeze().await;
    for outcome in all_at_once(&mix).await {
        let reason = outcome.expect_err("the server is stuck");
        assert!(OUTAGES.contains(&reason.as_str()) || reason == CANCELLED, "{reason}");
    }
    println!("the server says nothing:\n{}", mix.tally);
    let unavailable = mix.tally.count(|end| end.ends_with("_UNAVAILABLE"));
    assert!(unavailable > 0, "whoever gets no connection hears it before its deadline");
    server.thaw().await;
    goes_on(&app).await;
}
