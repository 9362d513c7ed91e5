//! The plan of every statement that the store sends, kept in `tests/it/plans/postgres-15.txt`: as it is for 20,000 rows in
//! each table that grows, and for any values at all, which is how the service has its statements planned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use database::postgres::SESSION_SETTINGS;
use database::testing::{TestDatabase, reads_whole};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use super::long_lists::{self, fill};
use super::replica;
use crate::store_contract::{engines, on};

const UPDATE: &str = "UPDATE_PLANS";

/// What there are many of.
const GROWING: [&str; 3] = ["users", "requests", "reservations"];

const ROWS: i32 = 20_000;

/// The requests and the reservations of a busy day.
const FILL: &str = "
    insert into requests
    select md5((n % 100)::text)::uuid, md5(n::text)::uuid, 'user' || n, 1, md5(n::text)::uuid,
        '2026-01-01'::timestamptz + n * interval '1 second'
    from generate_series(1, 20000) as n;
    insert into reservations
    select md5(('new' || n)::text)::uuid, 1, '2026-01-01'::timestamptz + n * interval '1 second'
    from generate_series(1, 20000) as n;
    vacuum analyze requests, reservations";

/// Remembers every statement that is sent in this process.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

#[derive(Default)]
struct Sent {
    summary: String,
    statement: String,
}

impl Visit for Sent {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut sent = Sent::default();
        event.record(&mut sent);
        // A short statement is its own summary.
        let statement = if sent.statement.is_empty() { sent.summary } else { sent.statement };
        let one_line = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        self.0.lock().unwrap().insert(one_line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Whether a statement is about data: not the schema's bookkeeping, nor what frames others.
fn is_of_the_store(statement: &str) -> bool {
    let tables = ["users", "reservations", "requests", "feed", "bootstrap", "service"];
    ["select ", "insert ", "update ", "delete ", "with "].iter().any(|word| statement.starts_with(word))
        && tables.iter().any(|table| statement.contains(&format!(" {table}")))
        && !statement.contains("information_schema")
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_and_every_plan_is_as_it_was() {
    let sent = Statements::default();
    let hearing = tracing::subscriber::set_default(sent.clone());
    on::everything_on_postgres().await;
    long_lists::every_way().await;
    replica::every_look().await;
    drop(hearing);
    let statements: Vec<String> =
        sent.0.lock().unwrap().iter().filter(|statement| is_of_the_store(statement)).cloned().collect();
    assert!(statements.len() > 50, "{statements:#?}");

    let (_store, database) = engines::postgres().await;
    fill(&database, ROWS).await;
    let mut connection = connect(&database).await;
    for statement in FILL.split(';') {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    let mut scans = String::new();
    let mut kept: BTreeMap<String, (&str, String)> = BTreeMap::new();
    for statement in &statements {
        let plan = plan(&mut connection, statement).await;
        if GROWING.iter().any(|table| reads_whole(&plan, table)) {
            writeln!(scans, "{statement}\n{plan}").unwrap();
        }
        let best = kept.entry(kind(statement)).or_default();
        if best.0.len() < statement.len() {
            *best = (statement, plan);
        }
    }
    assert!(scans.is_empty(), "a whole table is read by\n{scans}");
    let mut plans = String::new();
    for (statement, plan) in kept.values() {
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

/// What statements have in common that differ in the number of their ranges and in their limits only: of these the
/// longest is kept.
fn kind(statement: &str) -> String {
    let without_numbers: String = statement.chars().filter(|character| !character.is_ascii_digit()).collect();
    let mut ranges: Vec<&str> = without_numbers.split("(select ").collect();
    ranges.dedup_by_key(|range| range.trim_end_matches(" union all ").to_owned());
    ranges.join("(select ")
}

async fn connect(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    sqlx::raw_sql(SESSION_SETTINGS).execute(&mut connection).await.unwrap();
    connection
}

/// The plan that is made without looking at the values.
async fn plan(connection: &mut PgConnection, statement: &str) -> String {
    let prepare = format!("prepare asked as {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect(statement);
    let parameters: i32 = sqlx::query_scalar(
        "select cardinality(parameter_types) from pg_prepared_statements where name = 'asked'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    let values = vec!["null"; usize::try_from(parameters).unwrap()].join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    let explain = format!("explain (costs off) execute asked{values}");
    let lines = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
    sqlx::raw_sql("deallocate asked").execute(&mut *connection).await.unwrap();
    lines.iter().fold(String::new(), |text, line| text + "    " + line.get::<&str, _>(0) + "\n")
}

fn compare(plans: &str) {
    let path =
        Path::new(env!("TANDEM_WORKSPACE")).join("services/users-service/tests/it/plans/postgres-15.txt");
    #[expect(clippy::disallowed_methods, reason = "whoever changes a statement on purpose says so")]
    if std::env::var(UPDATE).is_ok() {
        fs::write(&path, plans).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let difference = kept.lines().zip(plans.lines()).find(|(kept, now)| kept != now);
    assert!(
        kept == plans,
        "a plan has changed: {difference:#?}; if that is meant, set {UPDATE}=1 for this test and look at what changes in {}",
        path.display()
    );
}
