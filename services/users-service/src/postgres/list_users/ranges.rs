//! The ranges of the indexes that a list is merged from.

use database::time::from_micros;
use identity::{Timestamp, UserId};
use sqlx::{Postgres, QueryBuilder};
use users_core::StoreError;
use users_core::domain::{Role, State};
use users_core::queries::{Direction, ListUsers, Order, Place, SortBy, SortKey, UserFilter};

use crate::postgres::row::small;
use crate::stored;

/// Users that follow each other in one order of an index.
pub(super) struct Run<'q> {
    order: RunOrder,
    /// The ranges: every index begins with a role and a state.
    pairs: Vec<(Role, State)>,
    prefix: &'q str,
    after: Option<&'q Place>,
}

/// What users of a run are sorted by before their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunOrder {
    Username(Direction),
    CreateTime(Direction),
    UpdateTime(Direction),
    /// By nothing else.
    Id,
}

/// The value of what users are sorted by.
enum Key<'q> {
    Text(&'q str),
    Time(Timestamp),
    Number(i64),
}

/// How much of each range is read.
pub(super) struct Range {
    /// What is selected of it; the fixed text of a select list.
    pub(super) columns: &'static str,
    /// How many users are wanted of all ranges together.
    pub(super) limit: usize,
}

impl RunOrder {
    /// As it stands after `order by`.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Username(Direction::Ascending) => "canonical_username, id",
            Self::Username(Direction::Descending) => "canonical_username desc, id",
            Self::CreateTime(Direction::Ascending) => "create_time, id",
            Self::CreateTime(Direction::Descending) => "create_time desc, id",
            Self::UpdateTime(Direction::Ascending) => "update_time, id",
            Self::UpdateTime(Direction::Descending) => "update_time desc, id",
            Self::Id => "place",
        }
    }

    /// The key alone, where the index is read backwards and gives ids from the last. Whoever has the key of the last one
    /// belongs to the range too then, and all that have the same key are sorted by id when the ranges are merged: cheap
    /// unless very many have one time in common.
    const fn backwards(self) -> Option<&'static str> {
        match self {
            Self::Username(Direction::Descending) => Some("canonical_username desc"),
            Self::CreateTime(Direction::Ascending) => Some("create_time"),
            Self::UpdateTime(Direction::Ascending) => Some("update_time"),
            Self::Username(_) | Self::CreateTime(_) | Self::UpdateTime(_) | Self::Id => None,
        }
    }

    const fn order(self) -> Option<Order> {
        match self {
            Self::Username(direction) => Some(Order { by: SortBy::Username, direction }),
            Self::CreateTime(direction) => Some(Order { by: SortBy::CreateTime, direction }),
            Self::UpdateTime(direction) => Some(Order { by: SortBy::UpdateTime, direction }),
            Self::Id => None,
        }
    }
}

impl<'q> Run<'q> {
    /// The runs that a list goes through one after the other from its place on: one, or one for each role or state when
    /// it is sorted by these.
    pub(super) fn all_of(query: &'q ListUsers) -> Vec<Self> {
        let Order { by, direction } = query.order;
        let (roles, states) = wanted(&query.filter);
        let run = |order, pairs| Self { order, pairs, prefix: query.filter.prefix.canonical(), after: None };
        let pairs = || pairs_of(&roles, &states);
        let mut runs: Vec<(i64, Self)> = match by {
            SortBy::Username => vec![(0, run(RunOrder::Username(direction), pairs()))],
            SortBy::CreateTime => vec![(0, run(RunOrder::CreateTime(direction), pairs()))],
            SortBy::UpdateTime => vec![(0, run(RunOrder::UpdateTime(direction), pairs()))],
            SortBy::Role => roles
                .iter()
                .map(|role| (role.number(), run(RunOrder::Id, pairs_of(&[*role], &states))))
                .collect(),
            SortBy::State => states
                .iter()
                .map(|state| (state.number(), run(RunOrder::Id, pairs_of(&roles, &[*state]))))
                .collect(),
        };
        if matches!(by, SortBy::Role | SortBy::State) && direction == Direction::Descending {
            runs.reverse();
        }
        if let Some(place) = &query.after {
            begin_after(place, query.order, &mut runs);
        }
        runs.into_iter().map(|(_, run)| run).collect()
    }

    /// Everybody whom the filter lets through, from the first name on.
    pub(super) fn by_name(query: &'q ListUsers) -> Self {
        let (roles, states) = wanted(&query.filter);
        Self {
            order: RunOrder::Username(Direction::Ascending),
            pairs: pairs_of(&roles, &states),
            prefix: query.filter.prefix.canonical(),
            after: None,
        }
    }

    /// The same whatever the names begin with.
    pub(super) fn of_any_name(self) -> Self {
        Self { prefix: "", ..self }
    }

    pub(super) const fn order(&self) -> RunOrder {
        self.order
    }

