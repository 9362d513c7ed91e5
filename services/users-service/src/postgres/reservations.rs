//! Ids that were given out.

use identity::{Timestamp, UserId};
use users_core::StoreError;
use users_core::domain::Role;
use users_core::ports::Reservations;
use uuid::Uuid;

use super::row::small;
use super::{PgTransaction, failed};

impl Reservations for PgTransaction {
    async fn reserve(&mut self, id: UserId, role: Role) -> Result<(), StoreError> {
        sqlx::query(
            "insert into reservations (user_id, role, create_time)
             select $1, $2, clock_timestamp() + $3 * interval '1 microsecond'
             where not exists (select 1 from users where id = $1)
             on conflict (user_id) do update set role = excluded.role, create_time = excluded.create_time",
        )
        .bind(id.as_uuid())
        .bind(small(role.number()))
        .bind(self.clock.offset_micros())
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn give_up(&mut self, id: UserId) -> Result<(), StoreError> {
        // The request first: that is the order in which both are claimed.
        for statement in [
            "delete from requests where user_id = $1 and not exists (select 1 from users where id = $1)",
            "delete from reservations where user_id = $1 and not exists (select 1 from users where id = $1)",
        ] {
            sqlx::query(statement).bind(id.as_uuid()).execute(&mut *self.tx).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn reservations_before(&mut self, time: Timestamp, limit: u16) -> Result<Vec<UserId>, StoreError> {
        let found: Vec<Uuid> = sqlx::query_scalar(
            "select user_id from reservations where create_time < $1 order by create_time, user_id limit $2",
        )
        .bind(time)
        .bind(i64::from(limit))
        .fetch_all(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(found.into_iter().map(UserId::new).collect())
    }

    async fn delete_reservation_before(&mut self, id: UserId, time: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from reservations where user_id = $1 and create_time < $2")
            .bind(id.as_uuid())
            .bind(time)
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
