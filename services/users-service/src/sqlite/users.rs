//! Users: the projection of accounts, and the roles.

use database::sqlite::{NotAtOnce, Parameter, Sqlite};
use database::time::to_micros;
use identity::{AccountVersion, ConsistencyToken, Epoch, UserId};
use sqlx::{SqliteExecutor, SqlitePool};
use users_core::StoreError;
use users_core::domain::{Account, Role, State, User, UserKey};
use users_core::ports::{Reader, Roles, UserRows};
use users_core::queries::{ListUsers, UserPage};

use super::row::{self, UserRow};
use super::{SqliteReader, SqliteTransaction, failed, list_users};

impl Reader for SqliteReader {
    async fn at_least(&self, _: &ConsistencyToken) -> Self {
        self.clone()
    }

    fn primary(&self) -> Self {
        self.clone()
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        match key {
            UserKey::Id(id) => by_id(&self.0, *id).await,
            UserKey::Username(_) => find(self.0.reader(), key).await,
        }
    }

    async fn list_users(&self, query: &ListUsers) -> Result<UserPage, StoreError> {
        list_users::page(self.0.reader(), query).await
    }
}

/// The columns in the order of [`UserRow`], and not `users.*`: they are read by their number as well.
const BY_ID: &str =
    "select users.id, username, role, role_version, role_time, state, create_time, account_update_time,
            feed_epochs.epoch, account_version, update_time
     from users join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
     where users.id = $1";

/// The role of a caller: every call begins with it, so it is read at once where that is possible.
async fn by_id(db: &Sqlite, id: UserId) -> Result<Option<User>, StoreError> {
    let parameters = [Parameter::Blob(id.as_bytes())];
    match db.read_at_once(BY_ID, &parameters, UserRow::at) {
        Ok(found) => found.map(User::try_from).transpose(),
        Err(NotAtOnce) => find(db.reader(), &UserKey::Id(id)).await,
    }
}

async fn find(executor: impl SqliteExecutor<'_>, key: &UserKey) -> Result<Option<User>, StoreError> {
    let found = match key {
        UserKey::Id(id) => {
            sqlx::query_as::<_, UserRow>(BY_ID).bind(id.as_bytes().as_slice()).fetch_optional(executor).await
        }
        UserKey::Username(username) => {
            sqlx::query_as::<_, UserRow>(
                "select users.*, feed_epochs.epoch from users
                 join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
                 where users.canonical_username = $1
                 order by users.epoch_ordinal desc, users.account_version desc limit 1",
            )
            .bind(username.canonical())
            .fetch_optional(executor)
            .await
        }
    };
    found.map_err(failed)?.map(User::try_from).transpose()
}

pub(super) async fn has_reached(
    pool: &SqlitePool,
    id: UserId,
    version: &AccountVersion,
) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "select exists (
             select 1 from users, feed_epochs
             where users.id = $1 and feed_epochs.epoch = $2
               and (users.epoch_ordinal, users.account_version) >= (feed_epochs.ordinal, $3)
         )",
    )
    .bind(id.as_bytes().as_slice())
    .bind(version.epoch.as_str())
    .bind(version.number)
    .fetch_one(pool)
    .await
    .map_err(failed)
}

impl UserRows for SqliteTransaction {
    async fn lock_user(&mut self, key: &UserKey) -> Result<Option<User>, StoreError> {
        // The transaction has the write lock already.
        find(&mut *self.tx, key).await
    }

    async fn apply_accounts(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        for account in accounts {
            self.apply(account).await?;
        }
        Ok(())
    }

    async fn retire_users_before(
        &mut self,
        epoch: &Epoch,
        after: Option<UserId>,
        limit: u16,
    ) -> Result<Option<UserId>, StoreError> {
        let ordinal = self.ordinal_of(epoch).await?;
        let now = to_micros(self.time());
        let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let slice: Vec<Vec<u8>> =
            sqlx::query_scalar("select id from users where id > $1 order by id limit $2")
                .bind(&after)
                .bind(limit)
                .fetch_all(&mut *self.tx)
                .await
                .map_err(failed)?;
        let Some(last) = slice.last() else { return Ok(None) };
        sqlx::query(
            "update users set state = $1, epoch_ordinal = $2, account_version = 0,
                 update_time = max(update_time, $3)
             where id > $4 and id <= $5 and epoch_ordinal < $2",
        )
        .bind(State::Inactive.number())
        .bind(ordinal)
        .bind(now)
        .bind(&after)
        .bind(last)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        let is_full = slice.len() == usize::from(limit);
        is_full.then(|| row::id(last, "users", "id")).transpose()
    }
}

impl SqliteTransaction {
    async fn apply(&mut self, account: &Account) -> Result<(), StoreError> {
        let epoch = self.ordinal_of(&account.version.epoch).await?;
        sqlx::query(
            "insert into users (id, username, canonical_username, role, role_version, role_time, state,
                 create_time, account_update_time, epoch_ordinal, account_version, update_time)
             values ($1, $2, $3, coalesce((select role from reservations where user_id = $1), $4), 1, $5, $6,
                 $5, $7, $8, $9, $7)
             on conflict (id) do update set
                 username = excluded.username,
                 canonical_username = excluded.canonical_username,
                 state = excluded.state,
                 create_time = excluded.create_time,
                 account_update_time = excluded.account_update_time,
                 epoch_ordinal = excluded.epoch_ordinal,
                 account_version = excluded.account_version,
                 update_time = max(users.update_time, excluded.update_time)
             where (excluded.epoch_ordinal, excluded.account_version)
                 > (users.epoch_ordinal, users.account_version)",
        )
        .bind(account.id.as_bytes().as_slice())
        .bind(account.username.as_str())
        .bind(account.username.canonical())
        .bind(Role::User.number())
        .bind(to_micros(account.create_time))
        .bind(account.state.number())
        .bind(to_micros(account.update_time))
        .bind(epoch)
        .bind(account.version.number)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        sqlx::query("delete from reservations where user_id = $1")
            .bind(account.id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// The place of an epoch among those that were met; one that is met for the first time is the latest.
    async fn ordinal_of(&mut self, epoch: &Epoch) -> Result<i64, StoreError> {
        let known = sqlx::query_scalar("select ordinal from feed_epochs where epoch = $1")
            .bind(epoch.as_str())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(failed)?;
        if let Some(ordinal) = known {
            return Ok(ordinal);
        }
        sqlx::query_scalar("insert into feed_epochs (epoch) values ($1) returning ordinal")
            .bind(epoch.as_str())
            .fetch_one(&mut *self.tx)
            .await
            .map_err(failed)
    }
}

impl Roles for SqliteTransaction {
    async fn update_role(&mut self, user: &User) -> Result<(), StoreError> {
        sqlx::query(
            "update users set role = $2, role_version = $3, role_time = $4, update_time = $5 where id = $1",
        )
        .bind(user.id.as_bytes().as_slice())
        .bind(user.role.number())
        .bind(user.role_version)
        .bind(to_micros(user.role_time))
        .bind(to_micros(user.update_time))
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn lock_super_admins(&mut self) -> Result<Vec<User>, StoreError> {
        let found = sqlx::query_as::<_, UserRow>(
            "select users.*, feed_epochs.epoch from users
             join feed_epochs on feed_epochs.ordinal = users.epoch_ordinal
             where users.role = $1 order by users.id",
        )
        .bind(Role::SuperAdmin.number())
        .fetch_all(&mut *self.tx)
        .await
        .map_err(failed)?;
        found.into_iter().map(User::try_from).collect()
    }
}
