//! A page of users in any order, by keyset, on the few indexes that there are.
//!
//! Every index begins with role and state, which have few values. So a list is a merge of a few sorted ranges, one for
//! each pair of a role and a state that is wanted, and each index serves every filter by role and state:
//!
//! ```sql
//! select … from (
//!     (select … from users where role = 1 and state = 1 and <after the place> order by <key>, id limit 32)
//!     union all
//!     (select … from users where role = 1 and state = 2 and <after the place> order by <key>, id limit 32)
//! ) as page order by <key>, id limit $1 offset $2
//! ```
//!
//! PostgreSQL merges them lazily: it reads about as many rows as are shown and passed over, at any depth and however many
//! users there are. A list by role is the users of one role after those of another, each sorted by id, and so is one by
//! state. Where an index is read backwards, a range is `order by <key> fetch first 32 rows with ties` instead: the ids of
//! those with the same key come in the wrong order, so the merge sorts each group of them.
//!
//! Statements are put together from fixed pieces; every value is bound, but for those of a range that the planner has to
//! know. Its limit, which is rounded up to a power of two, so that there are few different statements. And its role and
//! state, which are numbers of ours: a plan that is to fit them all fits the rare ones badly. What is sorted by the id alone
//! is so by a column that only the index for it has (`place`), because the primary key would do for that too, with
//! everybody else on the way.

mod by_prefix;
mod ranges;
mod total;

use database::postgres::Connection;
use sqlx::QueryBuilder;
use users_core::StoreError;
use users_core::domain::User;
use users_core::queries::{ListUsers, SortBy, UserPage};

use super::failed;
use super::row::{UserRow, columns};
use ranges::{Range, Run};

/// Reads a page.
pub(super) async fn page(db: &mut Connection, query: &ListUsers) -> Result<UserPage, StoreError> {
    let page = if query.filter.prefix.canonical().is_empty() || query.order.by == SortBy::Username {
        UserPage::new(query, in_order(db, query).await?, None)
    } else {
        by_prefix::page(db, query).await?
    };
    let total = if query.include_total { Some(total::of(db, query).await?) } else { None };
    Ok(UserPage { total, ..page })
}

/// Reads one user more than the page has, to know whether there are more.
async fn in_order(db: &mut Connection, query: &ListUsers) -> Result<Vec<User>, StoreError> {
    let wanted = usize::from(query.page_size.get()) + 1;
    let mut to_pass_over = usize::from(query.to_pass_over());
    let mut users = Vec::new();
    let runs = Run::all_of(query);
    let is_last = |number| number + 1 == runs.len();
    for (number, run) in runs.iter().enumerate() {
        if to_pass_over > 0 && !is_last(number) {
            let there = count(db, run, to_pass_over).await?;
            if there < to_pass_over {
                to_pass_over -= there;
                continue;
            }
        }
        let found = rows(db, run, wanted - users.len(), to_pass_over).await?;
        for row in found {
            users.push(User::try_from(row)?);
        }
        to_pass_over = 0;
        if users.len() == wanted {
            break;
        }
    }
    Ok(users)
}

async fn rows(
    db: &mut Connection,
    run: &Run<'_>,
    limit: usize,
    offset: usize,
) -> Result<Vec<UserRow>, StoreError> {
    let mut sql = QueryBuilder::new("select ");
    sql.push(columns!());
    sql.push(", (select epoch from feed_epochs where ordinal = users.epoch_ordinal) as epoch from (");
    run.push_ranges(&mut sql, &Range { columns: "*", limit: limit + offset })?;
    sql.push(") as users order by ").push(run.order().sql());
    sql.push(" limit ").push_bind(number(limit)).push(" offset ").push_bind(number(offset));
    sql.build_query_as().fetch_all(db).await.map_err(failed)
}

/// How many users there are, but no more than this.
async fn count(db: &mut Connection, run: &Run<'_>, limit: usize) -> Result<usize, StoreError> {
    let mut sql = QueryBuilder::new("select count(*) from (select from (");
    run.push_ranges(&mut sql, &Range { columns: "1", limit })?;
    sql.push(") as users limit ").push_bind(number(limit)).push(") as users");
    let count: i64 = sql.build_query_scalar().fetch_one(db).await.map_err(failed)?;
    Ok(usize::try_from(count).unwrap_or(limit))
}

fn number(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
