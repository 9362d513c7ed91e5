//! A database of users-service with many users in it, as years of sign-ups would have left them.

use clock::SystemClock;
use database::testing::TestDatabase;
use identity::UserId;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, QueryBuilder};
use users_core::domain::UserKey;
use users_core::ports::{Reader as _, Store as _};
use users_core::queries::{Direction, Order, Place, SortBy, UserFilter};
use users_service::{PgStore, ServedStore as _};
use uuid::Uuid;

/// In a hundred users five are admins, in two thousand one is a super admin; one in ten is inactive. Names and update times
/// are in no order of ids; ids and create times are.
const FILL: &str = "
    insert into users (id, username, canonical_username, role, role_version, role_time, state, create_time,
                       account_update_time, epoch_ordinal, account_version, update_time)
    select (lpad(to_hex(1700000000000 + n::bigint * 7919), 12, '0') || '7' || substr(md5('a' || n), 1, 3)
                || '8' || substr(md5('b' || n), 1, 15))::uuid,
           name, name, role, 1, created, state, created, updated, (select max(ordinal) from feed_epochs), n, updated
    from (
        select n,
               'user' || substr(md5('n' || n), 1, 14) as name,
               case when n % 2000 = 0 then 3 when n % 20 = 0 then 2 else 1 end as role,
               case when (n / 7) % 10 = 0 then 2 else 1 end as state,
               timestamptz '2024-01-01' + n * interval '7.919 seconds' as created,
               timestamptz '2024-06-01' + (hashint4(n) & 2147483647) * interval '37 milliseconds'
                   + n * interval '1 microsecond' as updated
        from generate_series(1, $1) as n
    ) as made";

/// A filled database.
pub(crate) struct Population {
    /// What reads it.
    pub(crate) store: PgStore,
    place: TestDatabase,
}

impl Population {
    /// Makes a database and fills it; takes a minute for each million.
    pub(crate) async fn of(users: u32) -> Self {
        let place = TestDatabase::create().await;
        let store =
            PgStore::open(&place.options(4), None, SystemClock::default(), || None).await.expect("opens");
        store.migrate().await.expect("migrates");
        let mut connection = place.connect().await;
        run(&mut connection, "insert into feed_epochs (epoch) values ('benchmark')").await;
        let fill = sqlx::query(FILL).bind(i32::try_from(users).expect("fits"));
        fill.execute(&mut connection).await.expect("fills");
        run(&mut connection, "vacuum analyze users").await;
        Self { store, place }
    }

    /// How many users a filter lets through.
    pub(crate) async fn count(&self, filter: &UserFilter) -> i64 {
        let mut sql = QueryBuilder::new("select count(*) from users where ");
        push_filter(&mut sql, filter);
        sql.build_query_scalar().fetch_one(&mut self.place.connect().await).await.expect("counts")
    }

    /// The place after so many users of an order, found by passing over all of them.
    pub(crate) async fn place(&self, order: Order, filter: &UserFilter, position: i64) -> Place {
        let mut sql = QueryBuilder::new("select id from users where ");
        push_filter(&mut sql, filter);
        sql.push(" order by ").push(match order.by {
            SortBy::Username => "canonical_username",
            SortBy::Role => "role",
            SortBy::State => "state",
            SortBy::CreateTime => "create_time",
            SortBy::UpdateTime => "update_time",
        });
        sql.push(if order.direction == Direction::Descending { " desc" } else { "" });
        sql.push(", id limit 1 offset ").push_bind(position.max(0));
        let id: Uuid =
            sql.build_query_scalar().fetch_one(&mut self.place.connect().await).await.expect("a user");
        let user = self.store.reader().find_user(&UserKey::Id(UserId::new(id))).await.expect("reads");
        let user = user.expect("the user of this id");
        Place { key: order.by.key(&user), id: user.id, passed_over: 0 }
    }
}

fn push_filter(sql: &mut QueryBuilder<sqlx::Postgres>, filter: &UserFilter) {
    sql.push("true");
    if !filter.roles.is_empty() {
        let roles: Vec<i64> = filter.roles.iter().map(|role| role.number()).collect();
        sql.push(" and role = any(").push_bind(roles).push(")");
    }
    if !filter.states.is_empty() {
        let states: Vec<i64> = filter.states.iter().map(|state| state.number()).collect();
        sql.push(" and state = any(").push_bind(states).push(")");
    }
}

async fn run(connection: &mut PgConnection, statement: &'static str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.expect("runs");
}
