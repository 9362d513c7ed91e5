//! Who may write the books of a schema on PostgreSQL: its owner, and nobody else.

/// The version from which on a table can be maintained by others than its owner.
const KNOWS_MAINTAIN: u32 = 170_000;

/// The statement that takes from everybody but the owner whatever is more than reading: what was granted on the whole
/// table, on some of its columns (the one goes with the other), and what they have passed on.
pub(super) fn close(version: u32) -> String {
    let maintain = if version >= KNOWS_MAINTAIN { ", maintain" } else { "" };
    format!(
        "do $$
declare
    given record;
begin
    for given in
        select distinct book.oid::regclass as name, granted.grantee
        from pg_class as book
        cross join lateral (
            select of_table.grantee, of_table.privilege_type from aclexplode(book.relacl) as of_table
            union all
            select of_column.grantee, of_column.privilege_type
            from pg_attribute as field, aclexplode(field.attacl) as of_column
            where field.attrelid = book.oid
        ) as granted
        where book.oid in (to_regclass('_sqlx_migrations'), to_regclass('schema_compatibility'))
            and granted.grantee <> book.relowner and granted.privilege_type <> 'SELECT'
    loop
        execute format(
            'revoke insert, update, delete, truncate, references, trigger{maintain} on %s from %s cascade',
            given.name,
            case given.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(given.grantee)) end
        );
    end loop;
end $$"
    )
}

#[cfg(test)]
mod tests {
    use sqlx::{AssertSqlSafe, Row as _};

    use super::close;
    use crate::schema::Bookkeeping as _;
    use crate::testing::TestDatabase;

    #[test]
    fn maintenance_is_taken_away_where_it_exists() {
        let revoked = |version| {
            let statement = close(version);
            statement.lines().find(|line| line.contains("revoke")).expect("it revokes").trim().to_owned()
        };
        assert_eq!(
            revoked(150_018),
            "'revoke insert, update, delete, truncate, references, trigger on %s from %s cascade',"
        );
        assert_eq!(
            revoked(170_000),
            "'revoke insert, update, delete, truncate, references, trigger, maintain on %s from %s cascade',"
        );
    }

    #[tokio::test]
    async fn nobody_but_the_owner_may_write_the_books_whatever_was_granted() {
        let place = TestDatabase::create().await;
        let mut db = place.connect().await;
        let name: String =
            sqlx::query_scalar("select current_database()::text").fetch_one(&mut db).await.unwrap();
        let [some, passed] = ["some", "passed"].map(|role| format!("{name}_{role}"));
        let granted = format!(
            "create role {some}; create role {passed};
             create table _sqlx_migrations (version bigint, success boolean);
             create table schema_compatibility (compatible_from integer);
             grant all on _sqlx_migrations to {some};
             grant select, update (compatible_from), insert (compatible_from) on schema_compatibility to {some}
                 with grant option;
             grant references (compatible_from) on schema_compatibility to public;
             set role {some}; grant update (compatible_from) on schema_compatibility to {passed}; reset role"
        );
        sqlx::raw_sql(AssertSqlSafe(granted)).execute(&mut db).await.unwrap();
        for _ in 0..2 {
            db.close_books().await.unwrap();
        }
        let left = sqlx::query(
            "select pg_get_userbyid(granted.grantee)::text || ' ' || granted.privilege_type as what from (
                 select (aclexplode(relacl)).*, relowner from pg_class
                 where relname in ('_sqlx_migrations', 'schema_compatibility')
                 union all
                 select (aclexplode(attacl)).*, relowner from pg_class join pg_attribute on attrelid = pg_class.oid
                 where relname in ('_sqlx_migrations', 'schema_compatibility')
             ) as granted where grantee <> relowner",
        );
        let left: Vec<String> =
            left.fetch_all(&mut db).await.unwrap().iter().map(|row| row.get("what")).collect();
        let dropped = format!("drop owned by {some}, {passed}; drop role {some}, {passed}");
        sqlx::raw_sql(AssertSqlSafe(dropped)).execute(&mut db).await.unwrap();
        assert_eq!(left, [format!("{some} SELECT"), format!("{some} SELECT")]);
    }
}
