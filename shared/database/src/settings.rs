//! The settings of a service's database: which engine, where, and how much of it.

use std::path::PathBuf;
use std::str::FromStr as _;

use configuration::Reader;
use sqlx::postgres::PgConnectOptions;

use crate::postgres::place;
use crate::{PostgresOptions, SqliteOptions};

const URL: &str = "database.url";
const DIRECT_URL: &str = "database.direct_url";
const REPLICA_URL: &str = "database.replica_url";
const PREPARED_STATEMENTS: &str = "database.prepared_statements";

/// What is said about a setting that only PostgreSQL has.
const FOR_POSTGRES: &str = "is for PostgreSQL only, and database.url names a SQLite file";

/// Where a service keeps its data.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// On which engine, and how it is reached.
    pub engine: Engine,
    /// Whether `serve` brings the schema up to date.
    pub auto_migrate: bool,
}

/// An engine, and how a database on it is reached.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, which is read at start")]
pub enum Engine {
    /// A file.
    Sqlite(SqliteOptions),
    /// A server.
    Postgres {
        /// The primary.
        primary: PostgresOptions,
        /// A streaming replica of it, for queries.
        replica: Option<PostgresOptions>,
    },
}

impl Engine {
    /// Where the database is, as it may be shown: never with a password.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(options) => options.path.display().to_string(),
            Self::Postgres { primary, .. } => place(&primary.connect),
        }
    }
}

/// Whether a service may send its queries to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replica {
    /// It has the setting.
    Supported,
    /// It has not, and whoever gives it hears that it is unknown.
    Unknown,
}

impl DatabaseSettings {
    /// Reads and checks them; none when something is wrong, which the reader was told.
    pub fn read(reader: &mut Reader, replica: Replica) -> Option<Self> {
        let url = reader.url(URL, None);
        let direct_url = reader.url(DIRECT_URL, None);
        let replica_url = match replica {
            Replica::Supported => reader.url(REPLICA_URL, None),
            Replica::Unknown => None,
        };
        let prepared_statements = reader.boolean(PREPARED_STATEMENTS, true);
        let max_connections = reader.integer("database.max_connections", 8, 1..=1000);
        let auto_migrate = reader.boolean("database.auto_migrate", false);

        let Some(url) = url else {
            // What is wrong with one that was given, the reader said itself.
            if !reader.is_set(URL) {
                reader
                    .refuse(URL, "must be given, as sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE");
            }
            return None;
        };
        let engine = if let Some(path) = url.strip_prefix("sqlite://") {
            for key in [DIRECT_URL, REPLICA_URL, PREPARED_STATEMENTS] {
                if reader.is_set(key) {
                    reader.refuse(key, FOR_POSTGRES);
                }
            }
            sqlite(reader, path, max_connections)?
        } else {
            let options = |connect: PgConnectOptions, direct: Option<PgConnectOptions>| PostgresOptions {
                connect,
                direct,
                max_connections,
                prepared_statements,
            };
            let connect = postgres(reader, URL, Some(&url));
            let direct = postgres(reader, DIRECT_URL, direct_url.as_deref());
            let replica = postgres(reader, REPLICA_URL, replica_url.as_deref());
            Engine::Postgres {
                primary: options(connect?, direct),
                replica: replica.map(|replica| options(replica, None)),
            }
        };
        Some(Self { engine, auto_migrate })
    }
}

fn sqlite(reader: &mut Reader, path: &str, max_connections: u32) -> Option<Engine> {
    if path.is_empty() {
        reader.refuse(URL, "must be sqlite://PATH, with a path");
        return None;
    }
    Some(Engine::Sqlite(SqliteOptions { path: PathBuf::from(path), max_connections }))
}

/// The parser's own message is not passed on: it may quote what it could not read, a password among it.
fn postgres(reader: &mut Reader, key: &'static str, url: Option<&str>) -> Option<PgConnectOptions> {
    let url = url?;
    let known_scheme = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let options = known_scheme.then(|| PgConnectOptions::from_str(url).ok()).flatten();
    if options.is_none() {
        let schemes = if key == URL { "sqlite://PATH or " } else { "" };
        reader.refuse(
            key,
            format!("must be {schemes}postgres://USER:PASSWORD@HOST/DATABASE, with special characters percent-encoded"),
        );
    }
    options
}

