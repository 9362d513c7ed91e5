//! Users: the projection of accounts, and the roles.
//!
//! What locks a user joins nothing, and the user is read by a statement after it: a row that was changed while its lock was
//! waited for is joined with what the others were before, and lost if they do not fit any more.

use database::postgres::Connection;
use identity::{AccountVersion, Epoch, UserId};
use users_core::StoreError;
use users_core::domain::{Account, Role, State, User, UserKey};
use users_core::ports::{Roles, UserRows};
use uuid::Uuid;

use super::row::{UserRow, columns, small};
use super::{PgTransaction, failed};

/// The user by id, or the one of the newest epoch by username: every role and every state is named, because the index
/// begins with them.
macro_rules! select_user {
    (by id) => {
        concat!(
            "select ",
            columns!(),
            ", feed_epochs.epoch from users
             join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
             where users.id = $1"
        )
    };
    (by username) => {
        concat!(
            "select ",
            columns!(),
            ", feed_epochs.epoch from users
             join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
             where users.role = any ('{1, 2, 3}') and users.state = any ('{1, 2}')
                 and users.canonical_username = $1
             order by users.epoch_ordinal desc, users.account_version desc limit 1"
        )
    };
}

pub(super) async fn find(db: &mut Connection, key: &UserKey) -> Result<Option<UserRow>, sqlx::Error> {
    match key {
        UserKey::Id(id) => sqlx::query_as(select_user!(by id)).bind(id.as_uuid()).fetch_optional(db).await,
        UserKey::Username(username) => {
            sqlx::query_as(select_user!(by username)).bind(username.canonical()).fetch_optional(db).await
        }
    }
}

pub(super) async fn has_reached(
    db: &mut Connection,
    id: UserId,
    version: &AccountVersion,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select 1 from users, feed_epochs
             where users.id = $1 and feed_epochs.epoch = $2
                 and (users.epoch_ordinal, users.account_version) >= (feed_epochs.ordinal, $3)
         )",
    )
    .bind(id.as_uuid())
    .bind(version.epoch.as_str())
    .bind(version.number)
    .fetch_one(db)
    .await
}

pub(super) async fn has_role_version(
    db: &mut Connection,
    id: UserId,
    version: i64,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select 1 from users where id = $1 and role_version >= $2)")
        .bind(id.as_uuid())
        .bind(version)
        .fetch_one(db)
        .await
}

impl UserRows for PgTransaction {
    async fn lock_user(&mut self, key: &UserKey) -> Result<Option<User>, StoreError> {
        let id = match key {
            UserKey::Id(id) => id.as_uuid(),
            UserKey::Username(_) => match find(&mut self.tx, key).await.map_err(failed)? {
                Some(found) => found.id,
                None => return Ok(None),
            },
        };
        let locked = sqlx::query("select from users where id = $1 for no key update")
            .bind(id)
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        if locked.rows_affected() == 0 {
            return Ok(None);
        }
        find(&mut self.tx, &UserKey::Id(UserId::new(id)))
            .await
            .map_err(failed)?
            .map(User::try_from)
            .transpose()
    }

    async fn apply_accounts(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        if self.apply(accounts).await? {
            return Ok(());
        }
        // An epoch was met for the first time. Whichever replica is the first to say so gives it its place.
        let epochs: Vec<&str> = accounts.iter().map(|account| account.version.epoch.as_str()).collect();
        self.meet(&epochs).await?;
        if self.apply(accounts).await? {
            Ok(())
        } else {
            Err(StoreError::Broken("an epoch was met and is unknown".into()))
        }
    }

