//! How PostgreSQL executes every statement that the store sends: by an index, whatever the tables hold.
//!
//! The plans are the generic ones, which do for every argument. They are kept in `plans/postgres-15.txt` and compared on
//! PostgreSQL 15; on every version nothing may read a whole table that grows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use database::Postgres;
use database::postgres::SESSION_SETTINGS;
use database::testing::reads_whole;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::store_contract::{engines, on};

/// What an operator runs once, while nothing serves: it is about every session there is.
const ABOUT_ALL_ROWS: &str = "delete from sessions";

/// Goes along an index as far as counts are kept, to find where those begin that are too many.
const WHERE_TOO_MANY_BEGIN: &str = "desc offset $2 limit 1";

/// Tables that grow. The others have one row.
const GROWING: [&str; 6] =
    ["accounts", "sessions", "sign_up_requests", "attempts", "failures", "address_counts"];

/// The statements, each with the types of its arguments.
type Statements = BTreeMap<String, Vec<String>>;

/// Every statement stays prepared on the only connection.
async fn statements(database: &Postgres) -> Statements {
    let mut connection = database.read().await.unwrap();
    let prepared = sqlx::query(
        "select statement, parameter_types::text[] as types from pg_prepared_statements
         where statement not like '%pg_prepared_statements%' and not from_sql",
    );
    let rows = prepared.fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| (one_line(row.get("statement")), row.get("types"))).collect()
}

fn one_line(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Some 20,000 accounts, most sessions long expired and thousands of them of one account. No more: so many rows are
/// analyzed whole, and the plans do not depend on a sample.
const ROWS: &str = "
    insert into accounts
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n, 'user' || n, 1, 'hash', 1,
           now(), now(), n
    from generate_series(1, 20000) n;
    update feed set newest = 20000;
    insert into sessions
    select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
           ('00000000-0000-7000-8000-' || lpad((case when n % 4 = 0 then 1 else n % 20000 + 1 end)::text, 12, '0'))::uuid,
           now() - n * interval '1 minute', now() - n * interval '1 minute' + interval '30 minutes',
           now() + interval '1 day', now() - n * interval '1 minute', now() - n * interval '1 minute', 'a test', null
    from generate_series(1, 25000) n;
    insert into sign_up_requests
    select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'user' || n,
           ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now() - n * interval '1 minute'
    from generate_series(1, 20000) n;
    insert into attempts
    select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 1, 'user' || n % 100, '192.0.2.' || n % 7,
           now() + n * interval '1 millisecond'
    from generate_series(1, 2000) n;
    insert into failures
    select 1, 'user' || n / 4, case when n % 4 = 0 then '*' else '192.0.2.' || n % 4 end, 1, now(),
           now() + n * interval '1 second'
    from generate_series(1, 20000) n;
    insert into address_counts
    select n % 2 * 3 + 1, '192.0.' || n / 256 || '.' || n % 256, 1, now() + n * interval '1 second'
    from generate_series(1, 20000) n";

async fn plan(connection: &mut PgConnection, statement: &str, types: &[String]) -> String {
    let (types, arguments) = match types.len() {
        0 => (String::new(), String::new()),
        count => (format!("({})", types.join(", ")), format!("({})", vec!["null"; count].join(", "))),
    };
    let prepare = format!("prepare planned{types} as {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let explain = format!("explain (costs off) execute planned{arguments}");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("deallocate planned").execute(connection).await.unwrap();
    lines.iter().flat_map(|line| ["    ", line.get(0), "\n"]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_is_executed_by_an_index() {
    let sent = Mutex::new(Statements::new());
    // As large as all behaviours of the contract together.
    Box::pin(on::all_on_postgres(async |database| {
        let statements = statements(database).await;
        sent.lock().unwrap().extend(statements);
    }))
    .await;
    let sent = sent.into_inner().unwrap();
    assert!(sent.len() >= 20, "the statements were not seen: {sent:?}");

    let (place, _database) = engines::migrated(1).await;
    let mut connection = place.connect().await;
    for setting in [SESSION_SETTINGS, ROWS, "analyze"] {
        sqlx::raw_sql(setting).execute(&mut connection).await.unwrap();
    }
    let mut plans = String::new();
    for (statement, types) in &sent {
        let plan = plan(&mut connection, statement, types).await;
        let read_whole = |table: &&str| reads_whole(&plan, table);
        let excused = statement == ABOUT_ALL_ROWS || statement.contains(WHERE_TOO_MANY_BEGIN);
        assert!(excused || !GROWING.iter().any(read_whole), "{statement}\n{plan}");
        writeln!(plans, "{statement}\n{plan}").unwrap();
    }

    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int4 / 10000")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    if version == 15 {
        compare(&plans);
    }
}

fn compare(plans: &str) {
    let path =
        Path::new(env!("TANDEM_WORKSPACE")).join("services/auth-service/tests/it/plans/postgres-15.txt");
    #[expect(
        clippy::disallowed_methods,
        reason = "whether to write the file anew, whoever runs the test has to say"
    )]
    let renew = std::env::var("UPDATE_PLANS").is_ok();
    if renew {
        fs::write(&path, plans).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == plans,
        "the plans are not those of {}; run this test with UPDATE_PLANS=1 and look at what changed:\n{plans}",
        path.display()
    );
}
