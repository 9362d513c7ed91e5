//! Lists users. Admins may.
//!
//! Keyset pagination: a page begins after the sort key and id of the last user of the page before, so it costs the same
//! however deep it is, and users who come or go meanwhile shift nothing.

use fail_point::mutant;
use identity::{PageSize, UserId, UsernamePrefix};

use crate::commands::{CaughtUp, Command};
use crate::domain::{Permission, Role, State, User};
use crate::error::Error;
use crate::ports::{Ports, Reader as _};
use crate::queries::Context;

/// The most users that a request may pass over.
pub const MAX_SKIP: u16 = 10_000;

/// Asks for a page of users.
#[derive(Clone, Debug)]
pub struct ListUsers {
    /// In which order.
    pub order: Order,
    /// Which of them.
    pub filter: UserFilter,
    /// After which place; none begins with the first.
    pub after: Option<Place>,
    /// How many to pass over from there.
    pub skip: u16,
    /// How many at most.
    pub page_size: PageSize,
    /// Whether to count all that match.
    pub include_total: bool,
}

impl Command for ListUsers {
    const NEEDS: Permission = Permission::AdministerUsers;
}

/// An order of users. Users with the same key are in ascending order of their ids, whatever the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: SortBy,
    /// Which way.
    pub direction: Direction,
}

/// What users are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// The canonical username, byte by byte.
    Username,
    /// The role's number.
    Role,
    /// The state's number.
    State,
    /// When the account was registered.
    CreateTime,
    /// When the user last changed.
    UpdateTime,
}

/// Which way users are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The smallest first.
    Ascending,
    /// The greatest first.
    Descending,
}

impl SortBy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Username, Self::Role, Self::State, Self::CreateTime, Self::UpdateTime];

    /// What a user is sorted by.
    #[must_use]
    pub fn key(self, user: &User) -> SortKey {
        match self {
            Self::Username => SortKey::Text(user.username.canonical().to_owned()),
            Self::Role => SortKey::Number(user.role.number()),
            Self::State => SortKey::Number(user.state.number()),
            Self::CreateTime => SortKey::Number(user.create_time.timestamp_micros()),
            Self::UpdateTime => SortKey::Number(user.update_time.timestamp_micros()),
        }
    }
}

/// The value of what a user is sorted by; times in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// A number or a time.
    Number(i64),
    /// A text.
    Text(String),
}

/// A place between two users of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sort key of the user before it.
    pub key: SortKey,
    /// The id of the user before it.
    pub id: UserId,
    /// How many users the query has passed over before it: a store that looked at many in vain may stop on the way.
    pub passed_over: u16,
}

/// Which users are listed. An empty filter lets everybody through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFilter {
    /// Those with one of these roles.
    pub roles: Vec<Role>,
    /// Those in one of these states.
    pub states: Vec<State>,
    /// Those whose canonical username begins so.
    pub prefix: UsernamePrefix,
}

/// A page of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// Where the next page begins; none when there are no more. A page that is not full may have one too, after a store
    /// has looked at as many users as it may for one page.
    pub next: Option<Place>,
    /// How many match on all pages, when it was asked for; up to 10,000 it is exact, beyond that it may be an estimate.
    pub total: Option<i64>,
}

impl UserPage {
    /// Makes a page of what a store found when it looked for one user more than fit.
    #[must_use]
    pub fn new(query: &ListUsers, mut found: Vec<User>, total: Option<i64>) -> Self {
        let size = usize::from(query.page_size.get());
        let more = found.len() > size;
        found.truncate(size);
        // A defect: the next page begins with the last of this one.
        let from_last = usize::from(mutant("list_users.pages_overlap"));
        let last = found.iter().rev().nth(from_last).filter(|_| more);
        let next = last.map(|user| Place { key: query.order.by.key(user), id: user.id, passed_over: 0 });
        Self { users: found, next, total }
    }
}

impl ListUsers {
    /// Reads a page.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, caught_up: &CaughtUp) -> Result<UserPage, Error> {
        let mut page = cx.reader(caught_up).await.list_users(&self).await?;
        // A defect: not everybody is listed.
        if mutant("list_users.leaves_out_super_admins") {
            page.users.retain(|user| user.role != Role::SuperAdmin);
        }
        Ok(page)
    }

    /// How many users are still to be passed over from the place where this page begins.
    #[must_use]
    pub fn to_pass_over(&self) -> u16 {
        self.skip.saturating_sub(self.after.as_ref().map_or(0, |place| place.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    fn by_name(page_size: i32) -> ListUsers {
        ListUsers {
            order: Order { by: SortBy::Username, direction: Direction::Ascending },
            filter: UserFilter {
                roles: Vec::new(),
                states: Vec::new(),
                prefix: UsernamePrefix::parse("").unwrap(),
            },
            after: None,
            skip: 0,
            page_size: PageSize::parse(page_size).unwrap(),
            include_total: true,
        }
    }

    #[tokio::test]
    async fn pages_follow_each_other_until_there_are_no_more() {
        let world = World::new();
        for name in ["carol", "Alice", "bobby"] {
            world.user(name, Role::User).await;
        }
        let first = by_name(2).execute(&world.queries(), &world.caught_up().await).await.unwrap();
        let names: Vec<_> = first.users.iter().map(|user| user.username.as_str()).collect();
        assert_eq!((names, first.total), (vec!["Alice", "bobby"], Some(3)));
        let rest = ListUsers { after: first.next, ..by_name(2) };
        let rest = rest.execute(&world.queries(), &world.caught_up().await).await.unwrap();
        assert_eq!((rest.users.len(), rest.next), (1, None));
    }
}
