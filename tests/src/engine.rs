//! What a run of these tests is about: a database engine, and how many processes of each service share a database.
//!
//! `TANDEM_TEST_ENGINE` says it: `sqlite`, which is what is taken if it is not set, `postgres`, or `replicas`, which is
//! PostgreSQL under two processes of each service. With `TANDEM_TEST_POOLER`, the URL of a pooler in front of the server of
//! `DATABASE_URL`, these reach it through that.

/// A database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file for each service, in the test's own folder.
    Sqlite,
    /// A database for each service, on the server of `DATABASE_URL`.
    Postgres,
}

/// The pooler that this run is about, if it is about one.
pub(crate) fn pooler_under_test() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "what to test is said by whoever runs the tests")]
    std::env::var("TANDEM_TEST_POOLER").ok()
}

/// How many rounds of a race are run: so many, but 200 where replicas share a database.
#[must_use]
pub fn rounds(of_one_process: usize) -> usize {
    match under_test() {
        (_, 1) => of_one_process,
        (_, _) => of_one_process.max(200),
    }
}

/// The engine that this run is about, and how many replicas of each service.
pub(crate) fn under_test() -> (Engine, usize) {
    #[expect(clippy::disallowed_methods, reason = "what to test is said by whoever runs the tests")]
    let engine = std::env::var("TANDEM_TEST_ENGINE");
    match engine.as_deref() {
        Err(_) | Ok("sqlite") => (Engine::Sqlite, 1),
        Ok("postgres") => (Engine::Postgres, 1),
        Ok("replicas") => (Engine::Postgres, 2),
        Ok(unknown) => panic!("TANDEM_TEST_ENGINE is {unknown}: there are sqlite, postgres and replicas"),
    }
}