    async fn retire_users_before(
        &mut self,
        epoch: &Epoch,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Option<UserId>, StoreError> {
        self.meet(&[epoch.as_str()]).await?;
        let last: Option<Uuid> = sqlx::query_scalar(
            "with present as materialized (select ordinal from feed_epochs where epoch = $1),
             slice as materialized (select id, epoch_ordinal from users where id > $2 order by id limit $3),
             gone as materialized (
                 select id from users
                 where id = any (array(
                     select id from slice where epoch_ordinal < (select ordinal from present)
                 )) and epoch_ordinal < (select ordinal from present)
                 order by id for no key update
             ),
             retired as (
                 update users set
                     state = $4,
                     epoch_ordinal = (select ordinal from present),
                     account_version = 0,
                     update_time = greatest(
                         update_time, clock_timestamp() + $5 * interval '1 microsecond'
                     )
                 where id = any (array(select id from gone))
             )
             select id from slice where (select count(*) from slice) = $3 order by id desc limit 1",
        )
        .bind(epoch.as_str())
        .bind(after.map_or(Uuid::nil(), |id| id.as_uuid()))
        .bind(i64::from(limit))
        .bind(small(State::Inactive.number()))
        .bind(self.clock.offset_micros())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(last.map(UserId::new))
    }
}

impl PgTransaction {
    /// Applies all of them in one statement; false, and some may be left out, when an epoch is not known yet. The
    /// reservations go after the users are written, since the deletion looks at what was applied.
    async fn apply(&mut self, accounts: &[Account]) -> Result<bool, StoreError> {
        let column = |value: fn(&Account) -> &str| accounts.iter().map(value).collect::<Vec<_>>();
        sqlx::query_scalar(
            "with given as materialized (
                 select * from unnest(
                     $1::uuid[], $2::text[], $3::text[], $4::smallint[],
                     $5::timestamptz[], $6::timestamptz[], $7::text[], $8::bigint[]
                 ) as given (
                     id, username, canonical_username, state, create_time, update_time, epoch, version
                 )
             ),
             applied as (
                 insert into users (id, username, canonical_username, role, role_version, role_time, state,
                     create_time, account_update_time, epoch_ordinal, account_version, update_time)
                 select given.id, given.username, given.canonical_username, coalesce(reservations.role, $9), 1,
                     given.create_time, given.state, given.create_time, given.update_time,
                     feed_epochs.ordinal, given.version, given.update_time
                 from given
                 join feed_epochs on feed_epochs.epoch = given.epoch
                 left join reservations on reservations.user_id = given.id
                 order by given.id
                 on conflict (id) do update set
                     username = excluded.username,
                     canonical_username = excluded.canonical_username,
                     state = excluded.state,
                     create_time = excluded.create_time,
                     account_update_time = excluded.account_update_time,
                     epoch_ordinal = excluded.epoch_ordinal,
                     account_version = excluded.account_version,
                     update_time = greatest(users.update_time, excluded.update_time)
                 where (excluded.epoch_ordinal, excluded.account_version)
                     > (users.epoch_ordinal, users.account_version)
                 returning id
             ),
             used_up as (
                 delete from reservations
                 where user_id in (
                     select given.id from given join feed_epochs on feed_epochs.epoch = given.epoch
                 ) and (select count(*) from applied) >= 0
             )
             select count(*) = 0 from given
             where not exists (select 1 from feed_epochs where feed_epochs.epoch = given.epoch)",
        )
        .bind(accounts.iter().map(|account| account.id.as_uuid()).collect::<Vec<_>>())
        .bind(column(|account| account.username.as_str()))
        .bind(column(|account| account.username.canonical()))
        .bind(accounts.iter().map(|account| small(account.state.number())).collect::<Vec<_>>())
        .bind(accounts.iter().map(|account| account.create_time).collect::<Vec<_>>())
        .bind(accounts.iter().map(|account| account.update_time).collect::<Vec<_>>())
        .bind(column(|account| account.version.epoch.as_str()))
        .bind(accounts.iter().map(|account| account.version.number).collect::<Vec<_>>())
        .bind(small(Role::User.number()))
        .fetch_one(&mut *self.tx)
        .await
        .map_err(failed)
    }

    /// Gives epochs that were never seen before a place after all others. Does not write where all are known.
    async fn meet(&mut self, epochs: &[&str]) -> Result<(), StoreError> {
        sqlx::query(
            "insert into feed_epochs (epoch)
             select distinct epoch from unnest($1::text[]) as given (epoch)
             where not exists (select 1 from feed_epochs where feed_epochs.epoch = given.epoch)
             on conflict (epoch) do nothing",
        )
        .bind(epochs)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }
}

impl Roles for PgTransaction {
    async fn update_role(&mut self, user: &User) -> Result<(), StoreError> {
        sqlx::query(
            "update users set role = $2, role_version = $3, role_time = $4, update_time = $5 where id = $1",
        )
        .bind(user.id.as_uuid())
        .bind(small(user.role.number()))
        .bind(user.role_version)
        .bind(user.role_time)
        .bind(user.update_time)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    /// The role is written out: the planner has to know that it is one that few have.
    async fn lock_super_admins(&mut self) -> Result<Vec<User>, StoreError> {
        sqlx::query(
            "select from users where role = 3 and state = any ('{1, 2}') order by id for no key update",
        )
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        let found: Vec<UserRow> = sqlx::query_as(concat!(
            "select ",
            columns!(),
            ", feed_epochs.epoch from users
             join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
             where users.role = 3 and users.state = any ('{1, 2}') order by users.id",
        ))
        .fetch_all(&mut *self.tx)
        .await
        .map_err(failed)?;
        found.into_iter().map(User::try_from).collect()
    }
}
