//! The place in the account feed, and the lease of whoever moves it.

use std::time::Duration;

use identity::Epoch;
use users_core::StoreError;
use users_core::domain::{FeedState, Fence, LeaseOwner};
use users_core::ports::FeedRows;
use uuid::Uuid;

use super::{PgTransaction, failed};
use crate::stored;

impl FeedRows for PgTransaction {
    async fn take_lease(
        &mut self,
        owner: LeaseOwner,
        lifetime: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let taken = sqlx::query_scalar(
            "update feed set
                 fence = fence + (lease_owner is distinct from $1 or lease_expire_time <= clock.now)::integer,
                 lease_owner = $1,
                 lease_expire_time = clock.now + $3 * interval '1 microsecond'
             from (select clock_timestamp() + $2 * interval '1 microsecond' as now) as clock
             where lease_owner is null or lease_owner = $1 or lease_expire_time <= clock.now
             returning fence",
        )
        .bind(Uuid::from_bytes(owner.0))
        .bind(self.clock.offset_micros())
        .bind(i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX))
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(taken.map(Fence))
    }

    async fn release_lease(&mut self, owner: LeaseOwner) -> Result<(), StoreError> {
        sqlx::query("update feed set lease_owner = null where lease_owner = $1")
            .bind(Uuid::from_bytes(owner.0))
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn feed_state(&mut self) -> Result<FeedState, StoreError> {
        let (cursor, epoch, snapshot_done): (String, Option<String>, bool) =
            sqlx::query_as("select cursor, epoch, snapshot_done from feed")
                .fetch_one(&mut *self.tx)
                .await
                .map_err(failed)?;
        let epoch = epoch.map(|text| stored::epoch(&text, "feed")).transpose()?;
        Ok(FeedState { cursor, epoch, snapshot_done })
    }

    async fn move_feed(&mut self, fence: Fence, state: &FeedState) -> Result<bool, StoreError> {
        let moved =
            sqlx::query("update feed set cursor = $2, epoch = $3, snapshot_done = $4 where fence = $1")
                .bind(fence.0)
                .bind(&state.cursor)
                .bind(state.epoch.as_ref().map(Epoch::as_str))
                .bind(state.snapshot_done)
                .execute(&mut *self.tx)
                .await
                .map_err(failed)?;
        Ok(moved.rows_affected() > 0)
    }
}
