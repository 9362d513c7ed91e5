//! Calls that are cut off at any moment, side by side with calls that are not, over two replicas of each service: what was
//! acknowledged lasts, and no connection stays behind in an open transaction.
//!
//! Of a call that was cut off nobody knows whether it did anything. So whoever makes one finds a known state again by
//! calls that are not, before it goes on; those who make none keep a model that has to agree to the letter.

mod hasty;
mod steady;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::auth::{GetCurrentSessionRequest, LogInRequest};
use api::users::{GetUserRequest, User};
use e2e::{Call, Caller, Pair, Reply, Service, Settings, by_id, eventually, sql};
use futures::future::join_all;
use futures::{StreamExt as _, stream};
use tokio::task::JoinSet;
use tokio::time::interval;
use uuid::Uuid;

use super::mix::Mix;
use super::tally::Tally;

/// Calls that may be cut off, and calls that are not.
const CUT: usize = 10_000;
const ACKNOWLEDGED: usize = 3_000;
/// How many make them.
const HASTY: usize = 6;
const STEADY: usize = 3;
/// A transaction idles between its statements, so every look may find one that does. The one that nobody ends stays
/// until the server ends it, after 30 s.
const LOST: Duration = Duration::from_secs(10);

/// What everybody here has in common.
struct Common {
    app: Pair,
    cut: Tally,
    acknowledged: Tally,
    cut_left: AtomicUsize,
    acknowledged_left: AtomicUsize,
    names: AtomicUsize,
}

impl Deref for Common {
    type Target = Pair;

    fn deref(&self) -> &Pair {
        &self.app
    }
}

impl Common {
    fn new_name(&self) -> String {
        format!("worker{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes what carries it one and the same however often it is repeated.
    fn new_request_id() -> String {
        Uuid::from_u128(rand::random()).to_string()
    }

    fn new_password(&self) -> String {
        format!("long secret number {}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// All of them must be refused, by either replica.
    async fn are_dead(&self, sessions: Vec<Caller>) {
        self.look_at(sessions, async |session: &Caller| {
            session.refused("UNAUTHENTICATED", GetCurrentSessionRequest {}).await;
        })
        .await;
    }

    /// All of them must be good, at either replica.
    async fn are_alive(&self, sessions: Vec<Caller>) {
        self.look_at(sessions, async |session: &Caller| drop(session.ok(GetCurrentSessionRequest {}).await))
            .await;
    }

    async fn look_at(&self, sessions: Vec<Caller>, look: impl AsyncFn(&Caller)) {
        let look = &look;
        let each = sessions.iter().map(|session| async move {
            look(&session.of_replica(0)).await;
            look(&session.of_replica(1)).await;
        });
        stream::iter(each).buffer_unordered(16).collect::<()>().await;
    }

    /// Makes a call that has all the time that there is, and again while somebody is too busy for it.
    async fn patient<M: Call>(&self, caller: &Caller, message: M) -> Reply<M::Answer> {
        let patient = caller.with("grpc-timeout", "30S");
        loop {
            match self.acknowledged.call(&patient, message.clone()).await {
                Ok(reply) => return reply,
                Err(reason) => {
                    let busy = ["STORAGE_UNAVAILABLE", "HASHER_BUSY", "IDENTITY_PROVIDER_UNAVAILABLE"];
                    assert!(busy.contains(&reason.as_str()), "{reason} for {}", std::any::type_name::<M>());
                }
            }
        }
    }

    async fn logs_in(&self, username: &str, password: &str) -> bool {
        let request = LogInRequest { username: username.to_owned(), password: password.to_owned() };
        match self.anonymous.call(request).await {
            Ok(_) => true,
            Err(refusal) => {
                assert_eq!(refusal.reason, "INVALID_CREDENTIALS", "{refusal:?}");
                false
            }
        }
    }

    async fn user(&self, id: &str) -> User {
        let request = GetUserRequest { user: by_id(id), consistency_token: String::new() };
        self.patient(&self.super_admin, request).await.message.user.expect("a user")
    }
}

/// Takes one from a number, unless it is used up.
fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// For how long the longest of the transactions has lasted that wait for their client at this moment.
async fn longest_idle_transaction(app: &Pair) -> Duration {
    let data = app.data();
    let [auth, users] = [Service::Auth, Service::Users].map(|service| data.url(service));
    let name = |url: &str| {
        let (_, name) = url.rsplit_once('/').expect("a database");
        format!("'{}'", name.split('?').next().unwrap_or(name))
    };
    let databases = [name(&auth), name(&users)];
    let query = format!(
        "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0) from pg_stat_activity
         where datname in ({}) and state like 'idle in transaction%'",
        databases.join(", "),
    );
    let longest = Duration::from_secs_f64(sql(&auth, &query).await.parse().expect("seconds"));
    assert!(longest < LOST, "a transaction has been waiting for its end for {longest:?}");
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_lasts_however_many_calls_are_cut_off() {
    // Whoever logs in without hearing of it must not end the sessions that are known.
    let settings = Settings::replicated(2).unlimited().auth("SESSION__MAX_PER_USER", "10000");
    let common = Arc::new(Common {
        app: Pair::start_with(settings).await,
        cut: Tally::default(),
        acknowledged: Tally::default(),
        cut_left: AtomicUsize::new(CUT),
        acknowledged_left: AtomicUsize::new(ACKNOWLEDGED),
        names: AtomicUsize::new(0),
    });
    let mut hasty = JoinSet::new();
    let mut steady = JoinSet::new();
    for number in 0..HASTY {
        hasty.spawn(hasty::Hasty::new(Arc::clone(&common), number).await.run());
    }
    for number in 0..STEADY {
        steady.spawn(steady::Steady::new(Arc::clone(&common), number).await.run());
    }
    let watching = async {
        let (mut longest, mut looks, mut pause) = (Duration::ZERO, 0, interval(Duration::from_secs(1)));
        while common.cut_left.load(Ordering::Relaxed) + common.acknowledged_left.load(Ordering::Relaxed) > 0 {
            longest = longest.max(longest_idle_transaction(&common).await);
            looks += 1;
            pause.tick().await;
        }
        (longest, looks)
    };
    let (hasty, steady, (longest, looks)) = tokio::join!(hasty.join_all(), steady.join_all(), watching);
    println!("cut off or not:\n{}acknowledged:\n{}", common.cut, common.acknowledged);
    println!("{looks} looks at transactions that wait for their client: the longest had lasted {longest:?}");
    assert!(!longest.is_zero(), "who looks so often sees one between two statements");
    eventually("the last transaction to end", async || {
        longest_idle_transaction(&common).await.is_zero().then_some(())
    })
    .await;

    let mix = Mix::new(&common).await;
    let outcomes = join_all((0..64).map(|number| mix.call(number))).await;
    assert!(outcomes.iter().all(Result::is_ok), "of 64 calls at once:\n{}", mix.tally);

    let mut checked = (0, 0);
    for hasty in hasty {
        checked.0 += hasty.check().await;
    }
    for steady in steady {
        checked.1 += steady.check().await;
    }
    println!("facts that held: {} of those in a hurry, {} of the others", checked.0, checked.1);
    let (known, unknown) = (common.cut.count(|end| end == "OK"), common.cut.count(|end| end != "OK"));
    assert_eq!(known + unknown, CUT);
    assert!(known > 0 && unknown > 0, "{known} in time, {unknown} not: nothing was raced");
}
