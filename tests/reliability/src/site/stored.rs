//! What both databases have, past the services.

use e2e::{Data, Service, sql};
use tokio::process::Command;

use super::{Site, Store};
use crate::checker::{Account, End, Session, User};
use crate::history::{Moment, Role};

impl Site {
    /// Everything that is stored at this moment, after everything was mended at an earlier one.
    pub async fn stored(&self, mended: Moment, at: Moment) -> End {
        let id = |column: &str| match self.store {
            Store::Sqlite => format!("lower(hex({column}))"),
            Store::Postgres => format!("replace({column}::text, '-', '')"),
        };
        let session = match self.store {
            Store::Sqlite => "id".to_owned(),
            Store::Postgres => id("id"),
        };
        let accounts = format!("select {}, canonical_username, state, version from accounts", id("id"));
        let expires = match self.store {
            Store::Sqlite => "expire_time / 1000000",
            Store::Postgres => "floor(extract(epoch from expire_time))::bigint",
        };
        let sessions = format!("select {session}, {}, {expires} from sessions", id("account_id"));
        let users =
            format!("select {}, canonical_username, role, state, account_version from users", id("id"));
        let data = self.processes.data();
        let rows = async |service, statement: &str| rows(data, service, statement).await;
        let (accounts, sessions) =
            (rows(Service::Auth, &accounts).await, rows(Service::Auth, &sessions).await);
        let users = rows(Service::Users, &users).await;
        End {
            at,
            mended,
            accounts: accounts.iter().map(|row| account(row)).collect(),
            users: users.iter().map(|row| user(row)).collect(),
            sessions: sessions
                .iter()
                .map(|row| Session {
                    id: row[0].clone(),
                    account: row[1].clone(),
                    expires: row[2].parse().expect("a number of seconds"),
                })
                .collect(),
        }
    }

    /// The tables of a service.
    pub async fn tables(&self, service: Service) -> Vec<String> {
        let statement = match self.store {
            Store::Sqlite => {
                "select name from sqlite_master where type = 'table' and name not like 'sqlite\\_%' escape '\\'"
            }
            Store::Postgres => "select tablename from pg_tables where schemaname = current_schema()",
        };
        rows(self.processes.data(), service, statement).await.into_iter().flatten().collect()
    }

    /// How many rows a table has.
    pub async fn count(&self, service: Service, table: &str) -> usize {
        let found = rows(self.processes.data(), service, &format!("select count(*) from {table}")).await;
        found[0][0].parse().expect("a number")
    }
}

fn account(row: &[String]) -> Account {
    Account {
        id: row[0].clone(),
        name: row[1].clone(),
        is_active: row[2] == "1",
        version: row[3].parse().expect("a version"),
    }
}

fn user(row: &[String]) -> User {
    User {
        id: row[0].clone(),
        name: row[1].clone(),
        role: match row[2].as_str() {
            "3" => Role::SuperAdmin,
            "2" => Role::Admin,
            _ => Role::User,
        },
        is_active: row[3] == "1",
        version: row[4].parse().expect("a version"),
    }
}

/// What a query gives, row by row.
async fn rows(data: &Data, service: Service, statement: &str) -> Vec<Vec<String>> {
    let text = match data {
        Data::Sqlite(_) => {
            let output = Command::new("sqlite3").arg(data.file(service)).arg(statement).output().await;
            let output = output.expect("sqlite3 runs: it is in the package sqlite3");
            assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        }
        Data::Postgres(_) => sql(&data.url(service), statement).await,
    };
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}
