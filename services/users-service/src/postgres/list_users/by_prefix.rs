//! A page of the users whose names begin so, in an order that is not by name.
//!
//! No index has both. Where few names begin so, they are read and sorted. Where there are many, the list is walked through
//! in the order that was asked for and the others are left out; after so many that were looked at, the page ends there,
//! short or even empty, and the next one goes on. So a page never reads more than 10,000 users;
//! a total that is asked for with it counts up to 10,000 entries of an index on top.

use database::postgres::Connection;
use sqlx::{FromRow, QueryBuilder};
use users_core::StoreError;
use users_core::domain::User;
use users_core::queries::{ListUsers, Place, UserPage};

use super::ranges::{Range, Run, push_after, push_prefix, sort_column};
use super::{count, number};
use crate::postgres::failed;
use crate::postgres::row::{UserRow, columns};

/// Users that are looked at in either way: twice this is below 10,000.
const LOOKED_AT: usize = 4_900;

pub(super) async fn page(db: &mut Connection, query: &ListUsers) -> Result<UserPage, StoreError> {
    let named = Run::by_name(query);
    if count(db, &named, LOOKED_AT + 1).await? <= LOOKED_AT {
        Ok(UserPage::new(query, sorted(db, query, &named).await?, None))
    } else {
        walk(db, query).await
    }
}

/// Reads all whose names begin so, sorts them and gives one more than fit on the page.
async fn sorted(db: &mut Connection, query: &ListUsers, named: &Run<'_>) -> Result<Vec<User>, StoreError> {
    let (column, direction) = sort_column(query.order);
    let mut sql = QueryBuilder::new("select ");
    sql.push(columns!());
    sql.push(", (select epoch from feed_epochs where ordinal = users.epoch_ordinal) as epoch from (");
    named.push_ranges(&mut sql, &Range { columns: "*", limit: LOOKED_AT })?;
    sql.push(") as users where true");
    if let Some(place) = &query.after {
        push_after(&mut sql, query.order, place)?;
    }
    sql.push(" order by ").push(column).push(direction).push(", id limit ");
    sql.push_bind(i64::from(query.page_size.get()) + 1);
    sql.push(" offset ").push_bind(i64::from(query.to_pass_over()));
    let found: Vec<UserRow> = sql.build_query_as().fetch_all(db).await.map_err(failed)?;
    found.into_iter().map(User::try_from).collect()
}

/// A user that was come by, and at which step.
#[derive(FromRow)]
struct LookedAt {
    #[sqlx(flatten)]
    user: UserRow,
    step: i64,
    is_wanted: bool,
}

/// Walks through the list until the page is full or enough users were looked at.
async fn walk(db: &mut Connection, query: &ListUsers) -> Result<UserPage, StoreError> {
    let mut page = Walk::new(query);
    let mut left = LOOKED_AT;
    for run in Run::all_of(query) {
        let steps = steps(db, &run.of_any_name(), left, query.filter.prefix.canonical()).await?;
        let walked = steps.last().map_or(0, |step| usize::try_from(step.step).unwrap_or(left));
        for step in steps {
            let is_wanted = step.is_wanted;
            if page.is_full_at(step.user.try_into()?, is_wanted) {
                return Ok(page.finish());
            }
        }
        left -= walked;
        if left == 0 {
            return Ok(page.finish());
        }
    }
    page.next = None;
    Ok(page.finish())
}

/// The users among the next ones of a run whose names begin so, and the last one that was looked at.
async fn steps(
    db: &mut Connection,
    run: &Run<'_>,
    limit: usize,
    prefix: &str,
) -> Result<Vec<LookedAt>, StoreError> {
    let order = run.order().sql();
    let mut sql = QueryBuilder::new("with walked as materialized (select *, row_number() over (order by ");
    sql.push(order).push(") as step from (select * from (");
    run.push_ranges(&mut sql, &Range { columns: "*", limit })?;
    sql.push(") as users order by ").push(order).push(" limit ").push_bind(number(limit));
    sql.push(") as users), users as (select *, (true");
    push_prefix(&mut sql, prefix);
    sql.push(") as is_wanted from walked) select step, is_wanted, ").push(columns!());
    sql.push(", (select epoch from feed_epochs where ordinal = users.epoch_ordinal) as epoch from users");
    sql.push(" where is_wanted or step = (select count(*) from walked) order by step");
    sql.build_query_as().fetch_all(db).await.map_err(failed)
}

/// A page in the making.
struct Walk<'q> {
    query: &'q ListUsers,
    users: Vec<User>,
    passed_over: u16,
    /// After the last user that was looked at.
    next: Option<Place>,
}

impl<'q> Walk<'q> {
    fn new(query: &'q ListUsers) -> Self {
        let passed_over = query.after.as_ref().map_or(0, |place| place.passed_over);
        Self { query, users: Vec::new(), passed_over, next: query.after.clone() }
    }

    /// Takes a user into account; true when it is the first one that does not fit any more.
    fn is_full_at(&mut self, user: User, is_wanted: bool) -> bool {
        if is_wanted && self.passed_over >= self.query.skip {
            if self.users.len() == usize::from(self.query.page_size.get()) {
                self.next = self.users.last().map(|last| self.place(last, 0));
                return true;
            }
            // What was to be passed over before this page is behind; the next one has its own.
            self.next = Some(self.place(&user, 0));
            self.users.push(user);
        } else {
            self.passed_over += u16::from(is_wanted);
            let passed_over = if self.users.is_empty() { self.passed_over } else { 0 };
            self.next = Some(self.place(&user, passed_over));
        }
        false
    }

    fn place(&self, user: &User, passed_over: u16) -> Place {
        Place { key: self.query.order.by.key(user), id: user.id, passed_over }
    }

    fn finish(self) -> UserPage {
        UserPage { users: self.users, next: self.next, total: None }
    }
}
