//! How many users a filter lets through: exact as far as counting is cheap, beyond that what the planner expects.

use database::postgres::Connection;
use sqlx::{QueryBuilder, Row as _};
use users_core::StoreError;
use users_core::queries::{ListUsers, UserFilter};

use super::ranges::{Run, push_prefix, wanted};
use super::{count, number};
use crate::postgres::failed;
use crate::postgres::row::small;

/// The most that are counted.
const EXACT: usize = 10_000;

pub(super) async fn of(db: &mut Connection, query: &ListUsers) -> Result<i64, StoreError> {
    let counted = count(db, &Run::by_name(query), EXACT + 1).await?;
    if counted <= EXACT {
        return Ok(number(counted));
    }
    Ok(estimate(db, &query.filter).await?.max(number(counted)))
}

/// What the statistics say, without reading a single user. The statement is only planned.
async fn estimate(db: &mut Connection, filter: &UserFilter) -> Result<i64, StoreError> {
    let (roles, states) = wanted(filter);
    let mut sql = QueryBuilder::new("explain (format json) select 1 from users where role = any (");
    sql.push_bind(roles.iter().map(|role| small(role.number())).collect::<Vec<_>>());
    sql.push(") and state = any (");
    sql.push_bind(states.iter().map(|state| small(state.number())).collect::<Vec<_>>());
    sql.push(")");
    push_prefix(&mut sql, filter.prefix.canonical());
    // Planned for these very values, and not kept.
    let row = sql.build().persistent(false).fetch_one(db).await.map_err(failed)?;
    let plan: String = row.try_get_unchecked(0).map_err(failed)?;
    Ok(expected_rows(&plan).unwrap_or(0))
}

/// The rows that the outermost step of a plan is expected to give: the first of them that it names.
fn expected_rows(plan: &str) -> Option<i64> {
    let (_, rest) = plan.split_once("\"Plan Rows\": ")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_step_is_what_is_read() {
        let plan = r#"[{"Plan": {"Node Type": "Append", "Plan Rows": 42, "Plans": [{"Plan Rows": 7}]}}]"#;
        assert_eq!(expected_rows(plan), Some(42));
        assert_eq!(expected_rows("[]"), None);
    }
}
