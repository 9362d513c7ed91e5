//! Lists of more users than may be looked at for one page.

use database::testing::TestDatabase;
use identity::{PageSize, UserId, UsernamePrefix};
use users_core::domain::{Role, State};
use users_core::ports::{Reader as _, Store as _};
use users_core::queries::{Direction, ListUsers, Order, SortBy, UserFilter, UserPage};
use users_service::PgStore;

use crate::store_contract::engines;

/// Users of whom every third has a name that begins with `many`, and seven with `few`.
const USERS: i32 = 16_000;

pub(super) async fn fill(database: &TestDatabase, users: i32) {
    let mut connection = database.connect().await;
    sqlx::raw_sql("insert into feed_epochs (epoch) values ('e1')").execute(&mut connection).await.unwrap();
    sqlx::query(
        "insert into users (id, username, canonical_username, role, role_version, role_time, state, create_time,
             account_update_time, epoch_ordinal, account_version, update_time)
         select md5(n::text)::uuid, name, name, 1 + (n % 20 = 19)::int + (n % 1000 = 999)::int, 1, time,
             1 + (n % 10 = 9)::int, time, time, ordinal, n, time + (n * 7919 % 1003) * interval '1 second'
         from generate_series(1, $1) as n, feed_epochs,
             lateral (select case when n % 3 = 0 then 'many' when n % 2200 = 1 then 'fewof' else 'other' end
                 || n as name, '2026-01-01'::timestamptz + n / 2 * interval '1 second' as time) as made",
    )
    .bind(users)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::raw_sql("vacuum analyze").execute(&mut connection).await.unwrap();
}

fn query(by: SortBy, direction: Direction, prefix: &str, page_size: i32) -> ListUsers {
    ListUsers {
        order: Order { by, direction },
        filter: UserFilter { roles: vec![], states: vec![], prefix: UsernamePrefix::parse(prefix).unwrap() },
        after: None,
        skip: 0,
        page_size: PageSize::parse(page_size).unwrap(),
        include_total: false,
    }
}

async fn list(store: &PgStore, query: &ListUsers) -> UserPage {
    store.reader().list_users(query).await.unwrap()
}

/// All pages of a list, one after the other.
async fn walk(store: &PgStore, mut query: ListUsers) -> (Vec<UserId>, usize) {
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = list(store, &query).await;
        pages += 1;
        seen.extend(page.users.iter().map(|user| user.id));
        query.after = page.next;
        if query.after.is_none() {
            return (seen, pages);
        }
    }
}

/// Every way to a page that only a long list has: those of a frequent and of a rare prefix, of passing over many, and of
/// a total that is an estimate.
pub(super) async fn every_way() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    for by in SortBy::ALL {
        for direction in [Direction::Ascending, Direction::Descending] {
            for prefix in ["", "many", "few"] {
                let first = ListUsers { include_total: true, ..query(by, direction, prefix, 10) };
                let after = list(&store, &first).await.next;
                list(&store, &ListUsers { after, skip: 4_000, ..first }).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frequent_prefix_in_any_order_lists_everybody_once_in_pages_that_may_be_short() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    for by in [SortBy::Role, SortBy::State, SortBy::CreateTime, SortBy::UpdateTime] {
        for direction in [Direction::Ascending, Direction::Descending] {
            // Sorted by hand from a list that is in no need of it.
            let (names, _) = walk(&store, query(SortBy::Username, Direction::Ascending, "many", 1000)).await;
            let (all, _) = walk(&store, query(by, direction, "", 1000)).await;
            let expected: Vec<_> = all.into_iter().filter(|id| names.contains(id)).collect();
            let (seen, pages) = walk(&store, query(by, direction, "many", 1000)).await;
            assert_eq!(seen, expected, "{by:?} {direction:?}");
            assert!(pages >= 6, "{pages}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rare_prefix_is_read_whole_and_sorted() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    let (seen, pages) = walk(&store, query(SortBy::UpdateTime, Direction::Descending, "FEW", 2)).await;
    assert_eq!(seen.len(), 6);
    assert_eq!(pages, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_passed_over_across_pages_that_had_to_end_before() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    let order = |prefix| query(SortBy::CreateTime, Direction::Descending, prefix, 10);
    let (all, _) =
        walk(&store, ListUsers { page_size: PageSize::parse(1000).unwrap(), ..order("many") }).await;
    let mut query = ListUsers { skip: 4_000, ..order("many") };
    let mut empty = 0;
    let page = loop {
        let page = list(&store, &query).await;
        if !page.users.is_empty() {
            break page;
        }
        empty += 1;
        query.after = Some(page.next.expect("there are more"));
    };
    assert!(empty > 0, "4,000 of a third were looked for among 4,900 at a time");
    let ids: Vec<_> = page.users.iter().map(|user| user.id).collect();
    assert_eq!(ids, all[4_000..4_010]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_is_exact_as_far_as_it_is_counted_and_near_beyond() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    let total = async |roles: Vec<Role>, states: Vec<State>, prefix| {
        let query = query(SortBy::Username, Direction::Ascending, prefix, 1);
        let filter = UserFilter { roles, states, ..query.filter };
        list(&store, &ListUsers { filter, include_total: true, ..query }).await.total.unwrap()
    };
    assert_eq!(total(vec![Role::Admin], vec![], "").await, 784);
    assert_eq!(total(vec![], vec![State::Inactive], "").await, 1_600);
    assert_eq!(total(vec![], vec![], "many").await, 5_333);
    assert_eq!(total(vec![], vec![], "fewof").await, 6);
    let everybody = total(vec![], vec![], "").await;
    assert!((14_000..=18_000).contains(&everybody), "{everybody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_by_role_passes_over_whole_roles() {
    let (store, database) = engines::postgres().await;
    fill(&database, USERS).await;
    let (all, _) = walk(&store, query(SortBy::Role, Direction::Descending, "", 1000)).await;
    let passed = query(SortBy::Role, Direction::Descending, "", 10);
    let page = list(&store, &ListUsers { skip: 2_000, ..passed }).await;
    let ids: Vec<_> = page.users.iter().map(|user| user.id).collect();
    assert_eq!(ids, all[2_000..2_010]);
}
