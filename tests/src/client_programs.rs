//! PostgreSQL's client programs, as operators use them. Which ones they are is known to the script `tests/postgres`.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::cluster::SCRIPT;

/// Runs psql, `pg_dump` or `pg_restore` on a database to its end.
pub async fn client_program(program: &str, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(SCRIPT);
    command.args(["client", program, "--dbname", &understood(url)]).args(arguments).stdin(Stdio::null());
    command.output().await.expect("the script runs")
}

/// What a statement gives: a line for each row, its columns separated by `|`.
pub async fn sql(url: &str, statement: &str) -> String {
    let output = psql(url, statement).await;
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// What the server says to a statement, or to whoever wants to make it, that it must refuse.
pub async fn refused_sql(url: &str, statement: &str) -> String {
    let output = psql(url, statement).await;
    assert!(!output.status.success(), "not refused: {statement}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn psql(url: &str, statement: &str) -> Output {
    let quietly = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"];
    client_program("psql", url, &[&quietly[..], &["--command", statement]].concat()).await
}

/// Without the parameter that is sqlx's own.
fn understood(url: &str) -> String {
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let parameters = parameters.split('&').filter(|one| !one.starts_with("statement-cache-capacity="));
    format!("{place}?{}", parameters.collect::<Vec<_>>().join("&"))
}
