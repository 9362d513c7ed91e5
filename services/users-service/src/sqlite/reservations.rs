//! Ids that were given out.

use database::time::to_micros;
use identity::{Timestamp, UserId};
use users_core::StoreError;
use users_core::domain::Role;
use users_core::ports::Reservations;

use super::{SqliteTransaction, failed, row};

impl Reservations for SqliteTransaction {
    async fn reserve(&mut self, id: UserId, role: Role) -> Result<(), StoreError> {
        let now = to_micros(self.time());
        sqlx::query(
            "insert into reservations (user_id, role, create_time)
             select $1, $2, $3 where not exists (select 1 from users where id = $1)
             on conflict (user_id) do update set role = excluded.role, create_time = excluded.create_time",
        )
        .bind(id.as_bytes().as_slice())
        .bind(role.number())
        .bind(now)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn give_up(&mut self, id: UserId) -> Result<(), StoreError> {
        for statement in [
            "delete from reservations where user_id = $1 and not exists (select 1 from users where id = $1)",
            "delete from requests where user_id = $1 and not exists (select 1 from users where id = $1)",
        ] {
            sqlx::query(statement)
                .bind(id.as_bytes().as_slice())
                .execute(&mut *self.tx)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn reservations_before(&mut self, time: Timestamp, limit: u16) -> Result<Vec<UserId>, StoreError> {
        let found: Vec<Vec<u8>> = sqlx::query_scalar(
            "select user_id from reservations where create_time < $1 order by create_time, user_id limit $2",
        )
        .bind(to_micros(time))
        .bind(limit)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(failed)?;
        found.iter().map(|bytes| row::id(bytes, "reservations", "user_id")).collect()
    }

    async fn delete_reservation_before(&mut self, id: UserId, time: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from reservations where user_id = $1 and create_time < $2")
            .bind(id.as_bytes().as_slice())
            .bind(to_micros(time))
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
