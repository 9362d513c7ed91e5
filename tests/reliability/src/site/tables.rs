//! How many rows each table may have after the calls of a history. What is about accounts, users and sessions is the
//! checker's to say, row by row.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use e2e::Service;

use super::{Site, Store};
use crate::checker::Check;
use crate::history::{Call, Does, Outcome, Record};
use crate::nemesis::name;

/// A table, and how many rows it may have.
type Bound = (Service, &'static str, RangeInclusive<usize>);

impl Site {
    /// Looks whether a table has more rows than the calls account for, or not the one that it is to have.
    pub async fn count_rows(&mut self, history: &[Record]) {
        for (service, table, may) in bounds(history, self.store, self.limits_guesses) {
            let rows = self.count(service, table).await;
            let surplus = (!may.contains(&rows))
                .then(|| format!("{table} of {} has {rows} rows and may have {may:?}", name(service)));
            self.judge(Check::SurplusRows, surplus);
        }
    }

    /// The tables whose rows nobody judges: one that is new has to be in the list.
    pub async fn tables_of_nobody(&self) -> Vec<String> {
        let bounds = bounds(&[], self.store, self.limits_guesses);
        let mut of_nobody = Vec::new();
        for service in [Service::Auth, Service::Users] {
            let tables = self.tables(service).await;
            of_nobody.extend(unknown(&bounds, service, &tables));
        }
        of_nobody
    }
}

/// Of these tables, those that are neither counted nor looked at row by row; and those of the list that are not there.
fn unknown(bounds: &[Bound], service: Service, tables: &[String]) -> Vec<String> {
    let counted = bounds.iter().filter(|(of, ..)| *of == service).map(|(_, table, _)| *table);
    let known: BTreeSet<&str> = counted.chain(BY_ROW.iter().copied()).collect();
    let of_nobody = tables.iter().filter(|table| !known.contains(table.as_str()));
    let of_nobody = of_nobody.map(|table| format!("nobody judges the table {table} of {}", name(service)));
    let missing =
        bounds.iter().filter(|(of, table, _)| *of == service && !tables.iter().any(|is| is == table));
    let missing = missing.map(|(_, table, _)| format!("there is no table {table} of {}", name(service)));
    of_nobody.chain(missing).collect()
}

/// What the checker looks at row by row, and what says which schema there is.
const BY_ROW: &[&str] = &["accounts", "sessions", "users", "_sqlx_migrations"];

/// What can be left when no call is under way any more:
///
/// - `reservations` live as long as a call does. They stay where nothing was heard of its end, or where it was refused for the
///   moment.
/// - `attempts` do so as well. They are given back where a call comes to no decision, unless the store cannot be written.
/// - Where guesses are not limited, nothing is counted at all: no attempts, no `failures`, no `address_counts`.
/// - `sign_up_requests` and `requests` have a row for each request id, however often it is repeated.
/// - `failures` have a user's name at the one address that all clients have, and at all addresses together.
/// - `address_counts` have that address, the one of users-service, and the unknown one.
fn bounds(history: &[Record], store: Store, limits_guesses: bool) -> Vec<Bound> {
    let looks_at_passwords = [Does::LogIn, Does::ChangePassword, Does::SignUp, Does::CreateUser];
    let of = |does: &[Does]| history.iter().filter(|record| does.contains(&record.call.does)).collect();
    let passwords: Vec<&Record> = of(&looks_at_passwords);
    let makings: Vec<&Record> = of(&[Does::CreateUser, Does::Bootstrap]);
    let undecided = passwords.iter().filter(|record| is_undecided(record)).count();
    let unmade =
        makings.iter().filter(|record| is_open(record, &["RATE_LIMITED", "REQUEST_ID_REUSED"])).count();
    let tried: BTreeSet<(Does, Option<&str>)> =
        passwords.iter().map(|record| (record.call.does, subject(&record.call))).collect();
    let (auth, users) = (Service::Auth, Service::Users);
    let of_guesses = |may: usize| 0..=if limits_guesses { may } else { 0 };
    let mut bounds = vec![
        (auth, "attempts", of_guesses(undecided)),
        (auth, "failures", of_guesses(2 * tried.len())),
        (auth, "address_counts", of_guesses(PURPOSES * 3)),
        (auth, "sign_up_requests", 0..=request_ids(history, Does::SignUp)),
        (auth, "feed", 1..=1),
        (auth, "page_token_key", 1..=1),
        (auth, "schema_compatibility", 1..=1),
        (users, "reservations", 0..=unmade),
        (users, "requests", 0..=request_ids(history, Does::CreateUser)),
        (users, "feed", 1..=1),
        (users, "feed_epochs", 1..=1),
        (users, "bootstrap", 0..=1),
        (users, "service", 1..=1),
        (users, "schema_compatibility", 1..=1),
    ];
    if store == Store::Postgres {
        bounds.push((auth, "feed_epoch", 1..=1));
    }
    bounds
}

/// Log-ins, changes of passwords, repeated registrations, sign-ups.
const PURPOSES: usize = 4;

/// Whether an attempt of it may be left.
fn is_undecided(record: &Record) -> bool {
    match &record.outcome {
        Outcome::Unknown(_) | Outcome::Broken(_) => true,
        Outcome::NotDone(reason) => reason == "STORAGE_UNAVAILABLE",
        Outcome::Denied(_) | Outcome::Ok(_) => false,
    }
}

/// Whether something of it may be left: nobody heard of its end, or it was refused for the moment or for one of these reasons.
fn is_open(record: &Record, reasons: &[&str]) -> bool {
    match &record.outcome {
        Outcome::Unknown(_) | Outcome::NotDone(_) | Outcome::Broken(_) => true,
        Outcome::Denied(refusal) => reasons.contains(&refusal.reason.as_str()),
        Outcome::Ok(_) => false,
    }
}

fn subject(call: &Call) -> Option<&str> {
    if call.does == Does::ChangePassword { call.caller() } else { call.user.as_deref() }
}

fn request_ids(history: &[Record], does: Does) -> usize {
    let calls = history.iter().filter(|record| record.call.does == does);
    calls.filter_map(|record| record.call.request_id.as_deref()).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Moment, Who};

    fn record(does: Does, request_id: Option<&str>, outcome: Outcome) -> Record {
        let mut call = Call::new(does, Who::Operator).on("alice");
        call.request_id = request_id.map(str::to_owned);
        Record { start: Moment::FIRST, end: Moment::FIRST, replica: 0, call, outcome }
    }

    fn may(history: &[Record], name: &str) -> usize {
        let bounds = bounds(history, Store::Sqlite, true);
        *bounds.iter().find(|(_, table, _)| *table == name).unwrap().2.end()
    }

    #[test]
    fn i12_a_row_that_stays_behind_for_each_call_is_one_too_many() {
        let ok = || Outcome::Ok(Box::<Answer>::default());
        let mut history: Vec<Record> = (0..100)
            .flat_map(|_| [Does::LogIn, Does::SignUp, Does::CreateUser])
            .map(|does| record(does, Some("one"), ok()))
            .collect();
        let tables = ["attempts", "reservations", "failures", "sign_up_requests", "requests"];
        assert_eq!(tables.map(|table| may(&history, table)), [0, 0, 6, 1, 1]);
        history.push(record(Does::CreateUser, Some("two"), Outcome::Unknown("lost".into())));
        assert_eq!(tables.map(|table| may(&history, table)), [1, 1, 6, 1, 2]);
    }

    #[test]
    fn i12_where_guesses_are_not_limited_nothing_is_counted_and_a_busy_hasher_leaves_nothing() {
        let lost = record(Does::LogIn, None, Outcome::Unknown("lost".into()));
        let busy = record(Does::LogIn, None, Outcome::NotDone("HASHER_BUSY".into()));
        assert_eq!(may(&[lost.clone(), busy], "attempts"), 1);
        for (_, table, may) in bounds(&[lost], Store::Sqlite, false) {
            assert!(
                !["attempts", "failures", "address_counts"].contains(&table) || may == (0..=0),
                "{table}"
            );
        }
    }

    #[test]
    fn i12_a_table_that_nobody_judges_is_told_of() {
        let bounds = bounds(&[], Store::Sqlite, true);
        let of_auth = bounds.iter().filter(|(service, ..)| *service == Service::Auth);
        let mut tables: Vec<String> = of_auth.map(|(_, table, _)| (*table).to_owned()).collect();
        tables.push("accounts".into());
        assert_eq!(unknown(&bounds, Service::Auth, &tables), [""; 0]);
        tables.push("audits".into());
        assert_eq!(
            unknown(&bounds, Service::Auth, &tables),
            ["nobody judges the table audits of auth-service"]
        );
        assert_eq!(unknown(&bounds, Service::Auth, &tables[1..]).len(), 2);
    }
}
