//! A page of users in any order, by keyset.
//!
//! The statement is put together from fixed pieces; every value is bound.

use sqlx::{QueryBuilder, Sqlite, SqlitePool};
use users_core::StoreError;
use users_core::domain::{Role, State, User};
use users_core::queries::{Direction, ListUsers, Place, SortBy, SortKey, UserFilter, UserPage};

use super::failed;
use super::row::UserRow;
use crate::stored;

/// Reads one user more than the page has, to know whether there are more.
pub(super) async fn page(pool: &SqlitePool, query: &ListUsers) -> Result<UserPage, StoreError> {
    let found: Vec<UserRow> = select(query).build_query_as().fetch_all(pool).await.map_err(failed)?;
    let users = found.into_iter().map(User::try_from).collect::<Result<Vec<_>, _>>()?;
    let total = if query.include_total {
        Some(count(&query.filter).build_query_scalar().fetch_one(pool).await.map_err(failed)?)
    } else {
        None
    };
    Ok(UserPage::new(query, users, total))
}

fn select(query: &ListUsers) -> QueryBuilder<Sqlite> {
    let column = column(query.order.by);
    let mut sql = QueryBuilder::new(
        "select users.*, feed_epochs.epoch from users
         join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal where true",
    );
    push_filter(&mut sql, &query.filter);
    if let Some(place) = &query.after {
        push_place(&mut sql, column, query.order.direction, place);
    }
    sql.push(" order by ").push(column);
    sql.push(match query.order.direction {
        Direction::Ascending => " asc",
        Direction::Descending => " desc",
    });
    sql.push(", users.id asc limit ").push_bind(i64::from(query.page_size.get()) + 1);
    sql.push(" offset ").push_bind(i64::from(query.to_pass_over()));
    sql
}

fn count(filter: &UserFilter) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("select count(*) from users where true");
    push_filter(&mut sql, filter);
    sql
}

const fn column(by: SortBy) -> &'static str {
    match by {
        SortBy::Username => "users.canonical_username",
        SortBy::Role => "users.role",
        SortBy::State => "users.state",
        SortBy::CreateTime => "users.create_time",
        SortBy::UpdateTime => "users.update_time",
    }
}

/// The first condition is a range of the index, which the whole one, being no single range, is not.
fn push_place(sql: &mut QueryBuilder<Sqlite>, column: &'static str, direction: Direction, place: &Place) {
    let (beyond, from) = match direction {
        Direction::Ascending => (" > ", " >= "),
        Direction::Descending => (" < ", " <= "),
    };
    sql.push(" and ").push(column).push(from);
    push_key(sql, &place.key);
    sql.push(" and (").push(column).push(beyond);
    push_key(sql, &place.key);
    sql.push(" or users.id > ").push_bind(place.id.as_bytes().to_vec()).push(")");
}

fn push_key(sql: &mut QueryBuilder<Sqlite>, key: &SortKey) {
    match key {
        SortKey::Number(number) => sql.push_bind(*number),
        SortKey::Text(text) => sql.push_bind(text.clone()),
    };
}

fn push_filter(sql: &mut QueryBuilder<Sqlite>, filter: &UserFilter) {
    push_any_of(sql, "users.role", filter.roles.iter().map(|role: &Role| role.number()));
    push_any_of(sql, "users.state", filter.states.iter().map(|state: &State| state.number()));
    let prefix = filter.prefix.canonical();
    if !prefix.is_empty() {
        sql.push(" and users.canonical_username >= ").push_bind(prefix.to_owned());
        sql.push(" and users.canonical_username < ").push_bind(stored::end_of_prefix(prefix));
    }
}

fn push_any_of(sql: &mut QueryBuilder<Sqlite>, column: &'static str, numbers: impl Iterator<Item = i64>) {
    let mut numbers = numbers.peekable();
    if numbers.peek().is_some() {
        sql.push(" and ").push(column).push(" in (");
        let mut list = sql.separated(", ");
        for number in numbers {
            list.push_bind(number);
        }
        sql.push(")");
    }
}