#[cfg(test)]
mod tests {
    use configuration::{Layers, Problems};
    use sqlx::postgres::PgSslMode;

    use super::{DatabaseSettings, Engine, Replica};

    fn read(replica: Replica, variables: &[(&str, &str)]) -> Result<DatabaseSettings, Problems> {
        let variables =
            variables.iter().map(|(key, value)| (format!("AUTH__DATABASE__{key}"), (*value).to_owned()));
        Layers::new("AUTH")
            .variables(variables)
            .read(|reader| DatabaseSettings::read(reader, replica))
            .map(|(settings, _)| settings.expect("a setting that is missing is a problem"))
    }

    fn problems(replica: Replica, variables: &[(&str, &str)]) -> String {
        read(replica, variables).expect_err("refused").to_string()
    }

    #[test]
    fn a_url_without_a_pooler_is_used_for_everything() {
        let settings = read(
            Replica::Unknown,
            &[
                ("URL", "postgres://auth:p%40ss@db.example:6432/tandem?sslmode=verify-full"),
                ("MAX_CONNECTIONS", "3"),
            ],
        )
        .expect("valid");
        let Engine::Postgres { primary, replica } = settings.engine else { panic!("PostgreSQL") };
        let options = &primary.connect;
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
        assert_eq!((options.get_username(), options.get_database()), ("auth", Some("tandem")));
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyFull));
        assert!(primary.direct.is_none());
        assert_eq!((primary.max_connections, primary.prepared_statements), (3, true));
        assert!(replica.is_none());
    }

    #[test]
    fn a_pooler_a_replica_and_the_server_itself_are_told_apart() {
        let settings = read(
            Replica::Supported,
            &[
                ("URL", "postgres://users@pooler:6432/tandem"),
                ("DIRECT_URL", "postgresql://users@primary/tandem"),
                ("REPLICA_URL", "postgres://users@replica/tandem"),
                ("PREPARED_STATEMENTS", "false"),
            ],
        )
        .expect("valid");
        let Engine::Postgres { primary, replica } = settings.engine else { panic!("PostgreSQL") };
        let replica = replica.expect("a replica");
        assert_eq!(primary.connect.get_host(), "pooler");
        assert_eq!(primary.direct.expect("a server").get_host(), "primary");
        assert_eq!(replica.connect.get_host(), "replica");
        assert!(!primary.prepared_statements && !replica.prepared_statements);
    }

    #[test]
    fn a_file_has_none_of_the_settings_of_a_server() {
        let problems = problems(
            Replica::Supported,
            &[
                ("URL", "sqlite://data/users.sqlite"),
                ("DIRECT_URL", "postgres://users@primary/tandem"),
                ("REPLICA_URL", "postgres://users@replica/tandem"),
                ("PREPARED_STATEMENTS", "true"),
            ],
        );
        for key in ["direct_url", "replica_url", "prepared_statements"] {
            assert!(problems.contains(&format!("database.{key}")), "{problems}");
        }
        assert!(problems.contains("names a SQLite file"), "{problems}");
    }

    #[test]
    fn a_service_without_queries_on_a_replica_does_not_know_the_setting() {
        let variables =
            [("URL", "postgres://auth@primary/tandem"), ("REPLICA_URL", "postgres://auth@replica/tandem")];
        assert!(problems(Replica::Unknown, &variables).contains("replica_url"));
    }

    #[test]
    fn what_is_no_database_is_refused_without_showing_a_password() {
        for url in [
            "mysql://auth:hunter2hunter2@db/tandem",
            "sqlite://",
            "postgres://auth:hunter2hunter2@db:port/tandem",
            "postgres://auth:hunter2hunter2@db/tandem?sslmode=sometimes",
        ] {
            let problems = problems(Replica::Unknown, &[("URL", url)]);
            assert!(problems.contains("database.url"), "{problems}");
            assert!(!problems.contains("hunter2"), "{problems}");
        }
        assert!(problems(Replica::Unknown, &[]).contains("must be given"));
    }
}
