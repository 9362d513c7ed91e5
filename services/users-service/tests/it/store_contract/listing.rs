//! Lists of users: the same order, pages and filters on every engine.

use identity::{PageSize, UserId, UsernamePrefix};
use users_core::domain::{Account, Role, State, User};
use users_core::ports::{Reader as _, Reservations as _, Store, Transaction as _, UserRows as _};
use users_core::queries::{Direction, ListUsers, Order, SortBy, UserFilter, UserPage};
use users_core::testing::a_time;

use super::{account, id};

/// Names whose order shows whether it is by canonical form and bytewise: `-` < `.` < digits < `_` < letters.
const NAMES: [&str; 12] = [
    "Zelda", "alice", "Bobby", "a-lice", "a.lice", "a_lice", "a1lice", "alice2", "ALICE3", "bobby2", "carol",
    "Carol9",
];

/// Twelve users with few different roles, states and times, so that there are ties.
async fn fill<S: Store>(store: &S) {
    let mut tx = store.begin().await.unwrap();
    for (number, name) in (0_u64..).zip(NAMES) {
        // Ids do not run with the names' order.
        let id = id(100 - number * 7 % 12);
        tx.reserve(id, Role::ALL[usize::try_from(number % 3).unwrap()]).await.unwrap();
        let seconds = i64::try_from(number % 4).unwrap();
        let state = if number % 2 == 0 { State::Active } else { State::Inactive };
        let version = i64::try_from(number).unwrap() + 1;
        let account = Account {
            id,
            state,
            create_time: a_time(seconds),
            update_time: a_time(100 - seconds),
            ..account(0, name, "e1", version)
        };
        tx.apply_account(&account).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn query(by: SortBy, direction: Direction, page_size: i32) -> ListUsers {
    ListUsers {
        order: Order { by, direction },
        filter: UserFilter { roles: vec![], states: vec![], prefix: UsernamePrefix::parse("").unwrap() },
        after: None,
        skip: 0,
        page_size: PageSize::parse(page_size).unwrap(),
        include_total: true,
    }
}

fn by_name() -> ListUsers {
    query(SortBy::Username, Direction::Ascending, 100)
}

fn orders() -> impl Iterator<Item = (SortBy, Direction)> {
    SortBy::ALL.into_iter().flat_map(|by| [(by, Direction::Ascending), (by, Direction::Descending)])
}

async fn list<S: Store>(store: &S, query: &ListUsers) -> UserPage {
    store.reader().list_users(query).await.unwrap()
}

fn ids(users: &[User]) -> Vec<UserId> {
    users.iter().map(|user| user.id).collect()
}

fn names(page: &UserPage) -> Vec<&str> {
    page.users.iter().map(|user| user.username.as_str()).collect()
}

pub(super) async fn every_order_lists_everybody_once_in_order<S: Store>(store: &S) {
    fill(store).await;
    for (by, direction) in orders() {
        let users = list(store, &query(by, direction, 100)).await.users;
        assert_eq!(users.len(), NAMES.len());
        for pair in users.windows(2) {
            let keys = by.key(&pair[0]).cmp(&by.key(&pair[1]));
            let keys = if direction == Direction::Descending { keys.reverse() } else { keys };
            assert!(keys.then(pair[0].id.cmp(&pair[1].id)).is_lt(), "{by:?} {direction:?}");
        }
    }
    let sorted = [
        "a-lice", "a.lice", "a1lice", "a_lice", "alice", "alice2", "ALICE3", "Bobby", "bobby2", "carol",
        "Carol9", "Zelda",
    ];
    assert_eq!(names(&list(store, &by_name()).await), sorted);
}

pub(super) async fn pages_follow_each_other_in_every_order_and_every_size<S: Store>(store: &S) {
    fill(store).await;
    for (by, direction) in orders() {
        let all = ids(&list(store, &query(by, direction, 100)).await.users);
        for size in [1, 3, 5, 12] {
            let mut seen = Vec::new();
            let mut query = query(by, direction, size);
            loop {
                let page = list(store, &query).await;
                assert_eq!(page.total, Some(12));
                seen.extend(ids(&page.users));
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all, "{by:?} {direction:?} {size}");
        }
    }
}

pub(super) async fn filters_narrow_the_list_and_the_total<S: Store>(store: &S) {
    fill(store).await;
    let count = async |roles: Vec<Role>, states: Vec<State>| {
        let query = ListUsers { filter: UserFilter { roles, states, ..by_name().filter }, ..by_name() };
        let page = list(store, &query).await;
        assert_eq!(page.total, Some(i64::try_from(page.users.len()).unwrap()));
        page.users.len()
    };
    assert_eq!(count(vec![], vec![]).await, 12);
    assert_eq!(count(vec![Role::Admin], vec![]).await, 4);
    assert_eq!(count(vec![Role::Admin, Role::SuperAdmin], vec![]).await, 8);
    assert_eq!(count(vec![], vec![State::Inactive]).await, 6);
    assert_eq!(count(vec![Role::User], vec![State::Active]).await, 2);
    assert_eq!(count(vec![], State::ALL.to_vec()).await, 12);
    let uncounted = ListUsers { include_total: false, ..by_name() };
    assert_eq!(list(store, &uncounted).await.total, None);
}

pub(super) async fn a_prefix_is_a_prefix_and_nothing_more<S: Store>(store: &S) {
    fill(store).await;
    for (prefix, expected) in [
        ("ALI", vec!["alice", "alice2", "ALICE3"]),
        ("alice", vec!["alice", "alice2", "ALICE3"]),
        ("a_", vec!["a_lice"]),
        ("a.", vec!["a.lice"]),
        ("z", vec!["Zelda"]),
        ("lice", vec![]),
        ("alicex", vec![]),
    ] {
        let prefix = UsernamePrefix::parse(prefix).unwrap();
        let query = ListUsers { filter: UserFilter { prefix, ..by_name().filter }, ..by_name() };
        assert_eq!(names(&list(store, &query).await), expected);
    }
}

pub(super) async fn users_can_be_passed_over<S: Store>(store: &S) {
    fill(store).await;
    let all = ids(&list(store, &by_name()).await.users);
    let page = list(store, &ListUsers { skip: 5, page_size: PageSize::parse(2).unwrap(), ..by_name() }).await;
    assert_eq!(ids(&page.users), all[5..7]);
    let further = list(store, &ListUsers { after: page.next, skip: 1, ..by_name() }).await;
    assert_eq!(ids(&further.users), all[8..]);
    let beyond = list(store, &ListUsers { skip: 10_000, ..by_name() }).await;
    assert_eq!((beyond.users.len(), beyond.next, beyond.total), (0, None, Some(12)));
}

pub(super) async fn the_last_page_has_no_next<S: Store>(store: &S) {
    assert_eq!(list(store, &by_name()).await, UserPage { users: vec![], next: None, total: Some(0) });
    fill(store).await;
    assert_eq!(list(store, &query(SortBy::Role, Direction::Descending, 12)).await.next, None);
    assert!(list(store, &query(SortBy::Role, Direction::Descending, 11)).await.next.is_some());
}

/// The filters that a list may have, the users that they let through, and whether there are any.
fn filters() -> Vec<UserFilter> {
    let prefix = |text| UsernamePrefix::parse(text).unwrap();
    let filter = |roles: &[Role], states: &[State], text| UserFilter {
        roles: roles.to_vec(),
        states: states.to_vec(),
        prefix: prefix(text),
    };
    vec![
        filter(&[], &[], ""),
        filter(&[Role::User], &[], ""),
        filter(&[], &[State::Inactive], ""),
        filter(&[Role::SuperAdmin, Role::User, Role::User], &[], ""),
        filter(&[], &State::ALL, ""),
        filter(&[Role::Admin, Role::SuperAdmin], &[State::Active], ""),
        filter(&[], &[], "A"),
        filter(&[Role::Admin], &[], "a"),
        filter(&[Role::SuperAdmin], &[State::Active], "none"),
    ]
}

/// What a list is by its definition.
fn model(everybody: &[User], query: &ListUsers) -> Vec<UserId> {
    let UserFilter { roles, states, prefix } = &query.filter;
    let Order { by, direction } = query.order;
    let mut users: Vec<&User> = everybody
        .iter()
        .filter(|user| roles.is_empty() || roles.contains(&user.role))
        .filter(|user| states.is_empty() || states.contains(&user.state))
        .filter(|user| user.username.canonical().starts_with(prefix.canonical()))
        .collect();
    users.sort_by_key(|user| user.id);
    users.sort_by(|a, b| match direction {
        Direction::Ascending => by.key(a).cmp(&by.key(b)),
        Direction::Descending => by.key(b).cmp(&by.key(a)),
    });
    users.into_iter().map(|user| user.id).collect()
}

pub(super) async fn every_combination_is_listed_page_by_page_as_it_is_defined<S: Store>(store: &S) {
    fill(store).await;
    let everybody = list(store, &by_name()).await.users;
    for ((by, direction), filter) in orders().flat_map(|order| filters().into_iter().map(move |f| (order, f)))
    {
        for (size, skip) in [(1, 0), (3, 0), (2, 1), (3, 5)] {
            let mut query = ListUsers { filter: filter.clone(), skip, ..query(by, direction, size) };
            let all = model(&everybody, &query);
            let mut rest = all.as_slice();
            loop {
                let page = list(store, &query).await;
                rest = &rest[usize::from(skip).min(rest.len())..];
                let (expected, after) = rest.split_at(usize::try_from(size).unwrap().min(rest.len()));
                assert_eq!(ids(&page.users), expected, "{query:?}");
                assert_eq!(page.total, Some(i64::try_from(all.len()).unwrap()));
                assert_eq!(page.next.is_some(), !after.is_empty(), "{query:?}");
                rest = after;
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
        }
    }
}