    /// All ranges, as one set of rows. Each is sorted and as long as it may be for the page to come from it alone.
    pub(super) fn push_ranges(
        &self,
        sql: &mut QueryBuilder<Postgres>,
        range: &Range,
    ) -> Result<(), StoreError> {
        for (number, (role, state)) in self.pairs.iter().enumerate() {
            sql.push(if number == 0 { "(select " } else { " union all (select " }).push(range.columns);
            sql.push(" from users where role = ").push(role.number());
            sql.push(" and state = ").push(state.number());
            push_prefix(sql, self.prefix);
            if let Some(place) = self.after {
                match self.order.order() {
                    Some(order) => push_after(sql, order, place)?,
                    None => push_id_after(sql, place.id),
                }
            }
            sql.push(" order by ");
            let limit = range.limit.next_power_of_two();
            match self.order.backwards() {
                None => sql.push(self.order.sql()).push(" limit ").push(limit).push(")"),
                Some(key) => sql.push(key).push(" fetch first ").push(limit).push(" rows with ties)"),
            };
        }
        Ok(())
    }
}

/// What an order sorts by, and the word for its direction.
pub(super) const fn sort_column(order: Order) -> (&'static str, &'static str) {
    let column = match order.by {
        SortBy::Username => "canonical_username",
        SortBy::Role => "role",
        SortBy::State => "state",
        SortBy::CreateTime => "create_time",
        SortBy::UpdateTime => "update_time",
    };
    let direction = match order.direction {
        Direction::Ascending => "",
        Direction::Descending => " desc",
    };
    (column, direction)
}

/// Only what comes after a place. Ties are broken by ascending ids whatever the direction, which is one range of an index
/// for ascending names only: elsewhere the first condition is what the index can use, and the second one lets go what is
/// at the place and before it.
pub(super) fn push_after(
    sql: &mut QueryBuilder<Postgres>,
    order: Order,
    place: &Place,
) -> Result<(), StoreError> {
    let key = Key::of(place, order.by)?;
    let (column, _) = sort_column(order);
    if matches!((order.by, order.direction), (SortBy::Username, Direction::Ascending)) {
        sql.push(" and (canonical_username, id) > (");
        key.push(sql);
        sql.push(", ").push_bind(place.id.as_uuid()).push(")");
        return Ok(());
    }
    let (from, beyond) = match order.direction {
        Direction::Ascending => (" >= ", " > "),
        Direction::Descending => (" <= ", " < "),
    };
    sql.push(" and ").push(column).push(from);
    key.push(sql);
    sql.push(" and (").push(column).push(beyond);
    key.push(sql);
    sql.push(" or id > ").push_bind(place.id.as_uuid()).push(")");
    Ok(())
}

fn push_id_after(sql: &mut QueryBuilder<Postgres>, id: UserId) {
    sql.push(" and place > ").push_bind(id.as_uuid());
}

impl<'q> Key<'q> {
    fn of(place: &'q Place, by: SortBy) -> Result<Self, StoreError> {
        match (&place.key, by) {
            (SortKey::Text(text), SortBy::Username) => Ok(Self::Text(text)),
            (SortKey::Number(number), SortBy::Role | SortBy::State) => Ok(Self::Number(*number)),
            (SortKey::Number(micros), SortBy::CreateTime | SortBy::UpdateTime) => {
                from_micros(*micros).map(Self::Time).map_err(|error| StoreError::Broken(error.into()))
            }
            _ => Err(StoreError::Broken("a place of another order".into())),
        }
    }

    fn push(&self, sql: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Text(text) => sql.push_bind((*text).to_owned()),
            Self::Time(time) => sql.push_bind(*time),
            Self::Number(number) => sql.push_bind(small(*number)),
        };
    }
}

/// The names that begin so are a range of the index by names.
pub(super) fn push_prefix(sql: &mut QueryBuilder<Postgres>, prefix: &str) {
    if !prefix.is_empty() {
        sql.push(" and canonical_username >= ").push_bind(prefix.to_owned());
        sql.push(" and canonical_username < ").push_bind(stored::end_of_prefix(prefix));
    }
}

/// Drops the runs before a place and lets the one that it is in begin after it.
fn begin_after<'q>(place: &'q Place, order: Order, runs: &mut Vec<(i64, Run<'q>)>) {
    let value = match (&place.key, order.by) {
        (SortKey::Number(number), SortBy::Role | SortBy::State) => *number,
        _ => 0,
    };
    runs.retain(|(of, _)| match order.direction {
        Direction::Ascending => *of >= value,
        Direction::Descending => *of <= value,
    });
    if let Some((_, run)) = runs.first_mut().filter(|(of, _)| *of == value) {
        run.after = Some(place);
    }
}

/// The roles and states that a filter lets through, each once and in the order of their numbers.
pub(super) fn wanted(filter: &UserFilter) -> (Vec<Role>, Vec<State>) {
    let any_role = filter.roles.is_empty();
    let any_state = filter.states.is_empty();
    (
        Role::ALL.into_iter().filter(|role| any_role || filter.roles.contains(role)).collect(),
        State::ALL.into_iter().filter(|state| any_state || filter.states.contains(state)).collect(),
    )
}

/// Every role in every state.
fn pairs_of(roles: &[Role], states: &[State]) -> Vec<(Role, State)> {
    roles.iter().flat_map(|role| states.iter().map(|state| (*role, *state))).collect()
}
