//! Log-in, without the hash, in a database full of expired sessions against one without any. Both have many live sessions
//! of somebody else.

use sqlx::Executor as _;

use super::auth::Auth;
use super::sampling::{Sample, micros, once, ratio};

/// How many live sessions somebody else has.
const LIVE: i32 = 100_000;

const FILL_LIVE: &str = "
    insert into sessions (id, account_id, create_time, expire_time, absolute_expire_time, last_used_time,
                          authenticated_time, user_agent, peer_address)
    select gen_random_uuid(), accounts.id, now(), now() + interval '2 hours', now() + interval '24 hours', now(),
           now(), 'a browser of some kind', '203.0.113.7'
    from generate_series(1, $1) as n, accounts where accounts.canonical_username = 'bobby'";

/// A tenth of the expired sessions are of the very account that logs in, the rest are of one other: whoever estimates how
/// many an account has is as far off as can be.
const FILL: &str = "
    insert into sessions (id, account_id, create_time, expire_time, absolute_expire_time, last_used_time,
                          authenticated_time, user_agent, peer_address)
    select gen_random_uuid(), accounts.id, began, began + interval '30 minutes', began + interval '24 hours', began,
           began, 'a browser of some kind', '203.0.113.7'
    from generate_series(1, $1) as n
    cross join lateral (select timestamptz '2026-01-01' + n * interval '300 milliseconds' as began) as times
    join accounts on accounts.canonical_username = case when n % 10 = 0 then 'alice' else 'bobby' end";

/// Fills, measures and prints.
pub(crate) async fn run(dead_sessions: u32, rounds: u32) {
    let (empty, full) = (populated(0).await, populated(dead_sessions).await);
    let mut samples = [Sample::default(), Sample::default()];
    for round in 0..rounds * 5 + 30 {
        for (auth, sample) in [&empty, &full].into_iter().zip(&mut samples) {
            let time = once(async { drop(auth.log_in("alice").await) }).await;
            // Until the account has all the sessions that it may have, and each log-in ends one.
            if round >= 30 {
                sample.add(time);
            }
        }
    }
    let [empty, full] = samples.map(|sample| sample.median());
    println!();
    println!("Log-in, without the hash, at the cap of sessions (medians)");
    println!();
    println!("  no expired sessions       {:>8} us", micros(empty));
    println!("  {dead_sessions:>10} expired ones   {:>8} us   {:.2}", micros(full), ratio(full, empty));
}

async fn populated(dead_sessions: u32) -> Auth {
    let auth = Auth::with_account("alice").await;
    auth.sign_up("bobby").await;
    let mut connection = auth.place.connect().await;
    // Without a look at the account for each row.
    connection.execute("set session_replication_role = replica").await.expect("a superuser may");
    sqlx::query(FILL_LIVE).bind(LIVE).execute(&mut connection).await.expect("fills");
    if dead_sessions > 0 {
        eprintln!("filling a database with {dead_sessions} expired sessions");
        let fill = sqlx::query(FILL).bind(i32::try_from(dead_sessions).expect("fits"));
        fill.execute(&mut connection).await.expect("fills");
    }
    connection.execute("vacuum analyze sessions").await.expect("analyses");
    auth
}
