//! The server is stopped as by a power cut and started again, twenty times, under load over two replicas of each service:
//! while it is away that is what callers hear; when it is back everything goes on by itself, and what was acknowledged
//! is there.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::auth::LogInRequest;
use api::users::{GrantAdminRequest, ListUsersRequest, RevokeAdminRequest, UserRole};
use e2e::{Call, Caller, Cluster, PASSWORD, Pair, Settings, by_id, eventually, sign_up};
use futures::future::join_all;
use tokio::task::JoinSet;

use super::load::{Crew, Load};

/// How often it is stopped. `TANDEM_TEST_STOPS` says another number.
const STOPS: usize = 20;
const CLIENTS: usize = 6;
/// From then on it has to serve again. Said in the table and not asserted, since it is the machine's business too.
const SOON: Duration = Duration::from_secs(5);

/// How long it took until each kind of work was done again, at whichever replica it took longest.
struct Resumption {
    away: Duration,
    log_in: Duration,
    list: Duration,
    change: Duration,
    feed: Duration,
    last_error: Duration,
}

impl fmt::Display for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { away, log_in, list, change, feed, last_error } = self;
        for time in [away, log_in, list, change, feed, last_error] {
            write!(f, " {:>10.3}", time.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Until the call succeeds at every replica, since then.
async fn until_good<M: Call>(caller: &Caller, since: Instant, message: impl Fn() -> M) -> Duration {
    join_all((0..2).map(|replica| caller.of_replica(replica)).map(async |caller| {
        eventually("the service to resume", async || caller.call(message()).await.ok().map(drop)).await;
    }))
    .await;
    since.elapsed()
}

/// Until somebody who signs up is seen by everybody who does not ask for it, since then.
async fn until_fed(app: &Pair, since: Instant, name: &str) -> Duration {
    eventually("a sign-up", async || app.anonymous.call(sign_up(name)).await.ok()).await;
    join_all((0..2).map(|replica| app.super_admin.of_replica(replica)).map(async |caller| {
        eventually("the feed to resume", async || {
            let request = ListUsersRequest { username_prefix: name.to_owned(), ..Default::default() };
            caller.call(request).await.ok()?.message.users.pop()
        })
        .await;
    }))
    .await;
    since.elapsed()
}

fn stops() -> usize {
    #[expect(clippy::disallowed_methods, reason = "how long to test is said by whoever runs the tests")]
    let asked_for = std::env::var("TANDEM_TEST_STOPS").ok();
    asked_for.map_or(STOPS, |number| number.parse().expect("TANDEM_TEST_STOPS is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_and_started_again_loses_nothing_that_was_acknowledged() {
    let server = Cluster::start(&[]).await;
    let settings = Settings::replicated(2).unlimited().at(&server);
    // As they are by default: callers hear soon that somebody is away.
    let settings = settings.users("IDENTITY_PROVIDER__TIMEOUT", "2s").auth("PASSWORD__QUEUE_WAIT", "1s");
    let app = Arc::new(Pair::start_with(settings).await);
    let target = app.somebody(UserRole::User).await;
    let load = Arc::new(Load::new(Crew {
        anonymous: app.anonymous.clone(),
        admin: Caller::clone(&app.admin),
        super_admin: Caller::clone(&app.super_admin),
    }));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).client());
    }

    let mut resumptions = Vec::new();
    for stop in 0..stops() {
        let before = load.errors();
        let crashed = Instant::now();
        server.crash().await;
        // Shorter and longer, so that some do not even find out.
        eventually("callers to notice", async || (load.errors() > before + stop % 4 * CLIENTS).then_some(()))
            .await;
        let began = Instant::now();
        server.start_again().await;
        let back = Instant::now();
        let log_in = || LogInRequest { username: target.username.clone(), password: PASSWORD.to_owned() };
        let grant = || GrantAdminRequest { user: by_id(&target.id), etag: String::new() };
        let revoke = || RevokeAdminRequest { user: by_id(&target.id), etag: String::new() };
        let list = || ListUsersRequest { include_total: true, ..Default::default() };
        let newcomer = format!("after-stop{stop}");
        let (log_in, list, change, feed) = tokio::join!(
            until_good(&app.anonymous, back, log_in),
            until_good(&app.super_admin, back, list),
            async {
                until_good(&app.super_admin, back, grant).await;
                until_good(&app.super_admin, back, revoke).await
            },
            until_fed(&app, back, &newcomer),
        );
        load.are_served(100).await;
        let last_error = load.last_error().map(|at| at.saturating_duration_since(back)).unwrap_or_default();
        resumptions.push(Resumption { away: began - crashed, log_in, list, change, feed, last_error });
    }
    load.stop();
    clients.join_all().await;

    println!("{CLIENTS} clients, the server stopped {} times:\n{}", resumptions.len(), load.tally);
    println!("seconds   away     log-in       list     change       feed last error");
    for (number, resumption) in resumptions.iter().enumerate() {
        println!("  {number:>2}{resumption}");
    }
    let longest = |time: fn(&Resumption) -> Duration| resumptions.iter().map(time).max().unwrap_or_default();
    let longest = Resumption {
        away: longest(|it| it.away),
        log_in: longest(|it| it.log_in),
        list: longest(|it| it.list),
        change: longest(|it| it.change),
        feed: longest(|it| it.feed),
        last_error: longest(|it| it.last_error),
    };
    println!(" max{longest}");
    let late = resumptions.iter().filter(|it| it.log_in.max(it.list).max(it.change) > SOON).count();
    println!("more than {SOON:?} after the server was back: {late} times");
    assert!(load.errors() > resumptions.len(), "nobody noticed that the server was away");
    println!("facts that held: {}", load.check().await);
}
